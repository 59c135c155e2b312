"""What `ticketkit doctor` sees of an SQLite file: read only, so that looking neither makes nor upgrades it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from anyio.to_thread import run_sync

from ticketkit.backends.findings import Finding, Severity
from ticketkit_sql.schema import HEAD, REVISIONS, VERSION_TABLE
from ticketkit_sql.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

UPGRADE: Final = "ticketkit db upgrade"


async def check_file(url: str) -> list[Finding]:
    """Look at the file of a URL, unless its schema is the app's own business.

    Raises:
        Misconfigured: The URL is wrong.
    """
    settings = Settings.of(url)
    if settings.migrate == "app":
        return []
    return await run_sync(_look, settings, abandon_on_cancel=True)


def _look(settings: Settings) -> list[Finding]:
    path = settings.path.absolute()
    there = next(place for place in (path, *path.parents) if place.exists())
    if not os.access(there, os.W_OK) or (there != path and not there.is_dir()):
        return [_error(f"{path} can't be written.", f"chown $(id -u) {there}; or another path in the URL")]
    if there != path or path.stat().st_size == 0:
        return [_behind(settings, f"{path} has no tables yet")]
    try:
        return _schema(settings, path, _revision(path))
    except sqlite3.OperationalError as busy:
        return [_error(f"{path} can't be read now: {busy}.", f"See which process has it: fuser -v {path}")]
    except sqlite3.DatabaseError:
        return [_error(f"{path} is no SQLite database.", "Another path in the URL; or a backup in its place")]


def _schema(settings: Settings, path: Path, current: str | None) -> list[Finding]:
    if current is None:
        return [_behind(settings, f"{path} has none of ticketkit's tables yet")]
    if current not in REVISIONS:
        what = f"{path} has schema {current}, of a newer release; this one knows none after {HEAD}."
        return [_error(what, "pip install --upgrade ticketkit-sql")]
    return [] if current == HEAD else [_behind(settings, f"{path} has schema {current}, and this release needs {HEAD}")]


def _error(what: str, mend: str) -> Finding:
    return Finding(severity=Severity.ERROR, what=what, mend=mend)


def _behind(settings: Settings, what: str) -> Finding:
    if settings.migrate == "yes":
        return Finding(severity=Severity.NOTE, what=f"{what}: the first start sees to it.", mend=UPGRADE, unopened=True)
    return _error(f"{what}, and with migrate=no no start sees to it.", UPGRADE)


def _revision(path: Path) -> str | None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)) as connection:
        query = "SELECT count(*) FROM sqlite_master WHERE name = ?"
        if not connection.execute(query, (VERSION_TABLE,)).fetchone()[0]:
            return None
        row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 our own name
        return None if row is None else str(row[0])
