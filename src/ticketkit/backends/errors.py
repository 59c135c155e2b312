"""What a backend may raise, besides the domain errors that a decision raises inside of it.

TicketkitError
└── BackendError
    ├── Unavailable              it can't be reached now; nothing has happened; try again later
    ├── OutcomeUnknown           it may have happened; look it up before anything is tried again
    ├── Refused                  it will never take this: the message's fault, not the backend's
    │   └── CommandReused        the command id was used for another request
    ├── CapabilityNotSupported   it never declared that it can do this
    ├── Misconfigured            settings, credentials or schema are wrong; people must act
    └── BadWebhook               the webhook is not from the provider, or too old, or from the future
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ticketkit.domain.errors import TicketkitError

if TYPE_CHECKING:
    from collections.abc import Callable


class BackendError(TicketkitError):
    """A backend could not do what was asked."""


class Unavailable(BackendError):
    """The backend can't be reached now; nothing has happened.

    Attributes:
        retry_after: Seconds after which it may be back, when the backend knows.
    """

    def __init__(self, message: str = "The backend can't be reached now.", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutcomeUnknown(BackendError):
    """The answer was lost: it may have happened. Look it up before anything is tried again."""


class Refused(BackendError):
    """The backend will never take this: the fault is in what was given."""


class CommandReused(Refused):
    """This command id was used for another request."""


class CapabilityNotSupported(BackendError):
    """The backend did not declare the capability that this needs."""


class Misconfigured(BackendError):
    """Settings, credentials or schema of a backend are wrong: people must act.

    Attributes:
        what: What is wrong.
        mend: The line that mends it, if there is one; the message has both.
    """

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(f"{message} {mend}".strip())
        self.what, self.mend = message, mend


class BadWebhook(BackendError):
    """The webhook is not from the provider, or too old, or from the future."""


class Unimplemented(Exception):
    """A method of a backend that is still to be written. No error of a backend: it speaks to the backend's author.

    `ticketkit new-plugin` writes it into every method, and the conformance kit shows it in one line.

    Args:
        method: Itself: `raise Unimplemented(self.publish)`. The first sentence of its docstring says what it must do.
    """

    def __init__(self, method: Callable[..., object]) -> None:
        first = " ".join((method.__doc__ or "").partition("\n\n")[0].split())
        super().__init__(f"{method.__qualname__} is to be written: {first}")
