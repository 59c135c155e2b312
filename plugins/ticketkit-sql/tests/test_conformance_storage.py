"""The storages on SQLite and PostgreSQL keep what backends promise."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Text, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ticketkit.testing.conformance import OwnTable, StorageConformance, Target


class TestSqliteStorage(StorageConformance):
    @pytest.fixture
    def target(self, sqlite_file: Path) -> Target:
        return Target(url=f"sqlite:///{sqlite_file}")


class AppTable:
    """A table of an app in PostgreSQL, and its transactions."""

    _NAMES = Table("kit_own", MetaData(), Column("value", Text, primary_key=True))

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(self) -> None:
        await self.drop()
        async with self._engine.begin() as connection:
            await connection.run_sync(self._NAMES.create)

    async def drop(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(self._NAMES.drop, checkfirst=True)

    def insert(self, value: str) -> Any:
        return insert(self._NAMES).values(value=value)

    async def values(self) -> list[str]:
        async with self._engine.connect() as connection:
            return list(await connection.scalars(select(self._NAMES.c.value).order_by(self._NAMES.c.value)))

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        return self._engine.begin()

    async def insert_within(self, connection: Any, value: str) -> None:
        await connection.execute(self.insert(value))


class TestPostgresqlStorage(StorageConformance):
    @pytest.fixture
    def target(self, postgresql_kit_database: tuple[str, Any]) -> Target:
        url, admin = postgresql_kit_database
        return Target(url=url, reset=admin.empty)

    @pytest.fixture
    async def own_table(self, postgresql_kit_database: tuple[str, Any]) -> AsyncIterator[OwnTable]:
        engine = create_async_engine(postgresql_kit_database[0].replace("postgresql://", "postgresql+asyncpg://"))
        table = AppTable(engine)
        yield table
        await table.drop()
        await engine.dispose()
