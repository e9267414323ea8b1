"""Taking a port before anything is loaded, and saying who has it otherwise."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from pathlib import Path

from penjing.core.errors import ResourceError

_BACKLOG = 2048
_LISTENING = "0A"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Connections wait in it until the server takes them up.

    Args:
        host: name or address to listen on.
        port: 0 takes a free one.

    Raises:
        ResourceError: the port is in use or forbidden, or the host is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ResourceError(
            f"cannot listen on {host}: {error.strerror}", expected="an address of this machine"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> ResourceError:
    if error.errno == errno.EADDRINUSE:
        return ResourceError(
            f"port {port} on {host} is in use by {holder_of(port)}",
            expected="a free port",
            do=f"Stop that process, or choose another port (port {port + 1}, or 0 for any free one).",
        )
    if error.errno == errno.EACCES:
        return ResourceError(
            f"port {port} is not for ordinary users",
            expected="a port from 1024",
            do="Choose another port, such as 8501.",
        )
    return ResourceError(f"cannot listen on {host}:{port}: {error.strerror}", expected="an address of this machine")


def holder_of(port: int) -> str:
    """Who listens on a port, as well as this user may know."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for folder in Path("/proc").glob("[0-9]*"):
        if sockets & _open_files(folder):
            with suppress(OSError):  # it has just ended
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {folder.name} ({command[:80]})"
    return "another process (perhaps another server that still runs)"


def _open_files(process: Path) -> set[str]:
    """Targets of a process's file handles; none where it has ended or belongs to someone else."""
    links = set()
    with suppress(OSError):
        for handle in (process / "fd").iterdir():
            with suppress(OSError):  # closed since
                links.add(str(handle.readlink()))
    return links


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
        except OSError:
            continue
        inodes |= {row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port}
    return inodes
