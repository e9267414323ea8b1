"""Who is let in: from a recipe to the decision that both transports ask.

Promise: a server that others than this machine can reach is not started by accident without access control.
"""

from __future__ import annotations

import ipaddress
import socket

from penjing.core.errors import ResourceError
from penjing.security.access import Access, Controlled, KeysOrTokens
from penjing.security.audit import AuditLog
from penjing.security.issued import IssuedTokens
from penjing.security.keyring import Keyring
from penjing.serve.recipe import ServeRecipe


def access_of(recipe: ServeRecipe) -> Access | None:
    """What decides on each request; None lets everybody do everything.

    Raises:
        KeyFileError: the file of keys cannot be used.
        ResourceError: an issuer's keys cannot be had; or nothing says who is let in, and others than this machine can
            reach the server.
    """
    keys = Keyring(recipe.keys, shares=recipe.workers) if recipe.keys is not None else None
    tokens = IssuedTokens(recipe.tokens) if recipe.tokens is not None else None
    if keys is not None or tokens is not None:
        audit = AuditLog(recipe.audit_log) if recipe.audit_log is not None else None
        return Controlled(KeysOrTokens(keys, tokens), audit)
    if recipe.access_control is None and not _is_local(recipe):
        raise ResourceError(
            f"{recipe.host} can be reached by others, and nothing says who may ask",
            expected="a file of keys, or --no-access-control",
            do="Run: penjing keys create NAME --scope '*:predict', then serve with --keys penjing-keys.json.",
        )
    return None


def _is_local(recipe: ServeRecipe) -> bool:
    """Whether only this machine can reach it. Unix sockets leave to their directory who may."""
    listens = recipe.uds is None or recipe.grpc_port is not None
    return not listens or _is_loopback(recipe.host)


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)
    except (OSError, ValueError, UnicodeError):
        return False
