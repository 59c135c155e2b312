"""The schema: its history, what it refuses, and who may open it."""

import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, create_engine

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import BackendKind, Context
from ticketkit.domain import refunds
from ticketkit.domain.decision import Command, Keys
from ticketkit.domain.entities import Charge, LiveEvent, Order, OrderCopy, Refund
from ticketkit.domain.policy import OnDecline, OnRefund
from ticketkit.ids import new_id
from ticketkit_sql import schema
from ticketkit_sql.plugin import ticketkit_backends
from ticketkit_sql.storage import open_storage
from ticketkit_sql.tables import PREFIX, tables

SECOND = Path(__file__).parent / "schema_0002.sql"


def ddl(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name LIKE ? AND name NOT LIKE ?",
            (f"%{PREFIX}%", "%alembic%"),
        )
        return {_parts(sql) for (sql,) in found}


def _parts(sql: str) -> str:
    """The same parts of a table, in whatever order they were written: a migration adds at the end."""
    one_line = re.sub(r"\s+", " ", sql).replace(", )", ")")
    if not one_line.startswith("CREATE TABLE"):
        return one_line
    head, _, rest = one_line.partition("(")
    body, _, tail = rest.rpartition(")")
    parts, depth, part = [], 0, ""
    for character in f"{body},":
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    # What a column says about itself, and what the table says about it, is the same.
    said = [re.sub(r"(?<=NOT NULL) (?=CONSTRAINT)", " | ", part).split(" | ") for part in parts]
    return " | ".join([head, *sorted(part for found in said for part in found), tail])


def test_files_of_one_process_are_migrated_at_once(tmp_path: Path) -> None:
    together, failed = threading.Barrier(8), list[Exception]()

    def upgrade(number: int) -> None:
        together.wait(10)
        try:
            schema.upgrade(f"sqlite:///{tmp_path / f'{number}.db'}")
        except Exception as error:  # noqa: BLE001 - asserted on below, outside of the thread
            failed.append(error)

    threads = [threading.Thread(target=upgrade, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len({frozenset(ddl(tmp_path / f"{number}.db")) for number in range(8)}) == 1


def test_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    schema.upgrade(f"sqlite:///{tmp_path / 'migrated.db'}")
    metadata = MetaData()
    tables(metadata)
    engine = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(engine)
    engine.dispose()
    assert ddl(tmp_path / "migrated.db") == ddl(tmp_path / "made.db")


def at_second_revision(url: str) -> None:
    """Make the schema as it was then."""

    def work(connection: Connection, dialect: schema.Dialect) -> None:
        config = Config()
        config.set_main_option("script_location", "ticketkit_sql:migrations")
        config.attributes["connection"] = connection
        dialect.begin(connection)
        command.upgrade(config, "0002")
        dialect.commit(connection)

    schema._with_database(url, work)


async def upgraded(url: str) -> None:
    """Check that what was there is there, that what is new has its default, and that it can be written."""
    async with open_storage(url, Context()) as storage:
        keys = [LiveEvent.key("e"), Order.key("o"), OrderCopy.key("o"), Charge.key("c")]
        found: dict[Any, Any] = dict(await storage.get(keys))
        event, order, copy, charge = (found[key] for key in keys)
        assert (event.paused, order.prolonged, order.released) == (False, 0, False)
        assert (copy.sellers, copy.on_decline) == ((), OnDecline.CANCEL)
        assert order.policy.on_refund is OnRefund.KEEP
        assert order.policy.extensions == 0
        assert order.lines[0].seller_id is None
        assert (charge.taken, charge.refunded, charge.given_back) == (False, 700, 500)
        given = partial(refunds.refunded, refund_id="y", reference="re")
        await storage.decide(Keys.of(Refund.key("y")), given, Command(id=new_id()))
        after: Any = (await storage.get([Charge.key("c")]))[Charge.key("c")]
        assert (after.given_back, after.version) == (700, charge.version + 1)


def test_a_database_of_the_release_before_is_upgraded_with_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    url = f"sqlite:///{path}"
    at_second_revision(url)
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(SECOND.read_text(encoding="utf-8"))
    assert schema.upgrade(url).current == "0002"
    anyio.run(upgraded, url)


def test_the_same_on_postgresql(created_database: "Callable[..., AbstractContextManager[tuple[str, Any]]]") -> None:
    with created_database(migrated=False, clock=False) as (url, admin):
        at_second_revision(url)
        admin.execute(SECOND.read_text(encoding="utf-8"))
        assert schema.upgrade(url).current == "0002"
        anyio.run(upgraded, url)
        assert schema.check(url).ready


def test_alembic_sees_no_difference(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    schema.upgrade(f"sqlite:///{tmp_path / 'x.db'}")
    metadata = MetaData()
    tables(metadata)
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_history_is_alembics() -> None:
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "ticketkit_sql:migrations")
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions[::-1] == list(schema.history())
    assert revisions[0] == schema.HEAD


def test_upgrade_and_check_say_where_the_schema_stands(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'x.db'}"
    assert schema.check(url).current is None
    assert schema.upgrade(url).current is None
    assert schema.check(url).ready
    assert schema.upgrade(url).ready


@pytest.mark.anyio
async def test_an_empty_database_is_refused_when_it_may_not_be_migrated(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="ticketkit db upgrade"):
        async with open_storage(f"sqlite:///{tmp_path / 'x.db'}?migrate=no", Context()):
            pass


@pytest.mark.anyio
async def test_a_schema_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    schema.upgrade(url)
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    with pytest.raises(Misconfigured, match="newer release"):
        async with open_storage(url, Context()):
            pass


@pytest.mark.anyio
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO ticketkit_order_lines (order_id, ticket_id, live) VALUES ('other', ?, 1)",
        "UPDATE ticketkit_tickets SET status = 'stolen' WHERE id = ?",
        "UPDATE ticketkit_tickets SET price = 0 WHERE id = ?",
        "UPDATE ticketkit_tickets SET order_id = NULL WHERE id = ?",
        "UPDATE ticketkit_tickets SET status = 'available' WHERE id = ?",
        "UPDATE ticketkit_tickets SET event_id = 'nowhere' WHERE id = ?",
        "UPDATE ticketkit_tickets SET version = 0 WHERE id = ?",
        "DELETE FROM ticketkit_tickets WHERE id = ?",
        "INSERT INTO ticketkit_emails (id, user_id, version) VALUES ('a@x.org', ?, 1)",
        "UPDATE ticketkit_orders SET status = 'lost' WHERE ? <> ''",
        "UPDATE ticketkit_outbox SET published_at = 1 WHERE ? <> ''",
    ],
)
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_the_schema_itself_refuses_what_must_not_be(market: Any, sql: str) -> None:
    first, second = await market.offer(2)
    await market.place("buyer", first.id)
    other = await market.place("other", second.id)
    with closing(sqlite3.connect(market.path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):  # noqa: PT012 - some are checked by the commit
            connection.execute(sql.replace("'other'", f"'{other.id}'"), (first.id,))
            connection.commit()


def test_an_email_address_belongs_to_one_user(tmp_path: Path) -> None:
    schema.upgrade(f"sqlite:///{tmp_path / 'x.db'}")
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        insert = "INSERT INTO ticketkit_emails (id, user_id, version) VALUES ('a@x.org', 'u', 1)"
        connection.execute(insert)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(insert)


def test_the_plugin_brings_storage_timers_and_bus() -> None:
    backends = ticketkit_backends()
    found = {(backend.kind, scheme) for backend in backends for scheme in backend.schemes if backend.capabilities}
    both = {
        (kind, scheme) for kind in (BackendKind.STORAGE, BackendKind.TIMERS) for scheme in ("postgresql", "postgres")
    }
    assert found == both | {(kind, "sqlite") for kind in (BackendKind.STORAGE, BackendKind.TIMERS, BackendKind.BUS)}


def test_the_plugin_is_light() -> None:
    import subprocess
    import sys

    code = "import sys, ticketkit_sql.plugin; sys.exit('sqlalchemy' in sys.modules or 'alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_file_that_another_process_is_just_making_is_waited_for(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")  # as the change to write-ahead logging does it
        release = threading.Timer(0.3, other.execute, ("COMMIT",))
        release.start()
        async with open_storage(f"sqlite:///{tmp_path / 'new.db'}", Context()) as storage:
            assert (await storage.totals()).unpublished == 0
        release.join()
