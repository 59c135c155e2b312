"""The schemas of contracts are exported, and a change that releases would misunderstand is found."""

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import ConfigDict, Field, create_model

from ticketkit.events.catalogue import CATALOGUE, OrderCreated
from ticketkit.events.compatibility import Finding, Kind
from ticketkit.events.contract import Contract, Shape
from ticketkit.events.registry import Registry
from ticketkit.events.schemas import check, export, schema_of

COMMITTED = Path(__file__).parents[2] / "docs" / "contracts"


class Colour(StrEnum):
    """Before."""

    RED = "red"
    BLUE = "blue"


class FewerColours(StrEnum):
    """After: one is gone."""

    RED = "red"


class MoreColours(StrEnum):
    """After: one is new."""

    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class Hull(Shape):
    """A shape within."""

    length: int


class LongHull(Shape):
    """The same with a required field more."""

    length: int
    beam: int


class Part(Shape):
    """A shape that contains itself."""

    name: str
    parts: "tuple[Part, ...]" = ()


class PartWithWeight(Shape):
    """The same with a type changed inside."""

    name: int
    parts: "tuple[PartWithWeight, ...]" = ()


class Strict(Contract):
    """A contract that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid")
    NAME: ClassVar = "ship.sighted"


Text = Annotated[str, Field(max_length=200)]
ShortText = Annotated[str, Field(max_length=100)]
Count = Annotated[int, Field(ge=1)]
BigCount = Annotated[int, Field(ge=10)]


def contract(**fields: Any) -> type[Contract]:
    """A contract with these fields: a type, or a pair of type and default."""
    definitions: Any = {name: field if isinstance(field, tuple) else (field, ...) for name, field in fields.items()}
    made: type[Contract] = create_model("ShipSighted", __base__=Contract, __doc__="A ship was seen.", **definitions)
    made.NAME = "ship.sighted"
    return made


def changed(folder: Path, old: type[Contract], new: type[Contract]) -> list[Finding]:
    export(folder, [old])
    return check(folder, [new])


@pytest.mark.parametrize(
    ("old", "new", "kind", "words"),
    [
        ({"flag": str}, {}, Kind.FIELD_REMOVED, "flag was removed"),
        ({"flag": (str, "")}, {}, Kind.FIELD_REMOVED, "flag was removed"),
        ({}, {"flag": str}, Kind.FIELD_REQUIRED, "flag was added without a default"),
        ({"flag": (str, "")}, {"flag": str}, Kind.FIELD_REQUIRED, "flag is required now"),
        ({"flag": str}, {"flag": (str, "")}, Kind.FIELD_OPTIONAL, "flag is no longer required"),
        ({"flag": str | None}, {"flag": str}, Kind.TYPE_CHANGED, "flag may no longer be null"),
        ({"flag": str}, {"flag": str | None}, Kind.TYPE_CHANGED, "flag may be null now"),
        ({"flag": str}, {"flag": int}, Kind.TYPE_CHANGED, "flag was string and is integer now"),
        ({"at": str}, {"at": datetime}, Kind.TYPE_CHANGED, "at was string and is string (date-time) now"),
        ({"flag": str}, {"flag": Colour}, Kind.TYPE_CHANGED, "flag takes only blue or red now"),
        ({"flag": Colour}, {"flag": str}, Kind.TYPE_CHANGED, "flag takes any string now"),
        ({"flag": Colour}, {"flag": FewerColours}, Kind.VALUE_REMOVED, "flag may no longer be 'blue'"),
        ({"flag": Colour}, {"flag": MoreColours}, Kind.VALUE_ADDED, "flag may be 'green' now"),
        ({"flag": Literal["a"]}, {"flag": Literal["b"]}, Kind.VALUE_REMOVED, "flag may no longer be 'a'"),
        ({"flag": Colour | None}, {"flag": FewerColours | None}, Kind.VALUE_REMOVED, "flag may no longer be 'blue'"),
        ({"title": Text}, {"title": ShortText}, Kind.BOUNDS_CHANGED, "title: maxLength was 200 and is 100 now: old"),
        (
            {"title": str},
            {"title": Text},
            Kind.BOUNDS_CHANGED,
            "maxLength was without limit and is 200 now: old events",
        ),
        ({"title": Text}, {"title": str}, Kind.BOUNDS_CHANGED, "is without limit now: old readers"),
        ({"crew": Count}, {"crew": BigCount}, Kind.BOUNDS_CHANGED, "crew: minimum was 1 and is 10 now: old events"),
        ({"crew": BigCount}, {"crew": Count}, Kind.BOUNDS_CHANGED, "old readers may refuse"),
        ({"hull": Hull}, {"hull": LongHull}, Kind.FIELD_REQUIRED, "hull.beam was added without a default"),
        ({"hulls": list[Hull]}, {"hulls": list[LongHull]}, Kind.FIELD_REQUIRED, "hulls[].beam was added"),
        ({"hulls": dict[str, Hull]}, {"hulls": dict[str, LongHull]}, Kind.FIELD_REQUIRED, "hulls[].beam was added"),
        ({"hull": Hull}, {"hull": dict[str, int]}, Kind.TYPE_CHANGED, "hull was object and is map now"),
        ({"at": tuple[int, int]}, {"at": tuple[int, str]}, Kind.TYPE_CHANGED, "at[1] was integer and is string now"),
        ({"at": tuple[int, int]}, {"at": tuple[int]}, Kind.TYPE_CHANGED, "at had 2 items and has 1 now"),
        ({"part": Part}, {"part": PartWithWeight}, Kind.TYPE_CHANGED, "part.name was string and is integer now"),
    ],
)
def test_a_change_that_releases_would_misunderstand_is_found(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any], kind: Kind, words: str
) -> None:
    findings = changed(tmp_path, contract(**old), contract(**new))
    assert kind in {finding.kind for finding in findings}
    assert any(words in str(finding) for finding in findings), [str(finding) for finding in findings]
    assert not any(finding.compatible for finding in findings)
    assert all(str(finding).startswith("ticketkit.ship.sighted.v1: ") for finding in findings)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"flag": (str, "")}),
        ({}, {"flag": (str | None, None)}),
        ({"hull": Hull}, {"hull": (Annotated[Hull, Field(description="Said anew.")])}),
        ({"flag": (str, "a")}, {"flag": (str, "b")}),
    ],
)
def test_a_compatible_change_is_found_only_as_not_exported_yet(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert [(finding.kind, finding.compatible) for finding in changed(tmp_path, contract(**old), contract(**new))] == [
        (Kind.OUT_OF_DATE, True)
    ]
    export(tmp_path, [contract(**new)])
    assert check(tmp_path, [contract(**new)]) == []


def test_a_new_contract_is_found_as_not_exported_yet(tmp_path: Path) -> None:
    (finding,) = check(tmp_path, [contract()])
    assert (finding.kind, finding.message) == (Kind.OUT_OF_DATE, "it is not exported yet.")


def test_a_contract_that_is_gone_is_found(tmp_path: Path) -> None:
    export(tmp_path, [contract()])
    assert [finding.kind for finding in check(tmp_path, [])] == [Kind.CONTRACT_REMOVED]


def test_readers_that_begin_to_refuse_unknown_fields_are_found(tmp_path: Path) -> None:
    findings = changed(tmp_path, contract(), Strict)
    assert [finding.message for finding in findings] == [
        "the body refuses unknown fields now, and readers have to ignore them."
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "object", "properties": 7}', '{"$ref": "#/$defs/Nothing"}'])
def test_a_file_that_is_no_schema_is_found(tmp_path: Path, text: str) -> None:
    (file,) = export(tmp_path, [contract()])
    file.write_text(text, encoding="utf-8")
    assert [finding.kind for finding in check(tmp_path, [contract()])] == [Kind.UNREADABLE]


def test_a_shape_that_contains_itself_is_compared_once(tmp_path: Path) -> None:
    assert changed(tmp_path, contract(part=Part), contract(part=Part)) == []


def test_an_export_is_one_file_a_type_and_writes_only_what_changed(tmp_path: Path) -> None:
    (file,) = export(tmp_path / "new" / "folder", [contract(flag=str)])
    assert file.name == "ticketkit.ship.sighted.v1.json"
    assert file.read_bytes().endswith(b"}\n")
    assert export(file.parent, [contract(flag=str)]) == []
    assert export(file.parent, [contract(flag=int)]) == [file]


def test_a_schema_says_what_readers_take() -> None:
    schema = schema_of(OrderCreated)
    assert schema["x-cloudevents-type"] == "ticketkit.order.created.v1"
    assert schema["$id"] == "urn:ticketkit:contract:ticketkit.order.created.v1"
    assert schema["title"] == "OrderCreated"
    assert schema["description"] == "Tickets are locked for a buyer."
    assert {"id", "version", "userId", "lines"} <= set(schema["required"])
    assert "chargeId" not in schema["required"]
    assert schema["properties"]["expiresAt"]["format"] == "date-time"


def test_what_is_committed_says_the_same_as_the_catalogue() -> None:
    assert [str(finding) for finding in check(COMMITTED, Registry())] == []
    assert {json.loads(file.read_text(encoding="utf-8"))["x-cloudevents-type"] for file in COMMITTED.iterdir()} == {
        contract.type() for contract in CATALOGUE
    }
