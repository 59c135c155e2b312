"""The app's own database: PostgreSQL, by SQLAlchemy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType


class Base(DeclarativeBase):
    """Of the app's own tables. ticketkit's are called `ticketkit_…`, so that both fit into one database."""


class Database:
    """Connections, and sessions on them.

    Args:
        url: `postgresql://user:password@host/database`, as ticketkit takes it.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    def session(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session in a transaction, committed at its end, undone by an error."""
        return self._sessions.begin()

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection in a transaction, committed at its end, undone by an error."""
        return self._engine.begin()

    async def __aenter__(self) -> Self:
        """Make the tables that are missing; an app that lives longer has migrations."""
        async with self._engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._engine.dispose()
