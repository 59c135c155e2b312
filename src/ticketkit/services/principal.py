"""Who is asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

OPERATOR: Final = "operator"
"""The role of who runs the marketplace: may refund, pause sales, admit, and look at everything."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is signed in, by whatever means the app has.

    Attributes:
        id: Opaque; kept with tickets and orders.
        roles: Such as `operator`.
        session_id: Of ticketkit's own sessions.
    """

    id: str
    roles: tuple[str, ...] = ()
    session_id: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether it is somebody who runs the marketplace."""
        return OPERATOR in self.roles


Identity: TypeAlias = "Callable[[Any], Principal | Awaitable[Principal | None] | None]"
"""From a Starlette request (or anything with its headers and cookies) to who is asking."""
