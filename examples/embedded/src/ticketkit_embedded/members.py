"""Members of the theatre: the app's own users, their passwords, and their sessions."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from anyio import to_thread
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import DateTime, ForeignKey, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from ticketkit import Principal
from ticketkit_embedded.database import Base, Database

if TYPE_CHECKING:
    from starlette.requests import Request

COOKIE: Final = "lantern"
LIFETIME: Final = timedelta(days=30)


class Member(Base):
    """Somebody who joined; `id` is all that ticketkit knows of them."""

    __tablename__ = "members"

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: str(uuid4()))
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]


class Session(Base):
    """Somebody's browser. The cookie has a random token; here is its digest, which nobody can sign in with."""

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    member_id: Mapped[str] = mapped_column(ForeignKey(Member.id))
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class EmailTaken(Exception):
    """Somebody joined with this e-mail address."""


class Members:
    """Joins members, signs them in and out, and says who is asking."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHasher()
        self._nobodys = self._hasher.hash(secrets.token_hex())

    async def join(self, name: str, email: str, password: str) -> tuple[Member, str]:
        """Take a new member, and sign them in: the member, and the token of the session.

        Raises:
            EmailTaken: There is one with this address.
        """
        password_hash = await to_thread.run_sync(self._hasher.hash, password)
        member = Member(name=name, email=email.lower(), password_hash=password_hash)
        try:
            async with self._database.session() as session:
                session.add(member)
        except IntegrityError as error:
            raise EmailTaken from error
        return member, await self._sign_in(member)

    async def sign_in(self, email: str, password: str) -> tuple[Member, str] | None:
        """Check a password: the member, and the token of a session; None, if either is wrong, in the same time."""
        async with self._database.session() as session:
            member = await session.scalar(select(Member).where(Member.email == email.lower()))
        password_hash = member.password_hash if member is not None else self._nobodys
        verify = partial(self._hasher.verify, password_hash, password)
        try:
            await to_thread.run_sync(verify)
        except VerificationError:
            return None
        return (member, await self._sign_in(member)) if member is not None else None

    async def sign_out(self, token: str) -> None:
        """End a session."""
        async with self._database.session() as session:
            await session.execute(delete(Session).where(Session.digest == _digest(token)))

    async def find(self, request: Request) -> Member | None:
        """Whose browser sent this."""
        if (token := request.cookies.get(COOKIE)) is None:
            return None
        query = select(Member).join(Session).where(Session.digest == _digest(token), Session.ends_at > func.now())
        async with self._database.session() as session:
            return await session.scalar(query)

    async def who_is_asking(self, request: Request) -> Principal | None:
        """The same for ticketkit, which knows people by their id and nothing else."""
        member = await self.find(request)
        return Principal(member.id) if member is not None else None

    async def _sign_in(self, member: Member) -> str:
        token = secrets.token_urlsafe(32)
        async with self._database.session() as session:
            session.add(Session(digest=_digest(token), member_id=member.id, ends_at=func.now() + LIFETIME))
        return token


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
