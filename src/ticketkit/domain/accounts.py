"""Decisions about users and their sessions."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ticketkit.domain.decision import Changes, Command, Fact, Need, State
from ticketkit.domain.entities import Email, Session, User, key_of
from ticketkit.domain.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from datetime import timedelta

ROLE: Final = re.compile("[a-z][a-z0-9_-]{0,39}")
"""What names a role."""


def email_id(email: str) -> str:
    """The form by which an address is unique: trimmed and case-folded."""
    return email.strip().casefold()


def sign_up(
    state: State, command: Command, *, email: str, password_hash: str, lifetime: timedelta, roles: tuple[str, ...] = ()
) -> Changes | Need:
    """Create a user and a first session; fresh ids: the user's, the session's.

    Raises:
        Conflict: The address is taken.
    """
    address = email_id(email)
    if need := state.missing((Email.key(address),)):
        return need
    if state.get(Email, address) is not None:
        msg = "This e-mail address is taken."
        raise Conflict(msg, code="email_taken", field="email")
    user = User(
        id=command.fresh[0], email=email.strip(), password_hash=password_hash, roles=roles, created_at=state.now
    )
    session = _session(state, command.fresh[1], user.id, lifetime)
    return Changes(
        put=(user, Email(id=address, user_id=user.id), session),
        facts=(Fact("user.signed_up", key_of(user)),),
        answer=(user, session),
    )


def sign_in(
    state: State, command: Command, *, user_id: str, lifetime: timedelta, password_hash: str | None = None
) -> Changes:
    """Begin a session of a user whose password was checked; fresh id: the session's.

    Args:
        state: Holds the user.
        command: Brings the session's id.
        user_id: Who.
        lifetime: Of the session.
        password_hash: A stronger hash of the same password, to replace the old one.
    """
    user = state.require(User, user_id)
    session = _session(state, command.fresh[0], user_id, lifetime)
    if password_hash is None:
        return Changes(put=(session,), answer=(user, session))
    user = replace(user, password_hash=password_hash)
    return Changes(put=(session, user), answer=(user, session))


def sign_out(state: State, session_id: str) -> Changes:
    """Revoke a session, for good; void when it is revoked or unknown."""
    session = state.get(Session, session_id)
    if session is None or session.revoked_at is not None:
        return Changes()
    session = replace(session, revoked_at=state.now)
    return Changes(put=(session,), facts=(Fact("session.revoked", key_of(session)),), answer=(session,))


def give_role(state: State, user_id: str, role: str) -> Changes:
    """Give a user a role; void when they have it. Their tokens have it when they are renewed.

    Raises:
        NotFound: There is no such user.
        InvalidInput: It is no name of a role.
    """
    user = state.require(User, user_id)
    if not ROLE.fullmatch(role):
        msg = "A role is 1 to 40 small letters, digits, - and _, a letter first."
        raise InvalidInput(msg, code="bad_role", field="role")
    return _with_roles(user, user.roles if role in user.roles else (*user.roles, role))


def take_role(state: State, user_id: str, role: str) -> Changes:
    """Take a role from a user; void when they have it not. Tokens that they have keep it, until they are refused.

    Raises:
        NotFound: There is no such user.
    """
    user = state.require(User, user_id)
    return _with_roles(user, tuple(one for one in user.roles if one != role))


def _with_roles(user: User, roles: tuple[str, ...]) -> Changes:
    if roles == user.roles:
        return Changes(answer=(user,))
    user = replace(user, roles=roles)
    return Changes(put=(user,), facts=(Fact("user.updated", key_of(user)),), answer=(user,))


def _session(state: State, id: str, user_id: str, lifetime: timedelta) -> Session:
    return Session(id=id, user_id=user_id, expires_at=state.now + lifetime, created_at=state.now)
