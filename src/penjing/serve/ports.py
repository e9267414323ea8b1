"""Taking a port or a Unix socket before anything is loaded, and saying who has it otherwise."""

from __future__ import annotations

import errno
import socket
import stat
from contextlib import suppress
from pathlib import Path

from penjing.core.errors import ResourceError

_BACKLOG = 2048
_LISTENING = "0A"
_LONGEST_PATH = 107  # sun_path of unix(7), less the closing zero


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


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds a port, without listening, for processes that listen there by SO_REUSEPORT.

    Raises:
        ResourceError: as :func:`listen`.
    """
    with listen(host, port) as probe:  # without SO_REUSEPORT, so that a port in use is noticed
        family, address = probe.family, probe.getsockname()
    holder = socket.socket(family, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except OSError as error:
        holder.close()
        raise _cannot_listen(host, port, error) from error
    return holder


def listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket. One that a server left behind when it was killed is replaced.

    Raises:
        ResourceError: another server listens there, something else lies there, or the directory is not for us.
    """
    make_room(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ResourceError(
            f"cannot listen on {path}: {error.strerror}", expected="a directory that this user may write to"
        ) from error
    return listener


def make_room(path: Path) -> None:
    """See that nothing lies where a Unix socket is to be made.

    Raises:
        ResourceError: as :func:`listen_unix`.
    """
    if len(bytes(path)) > _LONGEST_PATH:
        raise ResourceError(
            f"the path {path} has {len(bytes(path))} bytes",
            expected=f"at most {_LONGEST_PATH} for a Unix socket",
            do="Choose a shorter one, such as below /run.",
        )
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # the bind will say
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ResourceError(f"{path} is there and is no socket", expected="a free path", do="Choose another.")
        if _is_answered(path):
            raise ResourceError(
                f"another server listens on {path}", expected="a free path", do="Stop it, or choose another path."
            )
        path.unlink()


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:  # full, or not ours to ask: somebody has it
            return True
        return True


def spelled(host: str, port: int) -> str:
    """A place as addresses have it: IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
