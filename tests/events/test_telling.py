"""What events tell is the whole public state of an entity, and never a secret."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ticketkit.domain.entities import (
    ENTITIES,
    CancelReason,
    Charge,
    Email,
    Entity,
    Holds,
    Line,
    LineKind,
    LiveEvent,
    Order,
    OrderCopy,
    OrderStatus,
    Refund,
    Session,
    Ticket,
    TicketStatus,
    User,
    Webhook,
)
from ticketkit.domain.money import Money
from ticketkit.events.catalogue import CATALOGUE, Amount, OrderCreated, OrderLine
from ticketkit.events.contract import Contract
from ticketkit.events.schemas import schema_of
from ticketkit.events.telling import UntoldFact, body_of, contract_for, source_of, tell, type_of

NOW = datetime(2026, 11, 20, 19, 30, tzinfo=UTC)
PRICE = Money(5000, "USD")
SECRET = "s3cret"

PUBLIC: dict[str, Entity] = {
    "user": User(
        id="user-1", email=f"{SECRET}@example.org", password_hash=SECRET, roles=("admin",), created_at=NOW, version=1
    ),
    "session": Session(id="session-1", user_id="user-1", expires_at=NOW, revoked_at=NOW, created_at=NOW, version=2),
    "live_event": LiveEvent(
        id="show-1",
        name="Hamilton",
        venue="Rodgers",
        starts_at=NOW,
        zone="America/New_York",
        owner_id="user-1",
        created_at=NOW,
        version=1,
        extra={"app": {"door": 7}},
    ),
    "ticket": Ticket(id="ticket-1", title="A1", price=PRICE, seller_id="user-1", seat="A1", created_at=NOW, version=4),
    "order": Order(
        id="order-1",
        buyer_id="user-2",
        lines=(Line(title="A1", amount=PRICE, ticket_id="ticket-1"),),
        expires_at=NOW,
        placed_until=NOW,
        created_at=NOW,
        version=5,
    ),
    "charge": Charge(
        id="charge-1",
        order_id="order-1",
        buyer_id="user-2",
        amount=PRICE,
        provider="fake",
        reference="ch_1",
        token=SECRET,
        action={"url": SECRET},
        created_at=NOW,
        version=6,
    ),
    "refund": Refund(
        id="refund-1", charge_id="charge-1", order_id="order-1", amount=PRICE, reason="rain", created_at=NOW, version=1
    ),
}
PRIVATE: list[Entity] = [
    Email(id=f"{SECRET}@example.org", user_id="user-1"),
    Holds(id="show-1/user-2"),
    OrderCopy(id="order-1", buyer_id="b", status=OrderStatus.CREATED, total=PRICE, expires_at=NOW, order_version=1),
    Webhook(id="fake:1", provider="fake", reference=None, what="charge", body=SECRET, received_at=NOW),
]
TOLD = {
    contract.NAME: PUBLIC[contract.NAME.partition(".")[0]]
    for contract in CATALOGUE
    if contract.NAME != "order.expiration_due"
}


def names(value: Any) -> Iterator[str]:
    """All names of fields in a schema, however deep."""
    if isinstance(value, dict):
        yield from value.get("properties", {})
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from names(item)


def test_every_kind_of_entity_is_looked_at_here() -> None:
    assert {*PUBLIC, *(entity.KIND for entity in PRIVATE)} == {*ENTITIES}


@pytest.mark.parametrize("name", sorted(TOLD))
def test_no_event_contains_an_email_a_password_hash_or_a_token(name: str) -> None:
    body = tell(name, TOLD[name]).to_body().decode()
    assert SECRET not in body
    assert "@" not in body


@pytest.mark.parametrize("contract", CATALOGUE, ids=lambda contract: contract.NAME)
def test_no_contract_has_a_field_for_a_secret(contract: Any) -> None:
    for field in names(schema_of(contract)):
        assert not any(word in field.lower() for word in ("email", "password", "hash", "token", "secret", "card"))


@pytest.mark.parametrize("name", sorted(TOLD))
def test_an_event_carries_id_and_version_of_its_aggregate(name: str) -> None:
    told = tell(name, TOLD[name])
    assert (told.id, told.version) == (TOLD[name].id, TOLD[name].version)
    assert isinstance(told, contract_for(name))


def test_an_event_carries_the_whole_public_state() -> None:
    assert tell("order.created", PUBLIC["order"]) == OrderCreated(
        id="order-1",
        version=5,
        user_id="user-2",
        status=OrderStatus.CREATED,
        expires_at=NOW,
        total=Amount(minor=5000, currency="USD"),
        lines=(
            OrderLine.model_validate(
                {"kind": "ticket", "title": "A1", "amount": {"minor": 5000, "currency": "USD"}, "ticketId": "ticket-1"}
            ),
        ),
    )
    assert json.loads(tell("live_event.created", PUBLIC["live_event"]).to_body())["extra"] == {"app": {"door": 7}}


@pytest.mark.parametrize("entity", PRIVATE, ids=lambda entity: entity.KIND)
def test_nothing_is_told_of_a_private_entity(entity: Entity) -> None:
    with pytest.raises(UntoldFact, match=f"A {entity.KIND} is not public"):
        tell("order.created", entity)


def test_a_fact_without_a_contract_is_refused() -> None:
    with pytest.raises(UntoldFact, match=r"order\.burnt"):
        tell("order.burnt", PUBLIC["order"])


@pytest.mark.parametrize("kind", sorted(PUBLIC))
def test_every_public_entity_has_a_source(kind: str) -> None:
    assert source_of(PUBLIC[kind]).startswith("/ticketkit/")


_ODD = 'Ünï "quoted" \\ 😀 \u2028 \x7f'
_MICRO = NOW.replace(microsecond=1234)
_HOT: list[Entity] = [
    Ticket(id="t", title=_ODD, price=PRICE, seller_id="s", created_at=NOW, version=1),
    Ticket(
        id="t",
        title="x",
        price=PRICE,
        seller_id="s",
        event_id="e",
        seat=_ODD,
        status=TicketStatus.LOCKED,
        order_id="o",
        created_at=NOW,
        version=2,
        extra={"a:b": [1, None, True, 1.5, _ODD]},
    ),
    Order(
        id="o",
        buyer_id="b",
        status=OrderStatus.CANCELLED,
        reason=CancelReason.EXPIRED,
        lines=(
            Line(title=_ODD, amount=PRICE, ticket_id="t", event_id="e", seat="1"),
            Line(kind=LineKind.FEE, title="Fee", amount=PRICE),
        ),
        expires_at=_MICRO,
        placed_until=NOW,
        charge_id="c",
        created_at=NOW,
        version=3,
        extra={"a:b": {}},
    ),
    *PUBLIC.values(),
]


@pytest.mark.parametrize("contract", CATALOGUE, ids=lambda contract: contract.NAME)
def test_the_body_that_is_written_directly_is_the_contracts(contract: type[Contract]) -> None:
    told = [entity for entity in _HOT if contract.NAME.partition(".")[0] == entity.KIND]
    assert told
    for entity in told:
        assert body_of(contract.NAME, entity) == tell(contract.NAME, entity).to_body()
        assert type_of(contract.NAME) == contract.type()
