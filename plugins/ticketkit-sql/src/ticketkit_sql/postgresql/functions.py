"""The functions that ticketkit calls on PostgreSQL. A change is a new version under other names.

A statement inside a function sees what was committed before that statement began, and not before the call: what is
read or compared after a lock was taken is as new as the lock. That is why they are functions.
"""

from __future__ import annotations

from typing import Final

from ticketkit_sql.tables import PREFIX

HOLD: Final = f"{PREFIX}hold_1"
WRITE: Final = f"{PREFIX}write_3"

STALE: Final = "TK001"
"""SQLSTATE: something changed since it was read; nothing was written."""
MISSED: Final = "TK002"
"""SQLSTATE: another transaction holds something; nothing was written."""

SEED: Final = 7471
"""Of the hashes of names, so that they are not those of the app's own advisory locks."""

_CHARGE: Final = (
    "status code declined reference token action taken owes_void due_at refunded given_back refund_ids extra version"
)
_COPY: Final = (
    "status reason total currency expires_at charge_id sellers on_decline order_version charges open_charge_id version"
)
KINDS: Final = {
    "user": ("users", "email password_hash roles extra version"),
    "email": ("emails", "user_id version"),
    "session": ("sessions", "expires_at revoked_at version"),
    "live_event": ("live_events", "name venue starts_at zone on_sale_at owner_id status paused extra version"),
    "order": ("orders", "status reason lines expires_at extension prolonged released charge_id seen extra version"),
    "ticket": ("tickets", "title price currency seat status order_id admitted_at extra version"),
    "holds": ("holds", "orders version"),
    "order_copy": (
        "order_copies",
        _COPY,
    ),
    "charge": (
        "charges",
        _CHARGE,
    ),
    "refund": ("refunds", "status code reference due_at version"),
    "webhook": ("webhooks", "outcome version"),
}
"""By kind, in the order in which they are written: its table, and the columns that change."""

OUTBOX_2: Final = (
    "id type source subject time aggregateversion correlationid causationid traceparent data attempts free_at actor"
)
COMMANDS_1: Final = "id fingerprint answer consumer event_id at"

_PLANS: Final = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off"
"""Rows are found by their keys, also by a plan that was made while the tables were empty."""


def create() -> list[str]:
    """The statements that make the functions; for apps that run their own migrations too."""
    return [_hold(), _write()]


def drop() -> list[str]:
    """The statements that remove them, and those of earlier releases."""
    earlier = (f"{PREFIX}write_1", f"{PREFIX}write_2")
    return [f"DROP FUNCTION IF EXISTS {name}" for name in (WRITE, HOLD, *earlier)]


def _hold() -> str:
    """Take the names for this transaction; answer those that others have. With `wait` it waits for them."""
    return f"""
CREATE FUNCTION {HOLD}(held text[], shared text[], wait boolean) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  one record;
  missed text[];
BEGIN
  FOR one IN
    SELECT n.name, n.alone, hashtextextended(n.name, {SEED}) AS hash
    FROM (SELECT unnest(held) AS name, true AS alone UNION ALL SELECT unnest(shared), false) n
    ORDER BY hash, alone DESC
  LOOP
    IF wait AND one.alone THEN
      PERFORM pg_advisory_xact_lock(one.hash);
    ELSIF wait THEN
      PERFORM pg_advisory_xact_lock_shared(one.hash);
    ELSIF one.alone THEN
      IF NOT pg_try_advisory_xact_lock(one.hash) THEN missed := missed || one.name; END IF;
    ELSIF NOT pg_try_advisory_xact_lock_shared(one.hash) THEN
      missed := missed || one.name;
    END IF;
  END LOOP;
  RETURN missed;
END $$"""  # noqa: S608 - names of tables


def _write() -> str:
    """Take the names, see that nothing changed since it was read, and write everything; or raise."""
    tables = {table: f"{PREFIX}{table}" for table, _ in KINDS.values()}
    arrays = "".join(f",\n  new_{short} {table}[], changed_{short} {table}[]" for short, table in tables.items())
    checks = "".join(_check(kind, table) for kind, (table, _) in KINDS.items())
    changes = "".join(_update(kind, table, columns.split()) for kind, (table, columns) in KINDS.items())
    inserts = "".join(_insert(f"new_{table}", table) for table, _ in KINDS.values())
    lines = f"{PREFIX}order_lines"
    return f"""
CREATE FUNCTION {WRITE}(
  held text[], shared text[], kinds text[], ids text[], versions integer[], again text[]{arrays},
  gone_lines {lines}[], new_lines {lines}[], events {PREFIX}outbox[], commands {PREFIX}commands[]
) RETURNS void LANGUAGE plpgsql {_PLANS} AS $$
#variable_conflict use_column
DECLARE
  missed text[];
  done bigint;
BEGIN
  SELECT array_agg(n.name) INTO missed FROM unnest(held) AS n(name)
    WHERE NOT pg_try_advisory_xact_lock(hashtextextended(n.name, {SEED}));
  IF missed IS NULL AND shared IS NOT NULL THEN
    SELECT array_agg(n.name) INTO missed FROM unnest(shared) AS n(name)
      WHERE NOT pg_try_advisory_xact_lock_shared(hashtextextended(n.name, {SEED}));
  END IF;
  IF missed IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '{MISSED}', MESSAGE = 'held by another transaction';
  END IF;
  IF kinds IS NOT NULL THEN{checks}
  END IF;{changes}{inserts}
  IF gone_lines IS NOT NULL THEN
    UPDATE {lines} t SET live = false FROM unnest(gone_lines) r
      WHERE t.order_id = r.order_id AND t.ticket_id = r.ticket_id;
  END IF;{_insert("new_lines", "order_lines")}
  IF events IS NOT NULL THEN
    INSERT INTO {PREFIX}outbox ({_listed(OUTBOX_2)}) SELECT {_listed(OUTBOX_2, "r.")} FROM unnest(events) r;
  END IF;{_insert("commands", "commands", COMMANDS_1)}
END $$"""  # noqa: S608 - names of tables


def _check(kind: str, name: str) -> str:
    return f"""
    IF '{kind}' = ANY (kinds) THEN
      PERFORM 1 FROM unnest(kinds, ids, versions) AS k(kind, id, version)
        LEFT JOIN {PREFIX}{name} t ON t.id = k.id
        WHERE k.kind = '{kind}' AND coalesce(t.version, 0) <> k.version;
      IF FOUND THEN RAISE EXCEPTION USING ERRCODE = '{STALE}', MESSAGE = '{kind} changed since it was read'; END IF;
    END IF;"""


def _update(kind: str, name: str, columns: list[str]) -> str:
    # What a batch changed once is compared here; what it changed more often is among those checked above.
    changed = ", ".join(f"{column} = r.{column}" for column in columns)
    return f"""
  IF changed_{name} IS NOT NULL THEN
    UPDATE {PREFIX}{name} t SET {changed} FROM unnest(changed_{name}) r
      WHERE t.id = r.id AND (t.version = r.version - 1 OR '{kind}:' || t.id = ANY (again));
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> cardinality(changed_{name}) THEN
      RAISE EXCEPTION USING ERRCODE = '{STALE}', MESSAGE = '{name} changed since they were read';
    END IF;
  END IF;"""  # noqa: S608 - names of tables


def _insert(array: str, name: str, columns: str = "") -> str:
    listed = f" ({_listed(columns)})" if columns else ""
    taken = _listed(columns, "r.") if columns else "*"
    return f"""
  IF {array} IS NOT NULL THEN
    INSERT INTO {PREFIX}{name}{listed} SELECT {taken} FROM unnest({array}) r;
  END IF;"""  # noqa: S608 - names of tables


def _listed(columns: str, before: str = "") -> str:
    return ", ".join(f"{before}{column}" for column in columns.split())
