"""Where a replica listens, and how a connection to it is made."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from penjing.core.errors import UsageError

Made = TypeVar("Made", bound=asyncio.BaseProtocol)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a replica listens.

    Attributes:
        spelled: as it was given.
        host, port: for TCP; empty on a Unix socket.
        path: of a Unix socket; empty for TCP.
        below: path under which the replica's own paths begin, without the closing slash.
        is_secure: speak TLS.
    """

    spelled: str
    host: str = ""
    port: int = 0
    path: str = ""
    below: str = ""
    is_secure: bool = False

    @property
    def authority(self) -> bytes:
        """What the Host header says of it."""
        if self.path:
            return b"replica"
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = _PORTS["https" if self.is_secure else "http"]
        return (host if self.port == usual else f"{host}:{self.port}").encode("ascii", "replace")

    async def connect(self, make: Callable[[], Made]) -> Made:
        """A connection, once it stands.

        Raises:
            OSError: nobody listens there, or TLS cannot be agreed on.
        """
        loop = asyncio.get_running_loop()
        if self.path:
            return (await loop.create_unix_connection(make, self.path))[1]
        secure = ssl.create_default_context() if self.is_secure else None
        return (await loop.create_connection(make, self.host, self.port, ssl=secure))[1]


def address_at(url: str) -> Address:
    """Read ``http://host:port/below``, ``https://…`` or ``unix:/path``.

    Raises:
        UsageError: it is none of these.
    """
    if url.startswith("unix:"):
        return Address(url, path=url.removeprefix("unix:"))
    wrong = UsageError(f"{url!r} is no address of a replica", expected="http://HOST:PORT, https://HOST or unix:/PATH")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise wrong
    return Address(
        url,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        below=parts.path.rstrip("/"),
        is_secure=parts.scheme == "https",
    )
