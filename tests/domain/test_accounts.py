from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from tests.domain.world import START, World

from ticketkit.domain import accounts
from ticketkit.domain.entities import Email, Session, User
from ticketkit.domain.errors import Conflict, InvalidInput, NotFound

DAY = timedelta(days=1)


def sign_up(world: World, email: str, *ids: str) -> User:
    command = world.command(*ids)
    return world.decide(
        lambda state: accounts.sign_up(
            state, command, email=email, password_hash="hash", lifetime=DAY, roles=("buyer",)
        ),
        command=command,
    ).one(User)


def sign_in(world: World, user: str, session: str, *, password_hash: str | None = None) -> User:
    command = world.command(session)
    return world.decide(
        lambda state: accounts.sign_in(state, command, user_id=user, lifetime=DAY, password_hash=password_hash),
        User.key(user),
        command=command,
    ).one(User)


def test_who_signs_up_has_a_session() -> None:
    world = World()
    user = sign_up(world, " Ann@Example.com ", "u1", "s1")
    assert (user.email, user.roles, user.created_at, user.version) == ("Ann@Example.com", ("buyer",), START, 1)
    session = world.get(Session, "s1")
    assert (session.user_id, session.expires_at, session.revoked_at) == ("u1", START + DAY, None)
    assert world.get(Email, "ann@example.com").user_id == "u1"


def test_no_event_tells_an_address_or_a_password() -> None:
    world = World()
    sign_up(world, "ann@example.com", "u1", "s1")
    assert world.told() == [("user.signed_up", "u1")]
    assert b"ann" not in world.events[0].data
    assert b"hash" not in world.events[0].data


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@EXAMPLE.COM", " ann@Example.com"])
def test_an_address_is_taken_once_whatever_its_case(email: str) -> None:
    world = World()
    sign_up(world, "Ann@example.com", "u1", "s1")
    with pytest.raises(Conflict) as refusal:
        sign_up(world, email, "u2", "s2")
    assert (refusal.value.code, refusal.value.field) == ("email_taken", "email")
    assert [user.id for user in world.every(User)] == ["u1"]


def test_signing_in_begins_another_session() -> None:
    world = World()
    sign_up(world, "ann@example.com", "u1", "s1")
    world.wait(hours=1)
    assert sign_in(world, "u1", "s2").version == 1
    assert world.get(Session, "s2").expires_at == START + DAY + timedelta(hours=1)
    assert sign_in(world, "u1", "s3", password_hash="stronger").password_hash == "stronger"
    with pytest.raises(NotFound) as refusal:
        sign_in(world, "u9", "s4")
    assert refusal.value.code == "user_not_found"


def test_signing_out_revokes_a_session_once() -> None:
    world = World()
    sign_up(world, "ann@example.com", "u1", "s1")
    for _ in range(2):
        world.decide(lambda state: accounts.sign_out(state, "s1"), Session.key("s1"))
        world.wait(hours=1)
    assert world.get(Session, "s1").revoked_at == START
    assert world.told()[1:] == [("session.revoked", "s1")]


def test_signing_out_of_an_unknown_session_is_void() -> None:
    world = World()
    assert world.decide(lambda state: accounts.sign_out(state, "s9"), Session.key("s9")).entities == ()


def test_a_role_is_given_once_and_taken_with_an_event_each() -> None:
    world = World()
    sign_up(world, "ann@example.com", "u1", "s1")
    for roles in (("buyer", "operator"), ("buyer", "operator"), ("buyer",), ("buyer",)):
        decision = accounts.give_role if "operator" in roles else accounts.take_role
        user = world.decide(partial(decision, user_id="u1", role="operator"), User.key("u1")).one(User)
        assert user.roles == roles
    assert world.told() == [("user.signed_up", "u1"), ("user.updated", "u1"), ("user.updated", "u1")]
    assert b'"roles":["buyer","operator"]' in world.events[1].data


@pytest.mark.parametrize("role", ["", "Operator", "a b", "1st", "x" * 41])
def test_a_role_is_a_word(role: str) -> None:
    world = World()
    sign_up(world, "ann@example.com", "u1", "s1")
    with pytest.raises(InvalidInput) as refusal:
        world.decide(partial(accounts.give_role, user_id="u1", role=role), User.key("u1"))
    assert refusal.value.code == "bad_role"


@pytest.mark.parametrize("decision", [accounts.give_role, accounts.take_role])
def test_only_a_user_has_roles(decision: Any) -> None:
    with pytest.raises(NotFound):
        World().decide(partial(decision, user_id="u1", role="operator"), User.key("u1"))
