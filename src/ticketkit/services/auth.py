"""auth: users and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ticketkit.domain import accounts
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import Email, Session, User
from ticketkit.domain.errors import InvalidInput

if TYPE_CHECKING:
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
        session_id = principal.session_id
        command = self._commands.ask("auth.sign_out", actor=principal.id)
        await self._storage.decide(
            Keys.of(Session.key(session_id)), lambda state: accounts.sign_out(state, session_id), command
        )

    async def user(self, user_id: str) -> User | None:
        """A user by id."""
        found = (await self._storage.get([User.key(user_id)])).get(User.key(user_id))
        return found if isinstance(found, User) else None

    async def find(self, email: str) -> User | None:
        """A user by e-mail address."""
        key = Email.key(accounts.email_id(email))
        claim = (await self._storage.get([key])).get(key)
        return await self.user(claim.user_id) if isinstance(claim, Email) else None

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

    def _signed_in(self, user: User, session: Session) -> SignedIn:
        return SignedIn(user, session, self._minter.mint(user, session))
