"""What `ticketkit doctor` sees of a PostgreSQL database: it reads, and makes and upgrades nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.findings import Finding, Severity, clock_off
from ticketkit_sql.postgresql.connecting import Connector
from ticketkit_sql.postgresql.failures import ERRORS, told
from ticketkit_sql.postgresql.settings import PostgresSettings
from ticketkit_sql.schema import HEAD, REVISIONS, VERSION_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ticketkit.backends.spec import Context

UPGRADE: Final = "ticketkit db upgrade"
_LOOK: Final = """
SELECT clock_timestamp() AS now, current_setting('fsync') AS fsync,
  current_setting('synchronous_commit') AS synchronous_commit,
  current_setting('full_page_writes') AS full_page_writes,
  to_regclass($1) IS NOT NULL AS made
"""
_LOSES: Final = {
    "fsync": (
        "a crash of the machine can destroy the database",
        "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();",
    ),
    "full_page_writes": (
        "a crash of the machine can destroy pages of the database",
        "ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();",
    ),
    "synchronous_commit": (
        "a crash loses the last commits, although they were acknowledged",
        "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf();",
    ),
}


async def check_database(url: str, context: Context) -> list[Finding]:
    """Look at the database of a URL: durability, clock, schema.

    Raises:
        Misconfigured: It does not let us in, or will not do.
        Unavailable: It can't be reached.
    """
    settings = PostgresSettings.of(url)
    try:
        async with Connector(settings).once() as connection:
            found = await connection.fetchrow(_LOOK, VERSION_TABLE)
            clock = clock_off(f"PostgreSQL's ({settings.place})", found["now"], context.clock.now())
            current = None
            if found["made"]:
                current = await connection.fetchval(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 our own name
    except ERRORS as error:
        raise told(error) from error
    findings = [*_losing(settings, found), *_schema(settings, current)]
    return findings if clock is None else [*findings, clock]


def _losing(settings: PostgresSettings, found: Any) -> Iterator[Finding]:
    for name, (what, mend) in _LOSES.items():
        if found[name] == "off":
            yield _error(f"PostgreSQL at {settings.place} has {name} off: {what}.", mend)


def _schema(settings: PostgresSettings, current: str | None) -> Iterator[Finding]:
    if settings.migrate == "app" or current == HEAD:
        return
    if current is not None and current not in REVISIONS:
        what = f"{settings.place} has schema {current}, of a newer release; this one knows none after {HEAD}."
        yield _error(what, "pip install --upgrade ticketkit-sql")
        return
    has = "none of ticketkit's tables yet" if current is None else f"schema {current}, and this release needs {HEAD}"
    what = f"{settings.place} has {has}"
    if settings.migrate == "no":
        yield _error(f"{what}, and with migrate=no no start sees to it.", UPGRADE)
    else:
        yield Finding(severity=Severity.NOTE, what=f"{what}: the first start sees to it.", mend=UPGRADE, unopened=True)


def _error(what: str, mend: str) -> Finding:
    return Finding(severity=Severity.ERROR, what=what, mend=mend)
