"""Accounts: sign-up, sign-in, and a sign-out that every process hears of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from argon2 import PasswordHasher
from starlette.requests import HTTPConnection
from tests.services.stage import Stage

from ticketkit.domain.decision import Changes, Keys
from ticketkit.domain.entities import User
from ticketkit.domain.errors import Conflict, InvalidInput, NotFound
from ticketkit.marketplace import Marketplace
from ticketkit.runtime.config import Config
from ticketkit.services.auth import SignedIn
from ticketkit.services.catalogue import Boundary, ServiceName
from ticketkit.services.commands import Commands
from ticketkit.services.principal import Principal

PASSWORD = "correct horse"


def asking(token: str, *, bearer: bool = False) -> HTTPConnection:
    name, value = ("authorization", f"Bearer {token}") if bearer else ("cookie", f"session={token}")
    return HTTPConnection({"type": "http", "headers": [(name.encode(), value.encode())]})


async def who(market: Marketplace, token: str, **options: Any) -> Principal | None:
    return await market.runtime.identify(asking(token, **options))


def me(signed_in: SignedIn) -> Principal:
    return Principal(signed_in.user.id, session_id=signed_in.session.id)


async def test_who_signed_up_is_signed_in(market: Marketplace) -> None:
    signed_in = await market.auth.sign_up("Somebody@Example.com ", PASSWORD)
    assert signed_in.user.email == "Somebody@Example.com"
    for bearer in (False, True):
        found = await who(market, signed_in.token, bearer=bearer)
        assert found == Principal(signed_in.user.id, (), signed_in.session.id)


async def test_an_address_is_taken_whatever_its_case(market: Marketplace) -> None:
    await market.auth.sign_up("somebody@example.com", PASSWORD)
    with pytest.raises(Conflict) as refused:
        await market.auth.sign_up(" SOMEBODY@example.com", PASSWORD)
    assert (refused.value.code, refused.value.field) == ("email_taken", "email")


async def test_of_many_who_sign_up_with_one_address_at_once_one_gets_it(market: Marketplace) -> None:
    outcomes: list[str] = []

    async def sign_up() -> None:
        try:
            await market.auth.sign_up("somebody@example.com", PASSWORD)
            outcomes.append("welcome")
        except Conflict as error:
            outcomes.append(error.code)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(sign_up)
    assert sorted(outcomes) == ["email_taken"] * 4 + ["welcome"]


async def test_a_user_signs_in_with_the_right_password_only(market: Marketplace) -> None:
    user = (await market.auth.sign_up("somebody@example.com", PASSWORD)).user
    again = await market.auth.sign_in(" Somebody@EXAMPLE.com", PASSWORD)
    assert again.user.id == user.id
    refusals = []
    for email, password in (("somebody@example.com", "wrong horse"), ("nobody@example.com", PASSWORD)):
        with pytest.raises(InvalidInput) as refused:
            await market.auth.sign_in(email, password)
        refusals.append((str(refused.value), refused.value.code, refused.value.field, refused.value.values))
    assert refusals[0] == refusals[1], "nobody learns who has an account"


async def test_a_refused_sign_in_does_the_same_work_whether_there_is_such_a_user_or_not(
    market: Marketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    await market.auth.sign_up("somebody@example.com", PASSWORD)
    verify, verified = PasswordHasher.verify, 0

    def noting(self: PasswordHasher, hashed: str, password: str) -> bool:
        nonlocal verified
        verified += 1
        return bool(verify(self, hashed, password))

    monkeypatch.setattr(PasswordHasher, "verify", noting)
    work = []
    for email in ("somebody@example.com", "nobody@example.com"):
        verified = 0
        with pytest.raises(InvalidInput):
            await market.auth.sign_in(email, "wrong horse")
        work.append(verified)
    assert work == [1, 1]


async def test_an_old_hash_is_made_anew_at_the_next_sign_in(market: Marketplace) -> None:
    user = (await market.auth.sign_up("somebody@example.com", PASSWORD)).user
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    await market.runtime.storage(Boundary.ACCOUNTS).decide(
        Keys.of(User.key(user.id)),
        lambda state: Changes(put=(replace(state.require(User, user.id), password_hash=weak),)),
        Commands(market.config.new_id).ask("test", actor=None),
    )
    with pytest.raises(InvalidInput):
        await market.auth.sign_in("somebody@example.com", "wrong horse")
    await market.auth.sign_in("somebody@example.com", PASSWORD)
    stronger = await market.auth.user(user.id)
    assert stronger is not None
    assert stronger.password_hash not in (weak, user.password_hash)
    await market.auth.sign_in("somebody@example.com", PASSWORD)
    unchanged = await market.auth.user(user.id)
    assert unchanged == stronger


async def test_a_token_is_renewed_while_its_session_lives(market: Marketplace) -> None:
    signed_in = await market.auth.sign_up("somebody@example.com", PASSWORD)
    await market.clock.advance(minutes=59)
    renewed = await market.auth.renew(me(signed_in))
    assert renewed is not None
    await market.clock.advance(minutes=30)
    assert await who(market, signed_in.token) is None
    assert await who(market, renewed.token) == Principal(signed_in.user.id, (), signed_in.session.id)
    await market.auth.sign_out(me(signed_in))
    assert await market.auth.renew(me(signed_in)) is None


async def test_a_session_is_over_after_its_lifetime() -> None:
    stage = Stage()
    lifetime = timedelta(hours=2)
    config = Config(
        storage="stage:a", accounts="stage:a", payment_storage="stage:a", session_lifetime=lifetime, clock=stage.clock
    )
    async with Marketplace(config=config, plugins=[stage]) as market:
        signed_in = await market.auth.sign_up("somebody@example.com", PASSWORD)
        await stage.clock.advance(hours=1, minutes=30)
        renewed = await market.auth.renew(me(signed_in))
        assert renewed is not None
        await stage.clock.advance(minutes=30)
        assert await who(market, renewed.token) is None, "no token outlives its session"
        assert await market.auth.renew(me(signed_in)) is None


async def test_who_signed_out_here_is_out_here_at_once_and_other_sessions_go_on(market: Marketplace) -> None:
    first = await market.auth.sign_up("somebody@example.com", PASSWORD)
    second = await market.auth.sign_in("somebody@example.com", PASSWORD)
    await market.auth.sign_out(me(first))
    await market.auth.sign_out(me(first))
    await market.clock.settle()
    assert await who(market, first.token) is None
    assert await who(market, second.token) is not None


async def test_somebody_of_the_app_has_no_session_to_end_or_renew(market: Marketplace) -> None:
    await market.auth.sign_out(Principal("somebody"))
    assert await market.auth.renew(Principal("somebody")) is None
    assert await market.auth.renew(Principal("somebody", session_id="unknown")) is None


def alone(stage: Stage, service: str) -> Marketplace:
    config = Config(
        storage="stage:inventory",
        accounts="stage:accounts",
        payment_storage="stage:payments",
        bus="stage:bus",
        provider="stage:",
        timers="stage:timers",
        services=frozenset({ServiceName(service)}),
        drain=0.2,
        clock=stage.clock,
    )
    return Marketplace(config=config, plugins=[stage])


@pytest.mark.parametrize("service", ["tickets", "orders", "payments", "expiration", "auth"])
async def test_a_sign_out_is_heard_by_every_other_process_within_five_seconds(service: str) -> None:
    stage = Stage()
    async with alone(stage, "auth") as auth, alone(stage, service) as other:
        signed_in = await auth.auth.sign_up("somebody@example.com", PASSWORD)
        assert await who(other, signed_in.token) is not None
        await auth.auth.sign_out(me(signed_in))
        await stage.clock.advance(seconds=5)
        assert await who(other, signed_in.token) is None


async def test_a_sign_out_is_heard_within_five_seconds_of_the_bus_coming_back() -> None:
    stage = Stage()
    async with alone(stage, "auth") as auth, alone(stage, "orders") as orders:
        signed_in = await auth.auth.sign_up("somebody@example.com", PASSWORD)
        stage.bus().goes()
        await auth.auth.sign_out(me(signed_in))
        await stage.clock.advance(seconds=30)
        assert await who(orders, signed_in.token) is not None
        stage.bus().comes_back()
        await stage.clock.advance(seconds=5)
        assert await who(orders, signed_in.token) is None


async def test_a_process_that_starts_later_learns_within_a_minute_who_signed_out_before() -> None:
    stage = Stage()
    async with alone(stage, "auth") as auth:
        signed_in = await auth.auth.sign_up("somebody@example.com", PASSWORD)
        await auth.auth.sign_out(me(signed_in))
        await stage.clock.advance(seconds=10)
        async with alone(stage, "orders") as orders:
            assert await who(orders, signed_in.token) is not None
            await stage.clock.advance(seconds=60)
            assert await who(orders, signed_in.token) is None


async def test_auth_itself_knows_after_a_restart_who_signed_out_before() -> None:
    stage = Stage()
    async with alone(stage, "auth") as auth:
        signed_in = await auth.auth.sign_up("somebody@example.com", PASSWORD)
        await auth.auth.sign_out(me(signed_in))
    async with alone(stage, "auth") as auth:
        assert await who(auth, signed_in.token) is None


# --- roles ---


async def test_a_role_is_in_the_next_token(market: Marketplace) -> None:
    signed_in = await market.auth.sign_up("olga@example.com", PASSWORD)
    given = await market.auth.give_role("Olga@example.com", "operator")
    assert given.roles == ("operator",)
    assert (await who(market, signed_in.token)) == Principal(given.id, (), signed_in.session.id)
    renewed = await market.auth.renew(me(signed_in))
    assert renewed is not None
    again = await market.auth.sign_in("olga@example.com", PASSWORD)
    for fresh in (renewed, again):
        found = await who(market, fresh.token)
        assert found is not None
        assert found.roles == ("operator",)
    assert await market.auth.with_role("operator") == (given,)


async def test_who_loses_a_role_is_signed_out_everywhere_and_nobody_else_is(market: Marketplace) -> None:
    first = await market.auth.sign_up("olga@example.com", PASSWORD, roles=("operator", "press"))
    second = await market.auth.sign_in("olga@example.com", PASSWORD)
    other = await market.auth.sign_up("otto@example.com", PASSWORD, roles=("operator",))
    taken = await market.auth.take_role("olga@example.com", "operator")
    assert taken.roles == ("press",)
    await market.clock.advance(seconds=1)
    assert [await who(market, one.token) for one in (first, second)] == [None, None]
    assert await market.auth.renew(me(first)) is None
    assert await who(market, other.token) == Principal(other.user.id, ("operator",), other.session.id)
    assert [user.email for user in await market.auth.with_role("operator")] == ["otto@example.com"]
    back = await who(market, (await market.auth.sign_in("olga@example.com", PASSWORD)).token)
    assert back is not None
    assert back.roles == ("press",)


async def test_taking_a_role_again_signs_out_who_is_left(market: Marketplace) -> None:
    await market.auth.sign_up("olga@example.com", PASSWORD)
    await market.auth.take_role("olga@example.com", "operator")
    signed_in = await market.auth.sign_in("olga@example.com", PASSWORD)
    assert await market.auth.sign_out_everywhere(signed_in.user.id) == 1
    assert await market.auth.sign_out_everywhere(signed_in.user.id) == 0


async def test_a_role_needs_an_account(market: Marketplace) -> None:
    for change in (market.auth.give_role, market.auth.take_role):
        with pytest.raises(NotFound) as refused:
            await change("nobody@example.com", "operator")
        assert refused.value.code == "user_not_found"
