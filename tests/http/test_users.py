"""Sign-up, sign-in, sign-out."""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from time import process_time
from typing import Any

import httpx2
import pytest
from tests.http.conftest import PASSWORD, Client, Visit, field_of

from ticketkit.marketplace import Marketplace
from ticketkit.runtime.config import Config

SIGN_UP = "/api/users/signup"
SIGN_IN = "/api/users/signin"
WHO = "/api/users/currentuser"


def account(name: str = "ada") -> dict[str, str]:
    return {"email": f"{name}@example.com", "password": PASSWORD}


async def test_sign_up_answers_with_the_account_and_signs_in(nobody: Client) -> None:
    response = await nobody.post(SIGN_UP, json=account())
    assert response.status_code == 201
    assert response.json() == {"id": response.json()["id"], "email": "ada@example.com"}
    assert (await nobody.get(WHO)).json() == {"currentUser": response.json()}


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(nobody: Client) -> None:
    cookie = (await nobody.post(SIGN_UP, json=account())).headers["set-cookie"]
    assert cookie.startswith("session=")
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/", f"max-age={14 * 24 * 3600}"} <= attributes
    assert "secure" not in attributes  # in development


async def test_an_address_is_taken_whatever_its_case(nobody: Client) -> None:
    await nobody.post(SIGN_UP, json=account())
    response = await nobody.post(SIGN_UP, json=account("ADA"))
    assert response.status_code == 409
    assert response.json()["code"] == "email_taken"
    assert field_of(response) == "email"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "Ada <ada@example.com>"}, "email"),
        ({"email": f"{'a' * 300}@example.com"}, "email"),
        ({"email": None}, "email"),
        ({"password": "short12"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": 12345678}, "password"),
        ({"roles": ["operator"]}, "roles"),
        ({"id": "mine"}, "id"),
    ],
)
async def test_a_bad_sign_up_names_the_field(stranger: Client, change: dict[str, Any], field: str) -> None:
    response = await stranger.post(SIGN_UP, json={**account(), **change})
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_input"
    assert field_of(response) == field


async def test_a_refusal_never_repeats_a_password(stranger: Client) -> None:
    response = await stranger.post(SIGN_UP, json={"email": "bad", "password": "my secret that is long enough"})
    assert "secret" not in response.text


async def test_sign_in_begins_a_session(visit: Visit, nobody: Client) -> None:
    await visit("ada")
    response = await nobody.post(SIGN_IN, json=account())
    assert response.status_code == 200
    assert response.json()["email"] == "ada@example.com"
    assert (await nobody.get(WHO)).json()["currentUser"] == response.json()


async def test_unknown_account_and_wrong_password_are_refused_alike(visit: Visit, nobody: Client) -> None:
    await visit("ada")
    wrong = await nobody.post(SIGN_IN, json={**account(), "password": "wrong horse"})
    unknown = await nobody.post(SIGN_IN, json=account("nobody"))
    assert wrong.status_code == unknown.status_code == 400
    assert wrong.json() == unknown.json()
    assert wrong.json()["code"] == "invalid_credentials"
    assert {*wrong.headers} == {*unknown.headers}


@pytest.mark.parametrize("market_options", [{"config": Config(sign_in_per_minute=10_000)}], ids=["no limit"])
async def test_unknown_account_and_wrong_password_take_the_same_time(market: Marketplace, app: Any) -> None:
    """The medians differ by less than 5 ms (ASVS 6.3.8), of the time that this process works, not of the clock's."""
    await market.auth.sign_up("ada@example.com", PASSWORD)

    async def seconds(name: str, number: int) -> float:
        client = (f"10.0.0.{number}", 1)
        transport = httpx2.ASGITransport(app=app, client=client)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as browser:
            began = process_time()
            await browser.post(SIGN_IN, json={**account(name), "password": "wrong horse"})
            return process_time() - began

    times: dict[str, list[float]] = {"ada": [], "nobody": []}
    for number in range(12):
        for name, taken in times.items():
            taken.append(await seconds(name, number))
    assert abs(median(times["ada"]) - median(times["nobody"])) < 0.005


async def test_a_bearer_token_is_a_session_too(visit: Visit, nobody: Client) -> None:
    ada = await visit("ada")
    token = ada.cookies["session"]
    response = await nobody.get(WHO, headers={"Authorization": f"Bearer {token}"})
    assert response.json()["currentUser"]["email"] == "ada@example.com"


@pytest.mark.parametrize("token", [b"", b"x", b"a.b.c", b"\xc3\xa9"])
async def test_a_bad_token_is_nobody(stranger: Client, token: bytes) -> None:
    response = await stranger.get(WHO, headers={b"Cookie": b"session=" + token})
    assert response.json() == {"currentUser": None}


@pytest.mark.parametrize("body", [{"json": {}}, {}])
async def test_sign_out_clears_the_cookie_and_revokes_the_session(
    visit: Visit, market: Marketplace, body: dict[str, Any]
) -> None:
    ada = await visit("ada")
    token = ada.cookies["session"]
    response = await ada.post("/api/users/signout", **body)
    assert (response.status_code, response.json()) == (200, {})
    assert "session=" in response.headers["set-cookie"]
    assert "Max-Age=0" in response.headers["set-cookie"]
    await market.clock.advance(seconds=1)
    again = await visit()
    again.cookies.set("session", token)
    assert (await again.get(WHO)).json() == {"currentUser": None}
    assert (await again.get("/api/orders")).status_code == 401


async def test_who_is_not_signed_in_may_sign_out(nobody: Client) -> None:
    assert (await nobody.post("/api/users/signout", json={})).status_code == 200


async def test_a_token_past_half_its_life_is_renewed(visit: Visit, market: Marketplace) -> None:
    ada = await visit("ada")
    assert "set-cookie" not in (await ada.get(WHO)).headers
    market.clock._now += timedelta(minutes=31)  # nothing of the marketplace is due by it
    response = await ada.get(WHO)
    assert "session=" in response.headers["set-cookie"]
    assert "set-cookie" not in (await ada.get(WHO)).headers
    market.clock._now += timedelta(minutes=45)  # the first token is over
    assert (await ada.get(WHO)).json()["currentUser"]["email"] == "ada@example.com"


async def test_the_eleventh_try_for_an_account_is_too_many(visit: Visit, nobody: Client) -> None:
    await visit("ada")
    for _ in range(10):
        assert (await nobody.post(SIGN_IN, json={**account(), "password": "x"})).status_code == 400
    elsewhere = await visit(client=("10.9.8.7", 1))
    response = await elsewhere.post(SIGN_IN, json=account("ADA"))
    assert response.status_code == 429
    assert response.json()["code"] == "too_many_requests"
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert (await nobody.post(SIGN_IN, json=account("bob"))).status_code == 400


@pytest.mark.parametrize("market_options", [{"config": Config(sign_in_per_minute_and_address=3)}], ids=["3"])
@pytest.mark.parametrize("path", [SIGN_IN, SIGN_UP])
async def test_tries_of_one_address_are_limited(visit: Visit, nobody: Client, path: str) -> None:
    for number in range(3):
        assert (await nobody.post(path, json=account(f"n{number}"))).status_code in (201, 400)
    assert (await nobody.post(path, json=account("n9"))).status_code == 429
    elsewhere = await visit(client=("10.9.8.7", 1))
    assert (await elsewhere.post(path, json=account("n8"))).status_code in (201, 400)


@pytest.mark.parametrize("market_options", [{"identity": lambda _: None}], ids=["identity"])
async def test_an_app_with_its_own_identity_has_no_user_routes(market: Marketplace) -> None:
    transport = httpx2.ASGITransport(app=market.asgi())
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        for path in (SIGN_UP, SIGN_IN, "/api/users/signout"):
            response = await client.post(path, json={})
            assert (response.status_code, response.json()["code"]) == (404, "route_not_found")
        assert (await client.get(WHO)).status_code == 404
        assert "/api/users/signup" not in (await client.get("/openapi.json")).json()["paths"]
