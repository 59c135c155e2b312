"""Storage: a command has one effect and one answer, however often it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ticketkit.backends.errors import CommandReused
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import Holds, Order
from ticketkit.domain.errors import TicketUnavailable
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command, count_up, write
from ticketkit.testing.conformance.storage.together import sorted_out, together

if TYPE_CHECKING:
    from ticketkit.backends.storage import Storage


class StorageCommands(Conformance):
    """Records of commands, and marks of events."""

    @promise()
    async def test_a_command_given_again_is_answered_again(self, backend: Storage) -> None:
        """The same command given again writes nothing, and gets the answer that it got, with its versions."""
        bazaar = Bazaar(backend)
        (ticket,) = await bazaar.offer()
        given = command(fingerprint="a")
        first = await bazaar.placed("buyer", ticket.id, given=given)
        assert not first.replayed
        await bazaar.cancel(first.one(Order))
        await bazaar.publish()
        again = await bazaar.placed("buyer", ticket.id, given=given)
        assert again.replayed
        assert again.entities == first.entities
        assert await bazaar.publish() == []
        assert (await bazaar.ticket(ticket.id)).order_id is None
        found = await backend.outcome(given.id)
        assert found is not None
        assert found.entities == first.entities
        assert await backend.outcome(command().id) is None

    @promise()
    async def test_a_command_id_for_another_request_is_refused(self, backend: Storage) -> None:
        """The same command id with another fingerprint is `CommandReused`, and changes nothing."""
        bazaar = Bazaar(backend)
        first, second = await bazaar.offer(2)
        given = command(fingerprint="a")
        await bazaar.place("buyer", first.id, given=given)
        with pytest.raises(CommandReused):
            await bazaar.place("buyer", second.id, given=replace(given, fingerprint="b"))
        assert (await bazaar.ticket(second.id)).order_id is None

    @promise()
    async def test_a_refused_command_is_not_on_record(self, backend: Storage) -> None:
        """A command that was refused may be given again, and is then decided anew."""
        bazaar = Bazaar(backend)
        (ticket,) = await bazaar.offer()
        order = await bazaar.place("first", ticket.id)
        given = command()
        with pytest.raises(TicketUnavailable):
            await bazaar.place("second", ticket.id, given=given)
        assert await backend.outcome(given.id) is None
        await bazaar.cancel(order)
        assert (await bazaar.place("second", ticket.id, given=given)).buyer_id == "second"

    @promise()
    async def test_a_command_without_changes_is_on_record(self, backend: Storage) -> None:
        """A command that found nothing to do is on record too: given again, it still does nothing."""
        given = command()
        assert (await backend.decide(Keys(), write(), given)).entities == ()
        again = await backend.decide(Keys.of(Holds.key("late")), count_up("late"), given)
        assert (again.replayed, again.entities) == (True, ())
        assert await backend.get([Holds.key("late")]) == {}

    @promise()
    async def test_the_same_event_handled_twice_has_one_effect(self, backend: Storage) -> None:
        """An event that comes again to the same consumer changes nothing; for another consumer it is new."""
        bazaar = Bazaar(backend)
        marks = [command(id=f"{who}:e1", consumer=who, event_id="e1") for who in ("orders", "payments")]
        for given in (*marks, *marks):
            await bazaar.count("handled", given=given)
        results = await together(bazaar.count("handled", given=marks[0]) for _ in range(10))
        answers, _ = sorted_out(results)
        assert all(answer.replayed for answer in answers)
        assert await bazaar.counts("handled") == [2]
