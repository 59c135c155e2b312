"""What an operator ought to know of the servers, found without changing anything: for `ticketkit doctor`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import anyio.to_thread

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.findings import Finding, Severity, clock_off
from ticketkit_nats import streams
from ticketkit_nats.connection import Connection
from ticketkit_nats.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.backends.spec import Context

_TIMEOUT: Final = 3.0
_EVERY: Final = 120
"""Seconds between two writes to disk that a server has when its configuration says nothing (`server/filestore.go`)."""
_NANOS: Final = re.compile(r"\.\d+")


async def check(url: str, context: Context) -> Sequence[Finding]:
    """All that is to be said of the servers of a bus URL.

    Raises:
        Misconfigured: The URL or the credentials are wrong, or there is no JetStream.
        Unavailable: No server answers.
    """
    settings = Settings.of(url)
    found = list(await check_streams(url))
    if settings.monitor is None:
        finding = Finding(
            severity=Severity.NOTE,
            what="Whether NATS writes through before it acknowledges can't be seen: the URL names no monitoring.",
            mend="Add monitor=http://HOST:8222 to the URL, and `http: 8222` to the server's configuration.",
        )
        return [*found, finding]
    try:
        told = await _varz(settings.monitor)
        now = datetime.fromisoformat(_NANOS.sub("", told["now"]))
        late, clock = _late(told, settings.monitor), clock_off("NATS's", now, context.clock.now())
    except Misconfigured as error:
        return [*found, Finding(severity=Severity.WARNING, what=error.what, mend=error.mend)]
    return [*found, *(one for one in (late, clock) if one is not None)]


async def check_streams(url: str) -> Sequence[Finding]:
    """In what the streams are not as the URL says.

    Raises:
        Misconfigured: The URL or the credentials are wrong, or there is no JetStream.
        Unavailable: No server answers.
    """
    settings = Settings.of(url)
    connection = Connection(settings, name="ticketkit doctor")
    try:
        found: list[Finding] = []
        for want in streams.wanted(settings):
            info = await streams.look(connection, str(want.name))
            if info is None:
                found.append(_missing(str(want.name), settings))
                continue
            for one in streams.differences(want, info.config):
                severity = Severity.ERROR if one.fatal else Severity.WARNING
                found.append(Finding(severity=severity, what=f"On NATS, {one.text}.", mend=one.mend))
        return found
    finally:
        await connection.close()


async def acknowledges_before_fsync(monitor: str) -> Finding | None:
    """Whether a server acknowledges events that it has not written to disk yet; None when it writes through first.

    Args:
        monitor: `http://host:8222`, its monitoring.

    Raises:
        Misconfigured: Nothing there tells of JetStream.
    """
    return _late(await _varz(monitor), monitor)


def _missing(name: str, settings: Settings) -> Finding:
    if settings.streams == "check":
        return Finding(
            severity=Severity.ERROR,
            what=f"NATS has no stream {name}, and streams=check forbids to make it.",
            mend="Start once with streams=create.",
        )
    return Finding(
        severity=Severity.NOTE,
        what=f"NATS has no stream {name} yet.",
        mend="Start ticketkit: it makes the stream.",
        unopened=True,
    )


def _late(told: dict[str, Any], monitor: str) -> Finding | None:
    config = told.get("jetstream", {}).get("config")
    if not config:
        raise Misconfigured(
            f"The monitoring of NATS at {monitor} tells of no JetStream.",
            mend="Set monitor= to that of a server which the URL names.",
        )
    if config.get("sync_always"):
        return None
    seconds = int(config.get("sync_interval", _EVERY * 1_000_000_000)) // 1_000_000_000
    return Finding(
        severity=Severity.WARNING,
        what=f"NATS acknowledges before fsync: it writes through every {seconds} s; what it acknowledged since then "
        "may be gone after power loss or a crash of the operating system (a killed process loses nothing).",
        mend="Put `sync_interval: always` into the jetstream block of the server's configuration.",
    )


async def _varz(monitor: str) -> dict[str, Any]:
    mend = "Set monitor= to http://host:8222, where the server's configuration says `http: 8222`."
    if urlsplit(monitor).scheme not in ("http", "https"):
        raise Misconfigured(f"monitor={monitor} is no HTTP URL.", mend=mend)

    def ask() -> dict[str, Any]:
        with urlopen(f"{monitor.rstrip('/')}/varz", timeout=_TIMEOUT) as answer:  # noqa: S310 - the scheme is checked
            found: dict[str, Any] = json.loads(answer.read())
            return {"now": datetime.now(UTC).isoformat(), **found}

    try:
        return await anyio.to_thread.run_sync(ask)
    except (URLError, OSError, ValueError) as error:
        raise Misconfigured(f"The monitoring of NATS at {monitor} does not answer: {error}.", mend=mend) from error
