"""The app's own members are who ticketkit sells to."""

from __future__ import annotations

from typing import Any

import pytest

PASSWORD = "correct horse battery"


async def test_a_member_is_a_seller_and_a_buyer_for_ticketkit(ada: Any, bob: Any) -> None:
    listed = await ada.post("/shop/api/tickets", json={"title": "My seat", "price": 20, "currency": "EUR"})
    assert listed.status_code == 201
    ticket = listed.json()
    assert ticket["userId"] == (await ada.post("/sign-in", json=_of(ada))).json()["id"]
    own = await ada.post("/bookings", json={"seats": [ticket["id"]]})
    assert (own.status_code, own.json()["code"]) == (409, "own_ticket")
    assert (await bob.post("/shop/api/orders", json={"ticketId": ticket["id"]})).status_code == 201


async def test_nobody_buys_without_signing_in(visit: Any, orchard: list[str]) -> None:
    nobody = await visit()
    assert (await nobody.post("/bookings", json={"seats": orchard[:1]})).status_code == 401
    assert (await nobody.post("/shop/api/orders", json={"ticketId": orchard[0]})).status_code == 401
    assert (await nobody.get("/receipts")).status_code == 401


async def test_who_signed_out_is_nobody_everywhere(ada: Any, orchard: list[str]) -> None:
    kept = {"cookie": f"lantern={ada.cookies['lantern']}"}
    assert (await ada.post("/sign-out")).status_code == 204
    assert "lantern" not in ada.cookies
    assert (await ada.get("/receipts", headers=kept)).status_code == 401
    assert (await ada.post("/shop/api/orders", json={"ticketId": orchard[0]}, headers=kept)).status_code == 401
    assert (await ada.post("/sign-in", json=_of(ada))).status_code == 200
    assert (await ada.get("/receipts")).status_code == 200


@pytest.mark.parametrize(
    "changed", [{"password": "correct horse"}, {"email": "eve@example.com"}, {"email": "", "password": ""}]
)
async def test_a_wrong_password_and_an_unknown_address_are_told_alike(
    ada: Any, visit: Any, changed: dict[str, str]
) -> None:
    refused = await (await visit()).post("/sign-in", json={**_of(ada), **changed})
    assert (refused.status_code, refused.cookies.get("lantern")) == (403, None)
    assert refused.json() == {"detail": "There is no member with this address and password."}


async def test_an_address_is_one_member_whatever_its_case(ada: Any, visit: Any) -> None:
    body = {"name": "Ada again", "email": ada.email.upper(), "password": PASSWORD}
    assert (await (await visit()).post("/join", json=body)).status_code == 409
    assert (await ada.post("/sign-in", json={**_of(ada), "email": ada.email.title()})).status_code == 200


async def test_what_the_database_keeps_signs_nobody_in(ada: Any, house: Any, visit: Any) -> None:
    from sqlalchemy import select

    from ticketkit_embedded.members import Member, Session

    token = ada.cookies["lantern"]
    async with house.database.session() as session:
        [member] = await session.scalars(select(Member).where(Member.email == ada.email))
        [digest] = await session.scalars(select(Session.digest).where(Session.member_id == member.id))
    assert token not in digest
    assert PASSWORD not in member.password_hash
    nobody = await visit()
    assert (await nobody.get("/receipts", headers={"cookie": f"lantern={digest}"})).status_code == 401
    assert (await nobody.get("/receipts", headers={"cookie": f"lantern={token}"})).status_code == 200


def _of(member: Any) -> dict[str, str]:
    return {"email": member.email, "password": PASSWORD}
