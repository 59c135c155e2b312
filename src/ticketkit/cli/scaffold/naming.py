"""All names of a new distribution, from one."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from ticketkit.backends.spec import BackendKind

_DISTRIBUTION: Final = re.compile(r"[a-z](-?[a-z0-9]+)*")
_SUFFIXES: Final = {
    BackendKind.STORAGE: "Storage",
    BackendKind.BUS: "Bus",
    BackendKind.TIMERS: "Timers",
    BackendKind.PAYMENTS: "Payments",
}


class BadName(ValueError):
    """A name that a distribution, or its package, can't have."""


@dataclass(frozen=True, slots=True)
class Naming:
    """Names of a distribution with one backend.

    Attributes:
        kind: Of the backend.
        distribution: Such as `acme-bus`.
    """

    kind: BackendKind
    distribution: str

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            BadName: With what is wrong.
        """
        if not _DISTRIBUTION.fullmatch(self.distribution):
            raise BadName(
                f"{self.distribution!r} is no name for a distribution: lower-case letters and digits, with single "
                "hyphens between them, as in acme-bus."
            )
        if keyword.iskeyword(self.package) or self.package in sys.stdlib_module_names or find_spec(self.package):
            raise BadName(f"There is a module {self.package} already, so nobody could import yours: take another name.")

    @property
    def package(self) -> str:
        """What is imported: `acme_bus`."""
        return self.distribution.replace("-", "_")

    @property
    def stem(self) -> str:
        """Without `ticketkit` before and the kind after it: scheme of the URL, and name of the entry point."""
        words = self.distribution.split("-")
        words = words[1:] if words[0] == "ticketkit" and len(words) > 1 else words
        return "-".join(words[:-1] if words[-1] == self.kind.value and len(words) > 1 else words)

    @property
    def title(self) -> str:
        """For people, and the beginning of class names: `Acme`."""
        return "".join(word.title() for word in self.stem.split("-"))

    @property
    def suffix(self) -> str:
        """The end of the backend's class name."""
        return _SUFFIXES[self.kind]

    @property
    def backend(self) -> str:
        """Class of the backend: `AcmeBus`."""
        return f"{self.title.removesuffix(self.suffix) or self.title}{self.suffix}"
