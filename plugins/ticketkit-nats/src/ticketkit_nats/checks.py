"""What an operator ought to know of the servers, found without changing anything. `ticketkit doctor` asks it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import anyio.to_thread

from ticketkit.backends import findings as findings_
from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.findings import Severity
from ticketkit_nats import streams
from ticketkit_nats.connection import Connection
from ticketkit_nats.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.backends.spec import Context

_TIMEOUT: Final = 3.0
_EVERY: Final = 120
"""Seconds between two writes to disk that a server has when its configuration says nothing (`server/filestore.go`)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        text: What, in a sentence.
        mend: The line that mends it.
        fatal: Whether ticketkit can't keep its promises so.
    """

    text: str
    mend: str
    fatal: bool


async def findings(url: str) -> list[Finding]:
    """All that is to be said of the servers of a bus URL.

    Raises:
        Misconfigured: The URL or the credentials are wrong, or there is no JetStream.
        Unavailable: No server answers.
    """
    settings = Settings.of(url)
    found = [*await stream_findings(url)]
    if settings.monitor is None:
        text = "Whether NATS writes through before it acknowledges can't be seen: the URL names no monitoring."
        mend = "add monitor=http://HOST:8222 to the URL, and `http: 8222` to the server's configuration"
        found.append(Finding(text, mend, fatal=False))
    elif (late := await acknowledges_before_fsync(settings.monitor)) is not None:
        found.append(late)
    return found


async def stream_findings(url: str) -> Sequence[Finding]:
    """In what the streams are not as the URL says; missing ones are made by the first start.

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
            if info is not None:
                different = streams.differences(want, info.config)
                found += [Finding(f"On NATS, {one.text}.", one.mend, one.fatal) for one in different]
            elif settings.streams == "check":
                text = f"NATS has no stream {want.name}, and streams=check forbids to make it."
                found.append(Finding(text, "start once with streams=create", fatal=True))
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
    config = (await _varz(monitor)).get("jetstream", {}).get("config")
    if not config:
        raise Misconfigured(f"{monitor} tells of no JetStream: is it the monitoring of the server that the URL names?")
    if config.get("sync_always"):
        return None
    seconds = int(config.get("sync_interval", _EVERY * 1_000_000_000)) // 1_000_000_000
    return Finding(
        f"NATS acknowledges before fsync: it writes through every {seconds} s, and what it acknowledged since then may "
        "be gone after power loss or a crash of the operating system (a killed process loses nothing).",
        "put `sync_interval: always` into the jetstream block of the server's configuration",
        fatal=False,
    )


async def _varz(monitor: str) -> dict[str, Any]:
    if urlsplit(monitor).scheme not in ("http", "https"):
        raise Misconfigured(f"monitor={monitor}: write http://host:8222.")

    def ask() -> dict[str, Any]:
        with urlopen(f"{monitor.rstrip('/')}/varz", timeout=_TIMEOUT) as answer:  # noqa: S310 - the scheme is checked
            found: dict[str, Any] = json.loads(answer.read())
            return found

    try:
        return await anyio.to_thread.run_sync(ask)
    except (URLError, OSError, ValueError) as error:
        raise Misconfigured(f"The monitoring of NATS at {monitor} does not answer: {error}.") from error


async def look(url: str, context: Context) -> list[findings_.Finding]:
    """What `ticketkit doctor` is told of the servers of a URL.

    Raises:
        Misconfigured: The URL or the credentials are wrong, or there is no JetStream.
        Unavailable: No server answers.
    """
    settings = Settings.of(url)
    found = [_told(one) for one in await stream_findings(url)]
    if missing := await _missing(settings):
        names = ", ".join(missing)
        found.append(
            findings_.Finding(
                severity=Severity.NOTE,
                what=f"NATS ({settings.where}) has no stream {names} yet: the first start makes what is missing.",
                mend="ticketkit serve",
                unopened=True,
            )
        )
    if settings.monitor is None:
        what = f"Whether NATS ({settings.where}) writes through before it acknowledges can't be seen."
        mend = "add monitor=http://HOST:8222 to the URL, and `http: 8222` to the server's configuration"
        return [*found, findings_.Finding(severity=Severity.NOTE, what=what, mend=mend)]
    if (late := await acknowledges_before_fsync(settings.monitor)) is not None:
        found.append(_told(late))
    now = datetime.fromisoformat((await _varz(settings.monitor))["now"])
    off = findings_.clock_off("The NATS server's", now, context.clock.now())
    return [*found, *([off] if off is not None else [])]


def _told(one: Finding) -> findings_.Finding:
    severity = Severity.ERROR if one.fatal else Severity.WARNING
    return findings_.Finding(severity=severity, what=one.text, mend=one.mend)


async def _missing(settings: Settings) -> list[str]:
    connection = Connection(settings, name="ticketkit doctor")
    try:
        names = [str(want.name) for want in streams.wanted(settings)]
        return [name for name in names if await streams.look(connection, name) is None]
    finally:
        await connection.close()
