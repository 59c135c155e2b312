"""What a contract is: the typed, versioned shape of one kind of event."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from ticketkit.events.envelope import PREFIX


class Shape(BaseModel):
    """A part of a contract: frozen, camelCase in JSON; readers ignore fields that they don't know."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class Contract(Shape):
    """Base of all contracts. A change that old readers can't take is a new class with the next `VERSION`.

    Attributes:
        NAME: Event name without prefix and version: `order.created`.
        VERSION: Counts from 1.
    """

    NAME: ClassVar[str]
    VERSION: ClassVar[int] = 1

    id: str
    version: int

    @classmethod
    def type(cls) -> str:
        """The CloudEvents type: `ticketkit.order.created.v1`."""
        return f"{PREFIX}{cls.NAME}.v{cls.VERSION}"

    def to_body(self) -> bytes:
        """The body of the event: JSON, UTF-8."""
        return self.model_dump_json(by_alias=True).encode()


def is_contract(value: Any) -> bool:
    """Whether it is a finished contract, with a name."""
    return isinstance(value, type) and issubclass(value, Contract) and "NAME" in vars(value)
