"""What changed between two JSON Schemas of one event type, and whether releases still understand each other.

While a release is rolled out, both are there: new readers get old events, old readers get new ones. So a published
type may only grow by optional fields, which old readers ignore; anything else is a new version with an upcaster, which
old readers leave waiting. That holds for a new value of an enumeration and for a wider type too: the readers of the old
release would refuse such an event for good, and it would end in the dead letters.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema: TypeAlias = "dict[str, Any]"

_AT_LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_AT_MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_EQUAL: Final = ("pattern", "multipleOf", "uniqueItems")


class Kind(StrEnum):
    """What is wrong between the contracts and their committed schemas."""

    CONTRACT_REMOVED = "contract_removed"
    FIELD_REMOVED = "field_removed"
    FIELD_REQUIRED = "field_required"
    FIELD_OPTIONAL = "field_optional"
    TYPE_CHANGED = "type_changed"
    VALUE_REMOVED = "value_removed"
    VALUE_ADDED = "value_added"
    BOUNDS_CHANGED = "bounds_changed"
    UNREADABLE = "unreadable"
    OUT_OF_DATE = "out_of_date"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        type: The CloudEvents type that it is about.
        message: A sentence for people.
    """

    kind: Kind
    type: str
    message: str

    @property
    def compatible(self) -> bool:
        """Whether old and new releases understand each other all the same."""
        return self.kind is Kind.OUT_OF_DATE

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Node:
    """A part of a schema, with the document that its references lead into."""

    schema: Schema
    root: Schema

    def at(self, schema: Any) -> _Node:
        """A part of it; `true` and `false` count as a schema that says nothing."""
        return _Node(schema if isinstance(schema, dict) else {}, self.root).resolved()

    def resolved(self) -> _Node:
        found = self.schema
        while (reference := found.get("$ref")) is not None:
            found = self.root["$defs"][reference.removeprefix("#/$defs/")]
        return _Node(found, self.root)

    def alternatives(self) -> dict[str, _Node]:
        """The types that it allows, by a word for each; of two objects or arrays the second is `object 2`."""
        options = self.schema.get("anyOf") or self.schema.get("oneOf")
        nodes = list(chain(*(self.at(option).alternatives().values() for option in options))) if options else [self]
        words = Counter[str]()
        found = {}
        for node in nodes:
            word = node.word()
            words[word] += 1
            found[word if words[word] == 1 else f"{word} {words[word]}"] = node
        return found

    def word(self) -> str:
        word = self.schema.get("type", "anything" if self.values() is None else "value")
        if word == "object" and "properties" not in self.schema:
            word = "map"
        return f"{word} ({self.schema['format']})" if "format" in self.schema else str(word)

    def values(self) -> list[Any] | None:
        if "const" in self.schema:
            return [self.schema["const"]]
        values: list[Any] | None = self.schema.get("enum")
        return values


def compare(type: str, old: Schema, new: Schema) -> list[Finding]:
    """What a change of a schema breaks between releases; nothing when only optional fields were added.

    Args:
        type: The CloudEvents type, for the findings.
        old: The published schema, as pydantic makes them.
        new: The present one.
    """
    return [
        Finding(kind, type, message)
        for kind, message in _compare(_Node(old, old).resolved(), _Node(new, new).resolved(), "the body", frozenset())
    ]


_Findings: TypeAlias = "Iterator[tuple[Kind, str]]"


def _compare(old: _Node, new: _Node, path: str, seen: frozenset[tuple[int, int]]) -> _Findings:
    if (here := (id(old.schema), id(new.schema))) in seen:
        return  # a shape that contains itself
    before, after = old.alternatives(), new.alternatives()
    lost, gained = [*(before.keys() - after.keys())], [*(after.keys() - before.keys())]
    if lost or gained:
        yield Kind.TYPE_CHANGED, f"{path} {_type_change(before, after, lost, gained)}."
    for word in (word for word in before if word in after):
        pair = (before[word], after[word])
        yield from _compare_values(*pair, path)
        yield from _compare_bounds(*pair, path)
        yield from _compare_fields(*pair, path, seen | {here})
        yield from _compare_items(*pair, path, seen | {here})


def _type_change(before: dict[str, _Node], after: dict[str, _Node], lost: list[str], gained: list[str]) -> str:
    if not gained:
        return f"may no longer be {_words(lost)}: old events have it"
    if not lost:
        return f"may be {_words(gained)} now, which old readers don't take"
    return f"was {_words(before)} and is {_words(after)} now"


def _compare_values(old: _Node, new: _Node, path: str) -> _Findings:
    before, after = old.values(), new.values()
    if before is None and after is not None:
        yield Kind.TYPE_CHANGED, f"{path} takes only {_words(after)} now: old events have others."
    elif before is not None and after is None:
        yield Kind.TYPE_CHANGED, f"{path} takes any {new.word()} now; old readers take only {_words(before)}."
    elif before is not None and after is not None:
        for value in (value for value in before if value not in after):
            yield Kind.VALUE_REMOVED, f"{path} may no longer be {value!r}: old events have it."
        for value in (value for value in after if value not in before):
            yield Kind.VALUE_ADDED, f"{path} may be {value!r} now, which old readers don't take."


def _compare_bounds(old: _Node, new: _Node, path: str) -> _Findings:
    for bound in (*_AT_LEAST, *_AT_MOST, *_EQUAL):
        before, after = old.schema.get(bound), new.schema.get(bound)
        if before == after:
            continue
        change = f"{path}: {bound} was {_bound(before)} and is {_bound(after)} now"
        if bound in _EQUAL or before is None or after is None:
            narrower = before is None
        else:
            narrower = after > before if bound in _AT_LEAST else after < before
        why = "old events may be outside of it" if narrower else "old readers may refuse new events"
        yield Kind.BOUNDS_CHANGED, f"{change}: {why}."


def _compare_fields(old: _Node, new: _Node, path: str, seen: frozenset[tuple[int, int]]) -> _Findings:
    before, after = old.schema.get("properties", {}), new.schema.get("properties", {})
    required_before, required = set(old.schema.get("required", ())), set(new.schema.get("required", ()))
    inside = "" if path == "the body" else f"{path}."
    for name in (name for name in before if name not in after):
        yield Kind.FIELD_REMOVED, f"{inside}{name} was removed."
    for name in after:
        field = f"{inside}{name}"
        if name not in before:
            if name in required:
                yield Kind.FIELD_REQUIRED, f"{field} was added without a default: old events don't have it."
            continue
        if name in required - required_before:
            yield Kind.FIELD_REQUIRED, f"{field} is required now: old events may not have it."
        if name in required_before - required:
            yield Kind.FIELD_OPTIONAL, f"{field} is no longer required, and old readers can't do without it."
        yield from _compare(old.at(before[name]), new.at(after[name]), field, seen)
    closed = [node.schema.get("additionalProperties") is False for node in (old, new)]
    if closed == [False, True]:
        yield Kind.TYPE_CHANGED, f"{path} refuses unknown fields now, and readers have to ignore them."


def _compare_items(old: _Node, new: _Node, path: str, seen: frozenset[tuple[int, int]]) -> _Findings:
    for keyword in ("items", "additionalProperties"):
        before, after = old.schema.get(keyword), new.schema.get(keyword)
        if isinstance(before, dict) or isinstance(after, dict):
            yield from _compare(old.at(before or {}), new.at(after or {}), f"{path}[]", seen)
    before, after = old.schema.get("prefixItems", []), new.schema.get("prefixItems", [])
    if len(before) != len(after):
        yield Kind.TYPE_CHANGED, f"{path} had {len(before)} items and has {len(after)} now."
    for index, pair in enumerate(zip(before, after, strict=False)):
        yield from _compare(old.at(pair[0]), new.at(pair[1]), f"{path}[{index}]", seen)


def _words(words: Any) -> str:
    return " or ".join(sorted(str(word) for word in words))


def _bound(value: Any) -> str:
    return "without limit" if value is None else repr(value)
