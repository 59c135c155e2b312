"""Alembic's environment: on the connection that `schema` brings, in its transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import MetaData

from ticketkit_sql.schema import VERSION_TABLE
from ticketkit_sql.tables import tables

metadata = MetaData()
tables(metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
