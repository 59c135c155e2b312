"""What the URL of a database says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ticketkit.backends.errors import Misconfigured

SETTINGS: Final = {
    "migrate": "`yes` (default): opening brings the schema up to date; `no`: an old schema is refused.",
    "busy": "Seconds to wait for another process that writes, before `Unavailable` (default 10).",
    "readers": "Connections that read at once (default 4).",
    "synchronous": "`full` (default): what is acknowledged survives power loss; `normal`: only a killed process.",
    "lease": "Seconds after which an event that a dead consumer had is delivered again (bus only, default 30).",
    "keep": "Seconds for which the bus keeps a message that nobody waits for (bus only, default 300).",
}
"""URL parameters, for `Backend.settings`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A URL such as `sqlite:///data/market.db?busy=5`, understood.

    Attributes:
        path: The file; relative to the working directory in `sqlite:///rel`, absolute in `sqlite:////abs`.
        migrate: Whether opening may create or upgrade the schema.
        busy: Seconds to wait for another process that writes.
        readers: Connections that read at once.
        synchronous: SQLite's `FULL` or `NORMAL`.
        lease: Seconds of a delivery of the bus.
        keep: Seconds for which the bus keeps a message that nobody waits for.
    """

    path: Path
    migrate: bool = True
    busy: float = 10.0
    readers: int = 4
    synchronous: str = "FULL"
    lease: float = 30.0
    keep: float = 300.0

    @classmethod
    def of(cls, url: str) -> Settings:
        """Read a URL.

        Raises:
            Misconfigured: It names no file, or a parameter is unknown or wrong.
        """
        parts = urlsplit(url)
        if parts.scheme != "sqlite":
            raise Misconfigured(f"ticketkit-sql opens sqlite:///file, not {parts.scheme}://.")
        if parts.netloc or len(parts.path) < 2:  # noqa: PLR2004 - "/" and at least one character
            raise Misconfigured("The URL names no file: write sqlite:///relative/path or sqlite:////absolute/path.")
        found = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := found.keys() - SETTINGS.keys():
            known = ", ".join(SETTINGS)
            raise Misconfigured(f"{', '.join(sorted(unknown))}: no such parameter of sqlite://. There are: {known}.")
        defaults = cls(path=Path(unquote(parts.path[1:])))
        return cls(
            path=defaults.path,
            migrate=_choice(found, "migrate", {"yes": True, "no": False}, default="yes"),
            busy=_number(found, "busy", default=defaults.busy),
            readers=max(1, int(_number(found, "readers", default=defaults.readers))),
            synchronous="NORMAL" if _choice(found, "synchronous", _SYNCHRONOUS, default="full") else "FULL",
            lease=_number(found, "lease", default=defaults.lease),
            keep=_number(found, "keep", default=defaults.keep),
        )


_SYNCHRONOUS: Final = {"full": False, "normal": True}


def _choice(found: dict[str, str], name: str, choices: dict[str, bool], *, default: str) -> bool:
    value = found.get(name, default).lower()
    if value not in choices:
        raise Misconfigured(f"{name}={value}: it is one of {', '.join(choices)}.")
    return choices[value]


def _number(found: dict[str, str], name: str, *, default: float) -> float:
    try:
        value = float(found.get(name, default))
    except ValueError:
        value = -1.0
    if not value > 0:
        raise Misconfigured(f"{name}={found[name]}: it is a number above 0.")
    return value
