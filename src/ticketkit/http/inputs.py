"""What clients send: unknown fields are refused, every text and number has bounds."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Self

import email_validator
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from ticketkit.backends.storage import TicketSort
from ticketkit.domain.entities import TicketStatus
from ticketkit.domain.texts import EMAIL, SEAT, TITLE
from ticketkit.http.paging import Paged
from ticketkit.ids import is_id
from ticketkit.services.passwords import LONGEST, SHORTEST
from ticketkit.services.tickets import BATCH

MOST_TICKETS: Final = 1_000
"""Most tickets that an order may name; how many one may have is the policy's."""
REASON: Final = 500
"""Most characters of a reason."""
_AMOUNT: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_MOST_DIGITS: Final = 40
_TOO_LARGE: Final[int] = 10**40


def _amount(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise PydanticCustomError("not_a_number", "A decimal number is expected, such as 19.99.")
    text = value if isinstance(value, str) else f"{value:f}" if _short(value) else ""
    if len(text) > _MOST_DIGITS or not _AMOUNT.fullmatch(text):
        raise PydanticCustomError("not_a_number", "A decimal number is expected, such as 19.99.")
    return Decimal(text)


def _short(value: Decimal | int) -> bool:
    """Whether a number can be written out: 1E+1000000 would be a long text."""
    if isinstance(value, int):
        return abs(value) < _TOO_LARGE
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and abs(exponent) < _MOST_DIGITS


def _id(value: str) -> str:
    if not is_id(value):
        raise PydanticCustomError("malformed_id", "This is no id: ids are UUIDs in lower case.")
    return value


def _email(value: str) -> str:
    try:
        return email_validator.validate_email(value.strip(), check_deliverability=False).normalized
    except email_validator.EmailNotValidError:
        raise PydanticCustomError("not_an_email", "This is no e-mail address.") from None


def _written_time(value: Any) -> Any:
    # Numbers are times too for pydantic; here a time is written out, with its offset (RFC 3339).
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", value):
        raise PydanticCustomError("not_a_time", "A time is expected, such as 2026-12-31T20:00:00Z.")
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("not_a_time", "This time is out of range.") from None


def _printable(value: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in value):
        raise PydanticCustomError("text_not_printable", "This has control characters.")
    return value


Id = Annotated[str, AfterValidator(_id), WithJsonSchema({"type": "string", "format": "uuid"})]
"""An id."""
Amount = Annotated[
    Decimal,
    PlainValidator(_amount),
    WithJsonSchema(
        {
            "description": "Major units, exact: a JSON number, or the same as text.",
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$"}],
            "examples": [19.99],
        }
    ),
]
"""An amount of major units."""
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$"), Field(description="ISO 4217 code.")]
"""A currency."""
Time = Annotated[AwareDatetime, BeforeValidator(_written_time), AfterValidator(_utc)]
"""A time with an offset; UTC from here on."""
Words = Annotated[str, StringConstraints(max_length=100), AfterValidator(_printable)]
"""What to search for."""
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=REASON), AfterValidator(_printable)]
"""Why something is done."""
Address = Annotated[
    str,
    StringConstraints(max_length=EMAIL),
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": EMAIL}),
]
"""An e-mail address."""


def _text(most: int) -> Any:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=most)


Title = Annotated[str, _text(TITLE)]
Seat = Annotated[str, _text(SEAT)]
Zone = Annotated[str, _text(60)]


class Input(BaseModel):
    """A JSON object from a client."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_alias=True, frozen=True)  # type: ignore[pydantic-alias]


class Nothing(Input):
    """An empty object."""


class SignUp(Input):
    """A new account."""

    email: Address
    password: Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)]


class SignIn(Input):
    """An account and its password."""

    email: Address
    password: Annotated[str, Field(min_length=1, max_length=LONGEST)]


class NewLiveEvent(Input):
    """A live event to be announced."""

    name: Title
    venue: Title
    starts_at: Time
    zone: Annotated[Zone, Field(description="IANA time zone of the venue.")] = "UTC"
    on_sale_at: Annotated[
        Time | None, Field(description="Before it tickets can be listed, but not ordered; left out: at once.")
    ] = None


class NewTicket(Input):
    """A ticket to be listed."""

    title: Title
    price: Amount
    currency: Currency | None = None
    event_id: Id | None = None
    seat: Seat | None = None


class NewTickets(Input):
    """Tickets to be listed, all or none."""

    tickets: Annotated[list[NewTicket], Field(min_length=1, max_length=BATCH)]


class TicketEdit(Input):
    """New title and price of a ticket; its currency stays."""

    title: Title
    price: Amount
    currency: Currency | None = None


class NewOrder(Input):
    """Tickets to be locked: `ticketId`, or `ticketIds`."""

    ticket_id: Id | None = None
    ticket_ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_TICKETS)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.ticket_id is None) == (self.ticket_ids is None):
            raise PydanticCustomError("one_of_both", "Give either ticketId or ticketIds.")
        return self

    @property
    def ids(self) -> tuple[str, ...]:
        """The tickets, in order."""
        return (self.ticket_id,) if self.ticket_id is not None else tuple(self.ticket_ids or ())


class KeptTickets(Input):
    """Those tickets of an order that it keeps."""

    ticket_ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_TICKETS)]


class ShownPass(Input):
    """A pass that is shown at the door."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=2_000), Field(alias="pass")]


class NewPayment(Input):
    """A payment for an order."""

    order_id: Id
    token: Annotated[
        str | None,
        StringConstraints(min_length=1, max_length=500, pattern="^[!-~]+$"),
        Field(description="What the payment provider's form gave; left out where that form confirms by itself."),
    ] = None


class NewRefund(Input):
    """Money of a payment to be given back."""

    amount: Annotated[Amount | None, Field(description="In the payment's currency; left out: all that is left.")] = None
    reason: Annotated[Reason, Field(description="For people; the buyer sees it.")] = ""


class PaymentsQuery(BaseModel):
    """Which payments."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_alias=True)

    order_id: Annotated[Id, Field(description="Those of this order.")]  # type: ignore[pydantic-alias]


class LiveEventQuery(Paged):
    """Which live events."""

    q: Annotated[Words, Field(description="Every word is in the name or the venue.")] = ""


class SaleQuery(Paged):
    """Which tickets for sale of a live event."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True)

    q: Annotated[Words, Field(description="Every word is in the title or the seat.")] = ""
    min_price: Annotated[Amount | None, Field(description="At least, in `currency`.")] = None
    max_price: Annotated[Amount | None, Field(description="At most, in `currency`.")] = None
    currency: Annotated[Currency | None, Field(description="Only tickets of this ISO 4217 currency.")] = None
    sort: TicketSort = TicketSort.NEWEST  # type: ignore[pydantic-alias]


class TicketsQuery(SaleQuery):
    """Which tickets for sale."""

    event_id: Annotated[Id | None, Field(description="Only of this live event.")] = None


class OwnTicketsQuery(Paged):
    """Which of one's own tickets."""

    status: TicketStatus | None = None
