"""The registry reads events of every version it knows, and leaves newer ones waiting."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from ticketkit.events.catalogue import CATALOGUE, OrderCreated
from ticketkit.events.contract import Contract, is_contract
from ticketkit.events.envelope import Envelope, MalformedEvent
from ticketkit.events.registry import Registry, UnknownContract


class ShipSighted(Contract):
    """A ship was seen."""

    NAME: ClassVar = "ship.sighted"

    flag: str


class ShipSighted2(Contract):
    """A ship was seen; it may fly several flags."""

    NAME: ClassVar = "ship.sighted"
    VERSION: ClassVar = 2

    flags: tuple[str, ...]


class ShipSighted3(Contract):
    """A ship was seen, with its crew."""

    NAME: ClassVar = "ship.sighted"
    VERSION: ClassVar = 3

    flags: tuple[str, ...]
    crew: int | None


def to_2(old: ShipSighted) -> ShipSighted2:
    return ShipSighted2(id=old.id, version=old.version, flags=(old.flag,))


def to_3(old: ShipSighted2) -> ShipSighted3:
    return ShipSighted3(id=old.id, version=old.version, flags=old.flags, crew=None)


def event(type: str, body: str) -> Envelope:
    return Envelope(
        id="1",
        type=type,
        source="/port",
        subject="ship-1",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        aggregateversion=1,
        data=body.encode(),
    )


OLD = event("ticketkit.ship.sighted.v1", '{"id": "ship-1", "version": 7, "flag": "red"}')
NEW = event("ticketkit.ship.sighted.v2", '{"id": "ship-1", "version": 7, "flags": ["red", "blue"]}')


@pytest.fixture
def registry() -> Registry:
    found = Registry([ShipSighted])
    found.register(ShipSighted2, upcast=to_2)
    return found


def test_an_event_is_read_by_its_contract(registry: Registry) -> None:
    read = registry.read(NEW)
    assert read.data == ShipSighted2(id="ship-1", version=7, flags=("red", "blue"))
    assert read.envelope is NEW


def test_an_old_event_is_read_as_the_newest_version(registry: Registry) -> None:
    assert registry.read(OLD).data == ShipSighted2(id="ship-1", version=7, flags=("red",))
    registry.register(ShipSighted3, upcast=to_3)
    assert registry.read(OLD).data == ShipSighted3(id="ship-1", version=7, flags=("red",), crew=None)
    assert registry.newest("ship.sighted") is ShipSighted3


def test_a_version_that_is_not_known_waits() -> None:
    with pytest.raises(UnknownContract, match=r"ticketkit\.ship\.sighted\.v2 is not known to this release"):
        Registry([ShipSighted]).read(NEW)


def test_an_event_that_is_not_known_waits(registry: Registry) -> None:
    with pytest.raises(UnknownContract):
        registry.read(event("ticketkit.ship.lost.v1", "{}"))
    with pytest.raises(UnknownContract, match=r"ship\.lost"):
        registry.newest("ship.lost")


def test_fields_that_are_not_known_are_ignored(registry: Registry) -> None:
    body = '{"id": "ship-1", "version": 7, "flags": [], "captain": "Ahab", "crew": {"size": 30}}'
    assert registry.read(event(NEW.type, body)).data == ShipSighted2(id="ship-1", version=7, flags=())


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"id": "ship-1", "version": "many", "flags": []}'])
def test_a_body_that_does_not_follow_its_contract_is_malformed(registry: Registry, body: str) -> None:
    with pytest.raises(MalformedEvent, match=r"does not follow ticketkit\.ship\.sighted\.v2"):
        registry.read(event(NEW.type, body))


def test_a_contract_is_registered_once(registry: Registry) -> None:
    with pytest.raises(ValueError, match=r"ticketkit\.ship\.sighted\.v1 already: ShipSighted"):
        registry.register(ShipSighted)


def test_a_later_version_needs_an_upcaster() -> None:
    with pytest.raises(ValueError, match="needs an upcaster from version 1"):
        Registry([ShipSighted]).register(ShipSighted2)


def test_contracts_come_by_name_and_version(registry: Registry) -> None:
    assert [contract.VERSION for contract in registry] == [1, 2]
    assert {*Registry()} == {*CATALOGUE}


def test_bodies_of_the_catalogue_are_camel_case_and_come_back() -> None:
    body = {
        "id": "order-1",
        "version": 2,
        "userId": "buyer-1",
        "status": "created",
        "expiresAt": "2026-11-20T19:45:00Z",
        "total": {"minor": 5000, "currency": "USD"},
        "lines": [{"kind": "ticket", "title": "A1", "amount": {"minor": 5000, "currency": "USD"}, "ticketId": "t"}],
    }
    order = OrderCreated.model_validate(body)
    read: Any = Registry().read(event(OrderCreated.type(), order.to_body().decode())).data
    assert read == order
    assert b'"userId":"buyer-1"' in order.to_body()
    assert b"user_id" not in order.to_body()


def test_only_finished_contracts_count_as_contracts() -> None:
    assert is_contract(ShipSighted)
    for other in (Contract, dict, OLD, None):
        assert not is_contract(other)
