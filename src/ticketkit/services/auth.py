"""auth: users and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ticketkit.domain import accounts
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import Email, Session, User
from ticketkit.domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from datetime import datetime

    from ticketkit.backends.storage import Storage
    from ticketkit.services.commands import Commands
    from ticketkit.services.passwords import Passwords
    from ticketkit.services.principal import Principal
    from ticketkit.services.tokens import Minter


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user with a session, and its token."""

    user: User
    session: Session
    token: str


class Auth:
    """Sign-up, sign-in, sign-out.

    Args:
        storage: Of the accounts boundary.
        commands: Makes commands.
        passwords: Hashes and checks.
        minter: Mints tokens.
        lifetime: Of a session.
    """

    def __init__(
        self,
        storage: Storage,
        commands: Commands,
        *,
        passwords: Passwords,
        minter: Minter,
        lifetime: timedelta = timedelta(days=14),
    ) -> None:
        self._storage, self._commands = storage, commands
        self._passwords, self._minter, self._lifetime = passwords, minter, lifetime

    async def sign_up(self, email: str, password: str, *, roles: tuple[str, ...] = ()) -> SignedIn:
        """Create a user and sign in.

        Args:
            email: A valid address; unique whatever its case.
            password: 8 to 128 characters.
            roles: Such as `operator`; never from a form.

        Raises:
            InvalidInput: The password's length.
            Conflict: The address is taken.
        """
        hashed = await self._passwords.hash(password)
        command = self._commands.ask("auth.sign_up", actor=None, fresh=2)
        keys = Keys.of(Email.key(accounts.email_id(email)))
        answer = await self._storage.decide(
            keys,
            lambda state: accounts.sign_up(
                state, command, email=email, password_hash=hashed, lifetime=self._lifetime, roles=roles
            ),
            command,
        )
        return self._signed_in(answer.one(User), answer.one(Session))

    async def sign_in(self, email: str, password: str) -> SignedIn:
        """Check a password and begin a session.

        Raises:
            InvalidInput: `invalid_credentials`, whether the user or the password is wrong, in the same time.
        """
        user = await self.find(email)
        if not await self._passwords.check(password, user.password_hash if user else None) or user is None:
            msg = "Invalid credentials."
            raise InvalidInput(msg, code="invalid_credentials")
        stronger = await self._passwords.hash(password) if self._passwords.outdated(user.password_hash) else None
        command = self._commands.ask("auth.sign_in", actor=user.id, fresh=1)
        answer = await self._storage.decide(
            Keys.of(User.key(user.id)),
            lambda state: accounts.sign_in(
                state, command, user_id=user.id, lifetime=self._lifetime, password_hash=stronger
            ),
            command,
        )
        return self._signed_in(answer.one(User), answer.one(Session))

    async def sign_out(self, principal: Principal) -> None:
        """Revoke the caller's session, everywhere."""
        if principal.session_id is None:
            return
        await self._revoke(principal.session_id, actor=principal.id)

    async def user(self, user_id: str) -> User | None:
        """A user by id."""
        found = (await self._storage.get([User.key(user_id)])).get(User.key(user_id))
        return found if isinstance(found, User) else None

    async def find(self, email: str) -> User | None:
        """A user by e-mail address."""
        key = Email.key(accounts.email_id(email))
        claim = (await self._storage.get([key])).get(key)
        return await self.user(claim.user_id) if isinstance(claim, Email) else None

    async def give_role(self, email: str, role: str) -> User:
        """Give a user a role, such as `operator`.

        Their tokens have it from the next sign-in on, or when they are renewed.

        Raises:
            NotFound: There is no such user.
            InvalidInput: It is no name of a role.
        """
        user = await self._named(email)
        command = self._commands.ask("auth.give_role", actor=None)
        answer = await self._storage.decide(
            Keys.of(User.key(user.id)), lambda state: accounts.give_role(state, user.id, role), command
        )
        return answer.one(User)

    async def take_role(self, email: str, role: str) -> User:
        """Take a role from a user, and sign them out everywhere: tokens that say it are refused within 5 s.

        It may be called again after a crash, and signs out who is left.

        Raises:
            NotFound: There is no such user.
        """
        user = await self._named(email)
        command = self._commands.ask("auth.take_role", actor=None)
        answer = await self._storage.decide(
            Keys.of(User.key(user.id)), lambda state: accounts.take_role(state, user.id, role), command
        )
        # After the commit: whoever signs in, or renews, from now on gets a token without the role.
        await self.sign_out_everywhere(user.id)
        return answer.one(User)

    async def sign_out_everywhere(self, user_id: str) -> int:
        """Revoke all sessions of a user; how many there were. It reads all sessions there are, page by page."""
        now, revoked, cursor = await self._storage.now(), 0, None
        while True:
            page = await self._storage.scan("session", cursor=cursor)
            for session in page.items:
                if isinstance(session, Session) and session.user_id == user_id and _lives(session, now):
                    await self._revoke(session.id, actor=user_id)
                    revoked += 1
            if (cursor := page.next) is None:
                return revoked

    async def with_role(self, role: str) -> tuple[User, ...]:
        """All users that have a role, oldest first. It reads all users, page by page."""
        found: list[User] = []
        cursor = None
        while True:
            page = await self._storage.scan("user", cursor=cursor)
            found += [user for user in page.items if isinstance(user, User) and role in user.roles]
            if (cursor := page.next) is None:
                return tuple(found)

    async def renew(self, principal: Principal) -> SignedIn | None:
        """A fresh token of the caller's session; None when it is over."""
        if principal.session_id is None:
            return None
        user_key, session_key = User.key(principal.id), Session.key(principal.session_id)
        found = await self._storage.get([user_key, session_key])
        user, session = found.get(user_key), found.get(session_key)
        if not isinstance(user, User) or not isinstance(session, Session) or session.revoked_at is not None:
            return None
        if session.expires_at <= await self._storage.now():
            return None
        return self._signed_in(user, session)

    async def _named(self, email: str) -> User:
        user = await self.find(email)
        if user is None:
            msg = f"There is no account {email}. Sign it up first."
            raise NotFound(msg, code="user_not_found", field="email")
        return user

    async def _revoke(self, session_id: str, *, actor: str) -> None:
        command = self._commands.ask("auth.sign_out", actor=actor)
        await self._storage.decide(
            Keys.of(Session.key(session_id)), lambda state: accounts.sign_out(state, session_id), command
        )

    def _signed_in(self, user: User, session: Session) -> SignedIn:
        return SignedIn(user, session, self._minter.mint(user, session))


def _lives(session: Session, now: datetime) -> bool:
    return session.revoked_at is None and session.expires_at > now
