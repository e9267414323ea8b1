"""TLS for both ports from two files, and from a third where clients must show certificates as well.

Promises: files that do not fit are an error before the port is taken; a certificate that is renewed on disk is
used from the next handshake on, within ``LOOK_EVERY_S``; a half-written or wrong pair changes nothing and is
logged. Trade: a changed ``tls_client_ca`` wants a restart.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from penjing.core.errors import PenjingError, ResourceError
from penjing.serve.recipe import ServeRecipe

if TYPE_CHECKING:
    import grpc

_LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0


class Certificates:
    """A certificate with its key, as read last.

    Args:
        cert: PEM, the server's own certificate first, then those that lead to a root.
        key: PEM, not encrypted.
        client_ca: PEM; only clients with a certificate that leads to one of these are let in. None lets in all.

    Attributes:
        context: for HTTP; handshakes take from it what is newest.

    Raises:
        ResourceError: a file cannot be read, or does not go with the others.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._stamp = self._stamp_now()
        self.context = self._fresh_context()
        self.context.set_alpn_protocols(["http/1.1"])
        self._pair = (_read(key), _read(cert))
        self._root = _read(client_ca) if client_ca else None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, recipe: ServeRecipe) -> Certificates | None:
        """Those that a recipe names; None where it wants no TLS."""
        if recipe.tls_cert is None or recipe.tls_key is None:
            return None
        return cls(recipe.tls_cert, recipe.tls_key, recipe.tls_client_ca)

    def for_grpc(self) -> grpc.ServerCredentials:
        """Credentials that ask for the newest pair at each handshake."""
        import grpc

        given = self._pair

        def configuration(pair: tuple[bytes, bytes]) -> Any:
            return grpc.ssl_server_certificate_configuration([pair], root_certificates=self._root)

        def newest() -> Any:
            nonlocal given
            if self._pair is given:
                return None
            given = self._pair
            return configuration(given)

        return grpc.dynamic_ssl_server_credentials(
            configuration(given), newest, require_client_authentication=self._root is not None
        )

    async def follow(self) -> None:
        """Look for renewed files until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look_again()

    def look_again(self) -> bool:
        """Take up the files if they have changed and fit; whether they have."""
        with self._lock:
            try:
                stamp = self._stamp_now()
                if stamp == self._stamp:
                    return False
                self._fresh_context()  # proves the pair without harm to the one in use
                pair = (_read(self._key), _read(self._cert))
                self.context.load_cert_chain(self._cert, self._key, password=_no_password)
            except (PenjingError, ssl.SSLError, OSError) as error:
                _LOG.warning("the old certificate stays in use: %s", error)
                return False
            self._stamp, self._pair = stamp, pair
        _LOG.info("certificate %s was renewed", self._cert)
        return True

    def _stamp_now(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stamp(path) for path in (self._cert, self._key))

    def _fresh_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_password)
        except ssl.SSLError as error:
            raise ResourceError(
                f"{self._cert} and {self._key} are no certificate with its key: {error.reason or error}",
                expected="two files in PEM form that belong together",
            ) from error
        if self._client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(self._client_ca)
            except ssl.SSLError as error:
                raise ResourceError(f"{self._client_ca} holds no certificate", expected="PEM") from error
        return context


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ResourceError:
    return ResourceError(f"{path} cannot be read: {error.strerror}", expected="a PEM file that this user may read")


def _no_password() -> NoReturn:
    raise ResourceError("the key of tls_key is encrypted", expected="one without a passphrase, readable by this user")
