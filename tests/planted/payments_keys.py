"""Payment providers with one planted bug each: idempotency keys, and answers that were lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
from tests.planted.payments_plugin import PaymentsPlugin

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.payments import Done, Outcome
from ticketkit.memory import FakePayments
from ticketkit.memory._payment_rules import Step
from ticketkit.memory.books import Entry, Request
from ticketkit.memory.faults import Operation


class KeyIgnored(FakePayments):
    """The key is never looked up."""

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        return await super()._call(operation, self._new_id(), parameters, step)


class KeyLate(FakePayments):
    """The key is kept after the effect, and others run in between."""

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        known = self._books.answers.get(key)
        if known is not None:
            return await super()._call(operation, key, parameters, step)
        outcome = await super()._call(operation, aside := self._new_id(), parameters, step)
        await anyio.lowlevel.checkpoint()
        self._books.answers[key] = self._books.answers[aside]
        return outcome


class KeyLostByCancellation(FakePayments):
    """Calls with one key wait for each other, but a cancelled one has its effect and not its key."""

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        if not hasattr(self, "_locks"):
            self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        async with self._locks[key]:
            if key in self._books.answers:
                return await super()._call(operation, key, parameters, step)
            outcome = await super()._call(operation, key, parameters, step)
            kept = self._books.answers.pop(key)
            await anyio.lowlevel.checkpoint()
            self._books.answers[key] = kept
            return outcome


class KeyNotWritten(FakePayments):
    """The journal has the payments, and not the keys."""

    def _enter(self, key: str | None, request: Request, step: Step) -> Entry:
        entry = super()._enter(None, request, step)
        if key is not None:
            self._books.answers[key] = entry
        return entry


class BooksWrittenLate(FakePayments):
    """The journal is written at the end."""

    async def __aenter__(self) -> Self:
        self._journal, self._books._journal = self._books._journal, None
        self._late: list[Entry] = []
        return await super().__aenter__()

    def _enter(self, key: str | None, request: Request, step: Step) -> Entry:
        self._late.append(entry := super()._enter(key, request, step))
        return entry

    async def __aexit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._journal is not None
        with self._journal.open("ab") as file:
            file.writelines(entry.to_line() for entry in self._late)
        return await super().__aexit__(type, error, traceback)


class ParametersIgnored(FakePayments):
    """A key that is known is answered, whatever it is used for."""

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        known = self._books.answers.get(key)
        return known.outcome if known else await super()._call(operation, key, parameters, step)


class LostAnswerIsDone(FakePayments):
    """An answer that was lost is told as success."""

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        try:
            return await super()._call(operation, key, parameters, step)
        except OutcomeUnknown:
            return Done(str(parameters[0]))


class LostCallIsDone(FakePayments):
    """A call that never arrived is told as success."""

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        try:
            return await super()._call(operation, key, parameters, step)
        except Unavailable:
            return Done(str(parameters[0]))


KEY_IGNORED = PaymentsPlugin("planted-key-ignored", KeyIgnored)
KEY_LATE = PaymentsPlugin("planted-key-late", KeyLate)
KEY_LOST_BY_CANCELLATION = PaymentsPlugin("planted-key-lost-by-cancellation", KeyLostByCancellation)
KEY_NOT_WRITTEN = PaymentsPlugin("planted-key-not-written", KeyNotWritten)
BOOKS_WRITTEN_LATE = PaymentsPlugin("planted-books-written-late", BooksWrittenLate)
PARAMETERS_IGNORED = PaymentsPlugin("planted-parameters-ignored", ParametersIgnored)
LOST_ANSWER_IS_DONE = PaymentsPlugin("planted-lost-answer-is-done", LostAnswerIsDone)
LOST_CALL_IS_DONE = PaymentsPlugin("planted-lost-call-is-done", LostCallIsDone)
