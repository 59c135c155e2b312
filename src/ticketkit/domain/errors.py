"""Refusals of the domain, as one tree that can be caught at each level.

    TicketkitError
    └── DomainError                 a rule said no; nothing was written
        ├── InvalidInput            a value that can never be right (one field is named)
        │   └── InvalidMoney
        ├── NotFound                what was named does not exist, or is not the caller's to see
        ├── Forbidden               the caller may see it, but not do this
        ├── Conflict                the present state does not allow it
        │   ├── TicketUnavailable   somebody else has the ticket, or it is not for sale
        │   ├── NotOnSale           the live event does not sell now
        │   ├── LimitReached        a policy's number would be passed
        │   ├── OrderClosed         the order can't be changed (any more)
        │   └── ChargeClosed        the charge can't take this step (any more)
        └── PaymentDeclined         the payment provider said no

`code` is stable and meant for programs; `str(error)` is for people; `values` is what it is about.
"""

from __future__ import annotations

from typing import Any, ClassVar


class TicketkitError(Exception):
    """Something went wrong in ticketkit."""


class DomainError(TicketkitError):
    """The rules of the marketplace don't allow this.

    Args:
        message: One sentence for people; the class's docstring when left out.
        code: Stable, `snake_case`; the class's default when left out.
        field: The input field that it is about, in Python's spelling.
        **values: What the refusal is about: ids, limits, states. JSON types only.
    """

    default_code: ClassVar[str] = "refused"

    def __init__(
        self, message: str | None = None, *, code: str | None = None, field: str | None = None, **values: Any
    ) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])
        self.code = code or self.default_code
        self.field = field
        self.values = values

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self)


class InvalidInput(DomainError):
    """The input is not valid."""

    default_code = "invalid_input"


class InvalidMoney(InvalidInput):
    """This is not an amount of money in that currency."""

    default_code = "invalid_money"


class NotFound(DomainError):
    """There is nothing by that id."""

    default_code = "not_found"


class Forbidden(DomainError):
    """You may not do that."""

    default_code = "forbidden"


class Conflict(DomainError):
    """The present state does not allow that."""

    default_code = "conflict"


class TicketUnavailable(Conflict):
    """The ticket is not available."""

    default_code = "ticket_unavailable"


class NotOnSale(Conflict):
    """The live event is not on sale."""

    default_code = "not_on_sale"


class LimitReached(Conflict):
    """A limit has been reached."""

    default_code = "limit_reached"


class OrderClosed(Conflict):
    """The order can't be changed any more."""

    default_code = "order_closed"


class ChargeClosed(Conflict):
    """The charge can't take this step any more."""

    default_code = "charge_closed"


class PaymentDeclined(DomainError):
    """The payment was declined."""

    default_code = "card_declined"
