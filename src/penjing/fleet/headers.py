"""Which headers go on, and which belong to one connection alone.

Source: RFC 9110, section 7.6.1 (Connection).
"""

from __future__ import annotations

from penjing.fleet.wire.link import Headers

_OF_ONE_CONNECTION = {
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
}  # fmt: skip
_WRITTEN_ANEW = {b"host", b"content-length", b"expect", b"x-forwarded-for"}
_FORWARDED = b"x-forwarded-for"


def to_replica(headers: Headers, *, client: str) -> Headers:
    """What a replica is sent of a request's headers.

    Args:
        headers: as they came, names in lower case.
        client: who asks, as an address; empty where it is not known.
    """
    gone = _dropped(headers) | _WRITTEN_ANEW
    kept = [header for header in headers if header[0] not in gone]
    before = [value for name, value in headers if name == _FORWARDED]
    chain = [*before, client.encode()] if client else before
    return [*kept, (_FORWARDED, b", ".join(chain))] if chain else kept


def to_client(headers: Headers) -> Headers:
    """What a client is sent of a reply's headers."""
    gone = _dropped(headers)
    return [header for header in headers if header[0] not in gone]


def _dropped(headers: Headers) -> set[bytes]:
    named = [value for name, value in headers if name == b"connection"]
    if not named:
        return _OF_ONE_CONNECTION
    return _OF_ONE_CONNECTION | {word.strip().lower() for value in named for word in value.split(b",")}
