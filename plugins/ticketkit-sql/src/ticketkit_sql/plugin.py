"""What ticketkit finds of this distribution. Light: SQLAlchemy is imported when a backend is opened."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import Backend, BackendKind, Capability, Context
from ticketkit_sql.settings import MAX_KEYS, POSTGRESQL, SETTINGS
from ticketkit_sql.settings import SCHEMES as POSTGRESQL_SCHEMES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import click

    from ticketkit.backends.findings import Finding

_SHARED: Final = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS})
_OWN: Final = _SHARED | {Capability.OWN_TABLES}
_FILE: Final = {name: SETTINGS[name] for name in ("migrate", "busy", "readers", "synchronous")}


def ticketkit_backends() -> list[Backend]:
    """Storage and timers on PostgreSQL; storage, timers and bus on a SQLite file."""
    return [*_postgresql(), *_sqlite(), *_refused()]


def _postgresql() -> list[Backend]:
    return [
        Backend(
            kind=BackendKind.STORAGE,
            name="PostgreSQL storage",
            schemes=POSTGRESQL_SCHEMES,
            capabilities=_OWN,
            open=_storage,
            max_entities=MAX_KEYS,
            settings=POSTGRESQL,
            check=_check_database,
        ),
        Backend(
            kind=BackendKind.TIMERS,
            name="PostgreSQL timers",
            schemes=POSTGRESQL_SCHEMES,
            capabilities=_SHARED,
            open=_timers,
            settings=POSTGRESQL,
            check=_check_database,
        ),
    ]


def _refused() -> list[Backend]:
    """MySQL and MariaDB: their schemes are taken so that the refusal says why."""
    return [
        Backend(kind=kind, name="MySQL and MariaDB (refused)", schemes=("mysql", "mariadb"), open=_refuse)
        for kind in (BackendKind.STORAGE, BackendKind.TIMERS, BackendKind.BUS)
    ]


def _sqlite() -> list[Backend]:
    return [
        Backend(
            kind=BackendKind.STORAGE,
            name="SQLite storage",
            schemes=("sqlite",),
            capabilities=_SHARED,
            open=_storage,
            settings=_FILE,
            check=_check_file,
        ),
        Backend(
            kind=BackendKind.TIMERS,
            name="SQLite timers",
            schemes=("sqlite",),
            capabilities=_SHARED,
            open=_timers,
            settings=_FILE,
            check=_check_file,
        ),
        Backend(
            kind=BackendKind.BUS,
            name="SQLite bus",
            schemes=("sqlite",),
            capabilities=_SHARED,
            open=_bus,
            settings=SETTINGS,
            check=_check_file,
        ),
    ]


def ticketkit_commands() -> list[click.Command]:
    """`ticketkit db`."""
    from ticketkit_sql.commands import db

    return [db]


@asynccontextmanager
async def _storage(url: str, context: Context) -> AsyncIterator[Any]:
    from ticketkit_sql.storage import open_storage

    async with open_storage(url, context) as storage:
        yield storage


@asynccontextmanager
async def _timers(url: str, context: Context) -> AsyncIterator[Any]:
    from ticketkit_sql.timers import open_timers

    async with open_timers(url, context) as timers:
        yield timers


@asynccontextmanager
async def _bus(url: str, context: Context) -> AsyncIterator[Any]:
    from ticketkit_sql.bus import open_bus

    async with open_bus(url, context) as bus:
        yield bus


def _refuse(_url: str, _context: Context) -> AbstractAsyncContextManager[Any]:
    raise Misconfigured(
        "MySQL and MariaDB are not supported until ticketkit-sql passes the conformance kit on them: use "
        "postgresql:// or sqlite://."
    )


async def _check_file(url: str, _context: Context) -> Sequence[Finding]:
    from ticketkit_sql.file_check import check_file

    return await check_file(url)


async def _check_database(url: str, context: Context) -> Sequence[Finding]:
    from ticketkit_sql.postgresql.checks import check_database

    return await check_database(url, context)
