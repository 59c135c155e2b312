"""The books of the fake payment provider: what it says has happened to money, whatever anybody else believes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.backends.payments import ActionRequired, Declined, Done, Outcome, Pending, ProviderCharge, ProviderStatus
from ticketkit.domain.entities import RefundStatus
from ticketkit.domain.money import Money

Request: TypeAlias = list[str | int | None]
_OUTCOMES: Final = {cls.__name__: cls for cls in (Done, Declined, ActionRequired, Pending)}


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedRefund:
    """Money given back.

    Attributes:
        reference: The provider's id of the refund.
        payment: The provider's id of the payment that it is of.
        refund_id: As given.
        status: `created` while the bank has not decided.
    """

    reference: str
    payment: str
    refund_id: str
    amount: Money
    status: RefundStatus = RefundStatus.COMPLETED


@dataclass(frozen=True, slots=True)
class Books:
    """All payments and refunds, in the order in which they began.

    Attributes:
        refunds: Those that are completed.
        pending: Refunds that the bank has not decided.
    """

    charges: tuple[ProviderCharge, ...] = ()
    refunds: tuple[BookedRefund, ...] = ()
    pending: tuple[BookedRefund, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the journal: an answer, and the new state of what it changed.

    Attributes:
        at: When, UTC, ISO 8601.
        key: Idempotency key; None for what the buyer or the bank did.
        request: What the key stands for.
        takes: Whether the method that the buyer chose takes money at once; None where none was chosen.
    """

    at: str
    key: str | None
    request: Request
    outcome: Outcome
    charge: ProviderCharge | None = None
    refund: BookedRefund | None = None
    takes: bool | None = None

    def to_line(self) -> bytes:
        """As one line of JSON."""
        fields = asdict(self) | {"outcome": [type(self.outcome).__name__, asdict(self.outcome)]}
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        """The inverse of `to_line`; raises ValueError, TypeError or KeyError when it is none."""
        fields: dict[str, Any] = json.loads(line)
        name, outcome = fields.pop("outcome")
        charge, refund = fields.pop("charge"), fields.pop("refund")
        if charge is not None:
            status, amount = ProviderStatus(charge.pop("status")), Money(**charge.pop("amount"))
            charge = ProviderCharge(**charge, status=status, amount=amount)
        if refund is not None:
            ended = RefundStatus(refund.get("status", "completed"))  # older journals know no other
            refund = BookedRefund(**refund | {"amount": Money(**refund["amount"]), "status": ended})
        return cls(**fields, outcome=_OUTCOMES[name](**outcome), charge=charge, refund=refund)


class Bookkeeping:
    """Books that are written to, in memory and, if there is one, to a journal first.

    Args:
        journal: A JSON-lines file; what is in it is read, a torn last line is cut off. One process writes to it.

    Attributes:
        charges: By reference.
        refunds: By reference, whatever became of them.
        answers: By idempotency key.
        takers: References of the payments whose method takes money at once.

    Raises:
        Misconfigured: The journal can't be read.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self.charges: dict[str, ProviderCharge] = {}
        self.refunds: dict[str, BookedRefund] = {}
        self.answers: dict[str, Entry] = {}
        self.takers: set[str] = set()
        self._journal = journal
        if journal is not None:
            self._open(journal)

    def write(self, entry: Entry) -> None:
        """Keep an entry; it survives the death of this process (not of the machine) when this returns.

        Raises:
            Unavailable: The journal can't be written; nothing was kept.
        """
        if self._journal is not None:
            _append(self._journal, entry.to_line())
        self.apply(entry)

    def apply(self, entry: Entry) -> None:
        """Note an entry that is in the journal."""
        if entry.charge is not None:
            self.charges[entry.charge.reference] = entry.charge
            if entry.takes is not None:
                (self.takers.add if entry.takes else self.takers.discard)(entry.charge.reference)
        if entry.refund is not None:
            self.refunds[entry.refund.reference] = entry.refund
        if entry.key is not None:
            self.answers[entry.key] = entry

    def snapshot(self) -> Books:
        """The books as they are now."""
        refunds = self.refunds.values()
        return Books(
            charges=tuple(self.charges.values()),
            refunds=tuple(refund for refund in refunds if refund.status is RefundStatus.COMPLETED),
            pending=tuple(refund for refund in refunds if refund.status is RefundStatus.CREATED),
        )

    def _open(self, journal: Path) -> None:
        try:
            journal.parent.mkdir(parents=True, exist_ok=True)
            with journal.open("ab+") as file:
                file.seek(0)
                text = file.read()
                file.truncate(text.rfind(b"\n") + 1)
        except OSError as error:
            msg = f"The journal of the fake payment provider can't be opened: {error}"
            raise Misconfigured(msg) from error
        self._replay(text)

    def _replay(self, text: bytes) -> None:
        *lines, _torn = text.split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                self.apply(Entry.of_line(line))
            except (ValueError, TypeError, KeyError) as error:
                msg = f"Line {number} of the journal of the fake payment provider can't be read."
                raise Misconfigured(msg) from error

    @classmethod
    def reading(cls, path: Path) -> Bookkeeping:
        """The books of a journal that somebody else writes."""
        books = cls()
        books._replay(path.read_bytes())
        return books


def read_books(path: str | Path) -> Books:
    """Read a journal without opening the provider, also while it is being written.

    Raises:
        FileNotFoundError: There is no such journal.
        Misconfigured: It is not a journal.
    """
    return Bookkeeping.reading(Path(path)).snapshot()


def _append(path: Path, line: bytes) -> None:
    try:
        with path.open("ab", buffering=0) as file:
            end = file.tell()
            if file.write(line) != len(line):
                file.truncate(end)
                msg = "The journal of the fake payment provider is full."
                raise Unavailable(msg)
    except OSError as error:
        msg = f"The journal of the fake payment provider can't be written: {error}"
        raise Unavailable(msg) from error
