"""What a test of the kit says about itself, and the one way around a test."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import pytest

from ticketkit.testing.reporting import GAPS, MARK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from ticketkit.backends.spec import Capability

C = TypeVar("C", bound=type)
Test = Callable[..., "Awaitable[None]"]

LIMIT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Gap:
    """A promise that a backend is known not to keep.

    Attributes:
        test: Name of the kit's test.
        reason: For people who choose a backend.
        issue: Where it is being worked on: a URL.
    """

    test: str
    reason: str
    issue: str


def promise(
    *,
    needs: Iterable[Capability] = (),
    lacks: Iterable[Capability] = (),
    network: bool = False,
    since: str | None = None,
    long: bool = False,
    limit: float = LIMIT,
) -> Callable[[Test], Test]:
    """Mark a test of the kit. Its docstring is the promise, as one sentence.

    Args:
        needs: Capabilities without which it does not apply.
        lacks: It applies only without these: that they are refused.
        network: It applies only to a backend whose URL names a host and a port.
        since: Minor version of ticketkit (`0.2`) in which it joined. In that version it only warns.
        long: Not part of the short form.
        limit: Seconds after which it fails; four leases more where it waits for their end.
    """

    def mark(test: Test) -> Test:
        @functools.wraps(test)
        async def limited(self: Any, *arguments: Any, **fixtures: Any) -> None:
            seconds = limit * getattr(self, "patience", 1) + 4 * fixtures.get("lease", 0)
            hung: BaseException | None = None
            with anyio.move_on_after(seconds) as scope:
                try:
                    await test(self, *arguments, **fixtures)
                except anyio.get_cancelled_exc_class() as error:
                    hung = error  # its traceback shows where
                    raise
            if scope.cancelled_caught:
                msg = f"the promise was not kept within {seconds:g} s"
                raise AssertionError(msg) from hung

        marked = getattr(pytest.mark, MARK)(
            needs=tuple(needs), lacks=tuple(lacks), network=network, since=since, long=long
        )
        wrapped: Test = marked(limited)
        return wrapped

    return mark


def known_gap(test: str, *, reason: str, issue: str) -> Callable[[C], C]:
    """Let a conformance class pass although one test fails: the gap is printed at the end of every run.

    The test is still run; once it passes, the run fails until this is taken away.

    Args:
        test: Name of the kit's test.
        reason: Why the promise is not kept, for people who choose a backend.
        issue: URL of the issue in which it is being worked on.

    Raises:
        ValueError: Reason or issue is empty, or the kit has no such test.
    """
    if not reason.strip() or not issue.strip():
        msg = "A known gap needs a reason and an issue."
        raise ValueError(msg)

    def note(cls: C) -> C:
        if not any(mark.name == MARK for mark in getattr(getattr(cls, test, None), "pytestmark", ())):
            msg = f"{cls.__name__} has no test {test} of the kit."
            raise ValueError(msg)
        setattr(cls, GAPS, (*getattr(cls, GAPS, ()), Gap(test, reason, issue)))
        return cls

    return note
