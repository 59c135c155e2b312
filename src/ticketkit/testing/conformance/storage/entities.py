"""Storage: every entity comes back exactly as it was written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ticketkit.backends.errors import Refused
from ticketkit.backends.spec import Capability
from ticketkit.domain.decision import Fact
from ticketkit.domain.entities import ENTITIES, Entity, Holds, LiveEvent, Ticket, User, key_of
from ticketkit.domain.money import EXPONENTS, MAX_MINOR, Money
from ticketkit.domain.texts import EXTRA_BYTES, SEAT, TITLE
from ticketkit.ids import new_id
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command
from ticketkit.testing.conformance.storage.samples import EXTRA, ODD, TIME, UNCHANGING, bare, full, stored
from ticketkit.testing.conformance.storage.together import sorted_out, together

if TYPE_CHECKING:
    from ticketkit.backends.storage import Storage
    from ticketkit.testing.conformance.conformance import Opener

UNSTORABLE = ("nul \x00 inside", "half a pair \ud83d", "\udc00", "\x00")
"""What some databases can't keep as text: it comes back exactly, or is refused."""


class StorageEntities(Conformance):
    """All eleven kinds, with whatever their fields may hold."""

    @promise()
    async def test_every_kind_comes_back_as_it_was_written(self, backend: Storage) -> None:
        """Each of the eleven kinds, with every field set and with all optional ones left out, comes back exactly."""
        for entities in (full(), bare()):
            assert {entity.KIND for entity in entities} == set(ENTITIES)
            answer = await Bazaar(backend).put(*entities)
            _same(answer.entities, stored(entities))
            _same((await backend.get(map(key_of, entities))).values(), stored(entities))
            for entity in stored(entities):
                _same([one for one in (await backend.scan(entity.KIND)).items if one.id == entity.id], [entity])

    @promise()
    async def test_every_kind_comes_back_as_it_was_changed(self, backend: Storage) -> None:
        """Every field that a decision may change comes back as changed, with the next version."""
        first = bare()
        await Bazaar(backend).put(*first)
        ids = [entity.id for entity in first]
        second = [_as_in(new, old) for new, old in zip(full("changed"), first, strict=True)]
        answer = await Bazaar(backend).put(*second)
        _same(answer.entities, stored(second, version=2))
        assert [entity.id for entity in answer.entities] == ids
        _same((await backend.get(map(key_of, second))).values(), stored(second, version=2))

    @promise()
    async def test_odd_unicode_comes_back_exactly(self, backend: Storage) -> None:
        """Combining marks, right-to-left text, emoji, quotes, %, _ and backslashes come back as they were given."""
        for text in ODD:
            entities = full(text)
            given = command(fingerprint=text, correlation_id=text, consumer=text, event_id=text)
            await Bazaar(backend).put(*entities, given=given)
            _same((await backend.get(map(key_of, entities))).values(), stored(entities))
            found = await backend.outcome(given.id)
            assert found is not None
            _same(found.entities, stored(entities))

    @promise()
    async def test_odd_unicode_travels_in_events(self, backend: Storage) -> None:
        """What an event carries is exactly what was written, odd Unicode and nested extra included."""
        bazaar = Bazaar(backend)
        tickets = [_ticket(title=text, extra=EXTRA) for text in ODD]
        facts = [Fact("ticket.created", key_of(ticket)) for ticket in tickets]
        await bazaar.put(*tickets, facts=facts, given=command(correlation_id=ODD[3], causation_id=ODD[2], actor=ODD[1]))
        events = await bazaar.publish()
        bodies = [json.loads(event.data) for event in events]
        assert [body["title"] for body in bodies] == list(ODD)
        assert [body["extra"] for body in bodies] == [EXTRA] * len(ODD)
        assert {(event.correlationid, event.causationid, event.actor) for event in events} == {(ODD[3], ODD[2], ODD[1])}

    @promise()
    async def test_the_longest_texts_fit(self, backend: Storage) -> None:
        """Titles, seats and extra as long as the domain allows, of four-byte characters, and long webhooks, fit."""
        wide = "\U0001f3ab"
        extra = {"kit:wide": wide * ((EXTRA_BYTES - 20) // 4)}
        tickets: list[Entity] = [
            _ticket(title=wide * TITLE, seat=wide * SEAT, extra=extra),
            *(one for one in full("y" * 500_000) if one.KIND == "webhook"),
        ]
        tickets[1] = replace(tickets[1], id=f"kit:{new_id()}")
        await Bazaar(backend).put(*tickets)
        _same((await backend.get(map(key_of, tickets))).values(), stored(tickets))

    @promise()
    async def test_money_is_exact(self, backend: Storage) -> None:
        """The largest and the smallest amount of every currency come back exactly."""
        amounts = [Money(minor, code) for code in EXPONENTS for minor in (1, 29, 57, 115, 10**15 - 1, MAX_MINOR)]
        tickets = [_ticket(price=amount) for amount in amounts]
        await Bazaar(backend).put(*tickets)
        found = await backend.get(map(key_of, tickets))
        _same(found.values(), stored(list(tickets)))

    @promise()
    async def test_times_are_exact(self, backend: Storage) -> None:
        """Times come back in UTC to the microsecond, far back and far ahead, with the zone of the venue."""
        zones = ("Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia", "UTC")
        times = (
            TIME,
            TIME.replace(year=1971, microsecond=1),
            TIME.replace(year=2999),
            TIME.replace(microsecond=999999),
        )
        events = [
            LiveEvent(id=new_id(), name="n", venue="v", starts_at=time, zone=zone, owner_id="o", created_at=time)
            for time, zone in zip(times, zones, strict=True)
        ]
        await Bazaar(backend).put(*events)
        found = await backend.get(map(key_of, events))
        _same(list(found.values()), stored(list(events)))
        for event in found.values():
            assert isinstance(event, LiveEvent)
            assert event.starts_at.utcoffset() == TIME.utcoffset()

    @promise()
    async def test_text_that_can_not_be_stored_is_refused_alone(self, backend: Storage) -> None:
        """NUL and halves of surrogate pairs come back exactly or are `Refused`, and hurt nobody beside them."""
        bazaar = Bazaar(backend)
        for text in UNSTORABLE:
            odd: list[Entity] = [
                User(id=new_id(), email=text, password_hash="hash", created_at=TIME),  # noqa: S106 - made up
                Holds(id=f"{new_id()}/{text}"),
                Holds(id=new_id(), orders=((text, 1),)),
                _ticket(extra={"kit:odd": text}),
            ]
            calls = [call for entity in odd for call in (bazaar.put(entity), bazaar.count("good"))]
            results = await together(calls)
            sorted_out(results[1::2])
            sorted_out(results[::2], Refused)
            for entity, result in zip(odd, results[::2], strict=True):
                if not isinstance(result, Exception):
                    _same((await backend.get([key_of(entity)])).values(), stored([entity]))
        assert await bazaar.counts("good") == [len(UNSTORABLE) * 4]

    @promise()
    async def test_a_command_that_can_not_be_stored_is_refused_alone(self, backend: Storage) -> None:
        """A command whose texts can't be stored is `Refused` or answered, and hurts nobody beside it."""
        bazaar = Bazaar(backend)
        for text in UNSTORABLE:
            odd = [command(id=f"{new_id()}{text}"), command(fingerprint=text), command(correlation_id=text)]
            calls = [
                call
                for number, given in enumerate(odd)
                for call in (bazaar.count(f"bad-{number}", given=given), bazaar.count("good"))
            ]
            results = await together(calls)
            sorted_out(results[1::2])
            sorted_out(results[::2], Refused)
        assert await bazaar.counts("good") == [len(UNSTORABLE) * 3]

    @promise()
    async def test_unknown_keys_are_left_out(self, backend: Storage) -> None:
        """`get` gives what exists and leaves the rest out, whatever the ids, and however many they are."""
        bazaar = Bazaar(backend)
        (ticket,) = await bazaar.offer()
        keys = [key_of(ticket), *(cls.key(id) for cls in ENTITIES.values() for id in ("", "unknown", *ODD))]
        assert await backend.get(keys) == {key_of(ticket): ticket}
        assert await backend.get([]) == {}
        assert await backend.get(Ticket.key(f"unknown-{number}") for number in range(3000)) == {}
        try:
            found = await backend.get(Ticket.key(text) for text in UNSTORABLE)
        except Refused:
            found = {}
        assert found == {}

    @promise(needs=[Capability.DURABLE])
    async def test_what_was_committed_is_there_after_opening_again(self, opener: Opener) -> None:
        """Entities, answers of commands and events that wait are there, unchanged, when it is opened again."""
        entities = full(ODD[0])
        given = command(fingerprint="f")
        async with opener() as backend:
            bazaar = Bazaar(backend)
            await bazaar.put(*entities, given=given)
            subjects = await bazaar.tell(3)
        async with opener() as backend:
            _same((await backend.get(map(key_of, entities))).values(), stored(entities))
            again = await Bazaar(backend).put(*entities, given=given)
            assert again.replayed
            _same(again.entities, stored(entities))
            assert [event.subject for event in await Bazaar(backend).publish()] == subjects


def _ticket(**values: Any) -> Ticket:
    return Ticket(
        **{"id": new_id(), "title": "Seat", "price": Money(1, "USD"), "seller_id": "s", "created_at": TIME, **values}
    )


def _as_in(new: Entity, old: Entity) -> Entity:
    """The new one under the id of the old one, with what never changes."""
    return replace(new, **{name: getattr(old, name) for name in ("id", *UNCHANGING.get(new.KIND, ()))})


def _same(found: Iterable[Any], expected: Iterable[Entity]) -> None:
    by_key = {key_of(entity): entity for entity in found}
    wanted = {key_of(entity): entity for entity in expected}
    assert by_key.keys() == wanted.keys()
    for key, entity in wanted.items():
        assert by_key[key] == entity, f"a {entity.KIND} came back changed"
        assert _types(by_key[key]) == _types(entity), f"a {entity.KIND} came back with other types"


def _types(value: Any) -> Any:
    """The types of a value and of all that is in it: 1.0 equals 1, and is not the same."""
    if is_dataclass(value):
        return type(value), [_types(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, Mapping):
        return {name: _types(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return type(value), [_types(one) for one in value]
    if isinstance(value, datetime):
        return datetime, value.utcoffset()
    return type(value)
