"""Storage: statements and transactions of the app (capability `own_tables`)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from ticketkit.backends.errors import Refused
from ticketkit.backends.spec import Capability
from ticketkit.domain.decision import Changes, Keys, State
from ticketkit.domain.entities import Holds
from ticketkit.domain.errors import NotFound
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command, write
from ticketkit.testing.conformance.storage.together import sorted_out, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.backends.storage import Answer, Storage

OWN = (Capability.OWN_TABLES,)


class OwnTable(Protocol):
    """A table of an app beside ticketkit's, with one column: a text that is its primary key."""

    async def create(self) -> None:
        """Make it, empty."""
        ...

    def insert(self, value: str) -> Any:
        """A statement for `Changes.also` that adds a row; it fails when there is one with this value."""
        ...

    async def values(self) -> list[str]:
        """All values, as last committed, in order."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A transaction of the app: what `decide` takes as `within`. Committed at its end, undone by an error."""
        ...

    async def insert_within(self, connection: Any, value: str) -> None:
        """Add a row in a transaction of the app."""
        ...


class StorageOwnTables(Conformance):
    """A backend that declares `own_tables` gives this class the fixture `own_table`."""

    @pytest.fixture
    async def own_table(self) -> OwnTable:
        """A table of the app in the same database: override this for a backend with `own_tables`."""
        pytest.fail(
            f"{type(self).__name__} has no fixture `own_table`, and its backend declares own_tables: give it one that "
            "returns an object with the methods of ticketkit.testing.conformance.OwnTable.",
            pytrace=False,
        )

    @promise(needs=OWN)
    async def test_own_statements_commit_with_the_decision(self, backend: Storage, own_table: OwnTable) -> None:
        """Statements of the app are committed with the decision that brings them, once, in their order."""
        await own_table.create()
        given = command()
        for _ in range(2):
            await _put(backend, "own", [own_table.insert("a"), own_table.insert("b")], given=given)
        assert await own_table.values() == ["a", "b"]
        assert await Bazaar(backend).counts("own") == [0]
        assert await backend.get([Holds.key("own")])

    @promise(needs=OWN)
    async def test_own_statements_of_a_refused_decision_are_not_run(
        self, backend: Storage, own_table: OwnTable
    ) -> None:
        """A decision that refuses, or that can't be written, leaves nothing in the app's tables either."""
        await own_table.create()

        def refuse(state: State) -> Changes:
            raise NotFound

        with pytest.raises(NotFound):
            await backend.decide(Keys(), refuse, command())
        (ticket,) = await Bazaar(backend).offer()
        with pytest.raises(Refused):
            await backend.decide(Keys(), write(ticket, also=[own_table.insert("a")]), command())
        assert await own_table.values() == []

    @promise(needs=OWN)
    async def test_an_own_statement_that_fails_fails_alone(self, backend: Storage, own_table: OwnTable) -> None:
        """A statement that fails is `Refused` with its whole decision, and hurts nobody beside it."""
        await own_table.create()
        await _put(backend, "first", [own_table.insert("taken")])
        bazaar = Bazaar(backend)
        bad = [_put(backend, f"bad-{n}", [own_table.insert(f"new-{n}"), own_table.insert("taken")]) for n in range(5)]
        calls = [call for one in bad for call in (one, bazaar.count("good"))]
        results = await together(calls)
        assert len(sorted_out(results[::2], Refused)[1]) == len(bad)
        sorted_out(results[1::2])
        assert await own_table.values() == ["taken"]
        assert await backend.get([Holds.key(f"bad-{n}") for n in range(5)]) == {}
        assert await bazaar.counts("good") == [5]

    @promise(needs=OWN)
    async def test_a_decision_within_the_app_s_transaction_commits_with_it(
        self, backend: Storage, own_table: OwnTable
    ) -> None:
        """What is decided within the app's transaction is committed with it, with its events and its record."""
        await own_table.create()
        bazaar, given = Bazaar(backend), command()
        async with own_table.transaction() as within:
            await own_table.insert_within(within, "mine")
            await _put(backend, "within", [own_table.insert("also")], given=given, within=within)
            assert await backend.get([Holds.key("within")]) == {}, "it is to be seen before the app commits"
        assert await own_table.values() == ["also", "mine"]
        assert await backend.get([Holds.key("within")])
        assert await backend.outcome(given.id) is not None
        assert (await _put(backend, "within", [], given=given)).replayed
        await bazaar.tell()
        assert len(await bazaar.publish()) == 1

    @promise(needs=OWN)
    async def test_a_decision_within_the_app_s_transaction_is_undone_with_it(
        self, backend: Storage, own_table: OwnTable
    ) -> None:
        """When the app undoes its transaction nothing of the decision is left, and the command can be given again."""
        await own_table.create()
        given = command()

        async def app() -> None:
            async with own_table.transaction() as within:
                await own_table.insert_within(within, "mine")
                await _put(backend, "within", [], given=given, within=within)
                raise NotFound

        with pytest.raises(NotFound):
            await app()
        assert await own_table.values() == []
        assert await backend.get([Holds.key("within")]) == {}
        assert await backend.outcome(given.id) is None
        assert not (await _put(backend, "within", [], given=given)).replayed


async def _put(backend: Storage, id: str, also: Sequence[Any], *, given: Any = None, within: Any = None) -> Answer:
    reads, decision = Keys.of(Holds.key(id)), write(Holds(id=id), also=also)
    return await backend.decide(reads, decision, given or command(), within=within)
