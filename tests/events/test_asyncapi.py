"""The AsyncAPI document is complete and consistent."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from ticketkit.events.asyncapi import document
from ticketkit.events.catalogue import CATALOGUE
from ticketkit.events.contract import Contract
from ticketkit.events.envelope import Envelope
from ticketkit.events.flow import Flow
from ticketkit.events.registry import UnknownContract
from ticketkit.services.catalogue import SERVICES

FLOW = Flow(
    says={service.name.value: service.says for service in SERVICES.values()},
    hears={service.name.value: service.hears for service in SERVICES.values()},
    broadcast={service.name.value: service.broadcast for service in SERVICES.values()},
)


class ShipSighted(Contract):
    """A ship was seen."""

    NAME: ClassVar = "ship.sighted"


class ShipSightedWithFlag(Contract):
    """A ship was seen, with its flag."""

    NAME: ClassVar = "ship.sighted"
    VERSION: ClassVar = 2

    flag: str


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def resolve(made: dict[str, Any], reference: str) -> Any:
    found: Any = made
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document(CATALOGUE, FLOW, title="A marketplace", version="1.2.3")


def test_it_has_what_the_specification_requires(made: dict[str, Any]) -> None:
    assert made["asyncapi"] == "3.0.0"
    assert made["info"]["title"] == "A marketplace"
    assert made["info"]["version"] == "1.2.3"
    for operation in made["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert operation["channel"]["$ref"].startswith("#/channels/")
    for name in (*made["components"]["messages"], *made["components"]["schemas"]):
        assert re.fullmatch(r"[\w.\-]+", name)


def test_every_reference_leads_somewhere(made: dict[str, Any]) -> None:
    found = set(references(made))
    assert all(resolve(made, reference) is not None for reference in found)
    assert not any("$defs" in reference for reference in found)


def test_messages_of_operations_are_messages_of_their_channel(made: dict[str, Any]) -> None:
    for operation in made["operations"].values():
        assert operation["messages"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{operation['channel']['$ref']}/messages/")


def test_there_is_a_channel_for_each_event_name_and_a_message_for_each_type(made: dict[str, Any]) -> None:
    assert made["channels"].keys() == {contract.NAME for contract in CATALOGUE}
    assert {message["name"] for message in made["components"]["messages"].values()} == {
        contract.type() for contract in CATALOGUE
    }


def test_services_send_what_they_say_and_receive_what_they_hear(made: dict[str, Any]) -> None:
    operations = made["operations"]
    for service in SERVICES.values():
        assert {name for name in service.says if f"{service.name}.send.{name}" in operations} == {*service.says}
        heard = {*service.hears, *service.broadcast}
        assert {name for name in heard if f"{service.name}.receive.{name}" in operations} == heard
    assert len(operations) == sum(len(s.says) + len(s.hears) + len(s.broadcast) for s in SERVICES.values())


def test_headers_are_the_attributes_of_the_envelope(made: dict[str, Any]) -> None:
    headers = made["components"]["schemas"]["CloudEvent"]
    fields = set(Envelope.__dataclass_fields__) - {"data"}
    assert headers["properties"].keys() == {"specversion", *fields}
    assert set(headers["required"]) <= headers["properties"].keys()
    fixed = made["components"]["messages"]["order.created.v1"]["headers"]["allOf"][1]
    assert fixed["properties"]["type"]["const"] == "ticketkit.order.created.v1"


def test_versions_of_an_event_share_its_channel() -> None:
    made = document([ShipSighted, ShipSightedWithFlag], Flow(says={"port": ["ship.sighted"]}, hears={}))
    assert made["channels"]["ship.sighted"]["messages"].keys() == {"ship.sighted.v1", "ship.sighted.v2"}
    assert len(made["operations"]["port.send.ship.sighted"]["messages"]) == 2


def test_an_event_without_a_contract_is_refused() -> None:
    with pytest.raises(UnknownContract, match=r"ship\.lost"):
        document([ShipSighted], Flow(says={"port": ["ship.lost"]}, hears={}))
