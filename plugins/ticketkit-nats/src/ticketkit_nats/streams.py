"""The three streams of a market: its events, its dead letters, and what JetStream does not know of groups.

They are made when they are missing. One that exists is compared and never deleted; it is changed only where the
settings say so.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from nats.js import api
from nats.js.errors import APIError

from ticketkit.backends.errors import Misconfigured
from ticketkit_nats.faults import OTHER_CONFIGURATION, STREAM_NOT_FOUND

if TYPE_CHECKING:
    from ticketkit_nats.connection import Connection
    from ticketkit_nats.settings import Settings

log = logging.getLogger(__name__)
_MISSING: Final = frozenset({STREAM_NOT_FOUND})
_RACED: Final = frozenset({OTHER_CONFIGURATION})


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in which a stream is not as the settings say.

    Attributes:
        text: What differs, in a sentence.
        mend: The line that mends it.
        fatal: Whether ticketkit can't keep its promises on such a stream.
    """

    text: str
    mend: str
    fatal: bool


def wanted(settings: Settings) -> list[api.StreamConfig]:
    """The streams as the settings want them: events, dead letters, state."""
    common = api.StreamConfig(
        storage=api.StorageType.FILE,
        retention=api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW,
        num_replicas=settings.replicas,
        duplicate_window=settings.dedup,
        max_age=0,
    )
    window = min(settings.dedup, settings.keep) if settings.keep else settings.dedup
    return [
        replace(
            common,
            name=settings.stream,
            description="Events of ticketkit",
            subjects=[f"{settings.prefix}.>"],
            retention=api.RetentionPolicy(settings.retention),
            max_age=settings.keep,
            duplicate_window=window,
        ),
        replace(
            common,
            name=settings.dead,
            description="Events that a group of ticketkit could not handle",
            subjects=[f"{settings.prefix}-dead.>"],
        ),
        replace(
            common,
            name=settings.state,
            description="Where groups of ticketkit are, and what they tried how often",
            subjects=[f"{settings.prefix}-state.>"],
            max_msgs_per_subject=1,
            discard=api.DiscardPolicy.OLD,
        ),
    ]


def differences(want: api.StreamConfig, found: api.StreamConfig) -> list[Difference]:
    """In what a stream is not as it should be."""
    return [*_fatal(want, found), *_lesser(want, found)]


def _fatal(want: api.StreamConfig, found: api.StreamConfig) -> list[Difference]:
    name = want.name
    edit = f"nats stream edit {name}"
    anew = f"nats stream rm {name}, once nothing in it is needed any more, and it is made anew; or stream=OTHER"
    subjects = ",".join(want.subjects or ())
    most = want.max_msgs_per_subject
    checks: list[tuple[str, object, object, str]] = [
        ("has the subjects", sorted(found.subjects or ()), want.subjects or [], f"{edit} --subjects='{subjects}'"),
        ("is stored in", _value(found.storage), _value(want.storage), anew),
        ("has the retention", _value(found.retention), _value(want.retention), anew),
        ("keeps of each subject", found.max_msgs_per_subject, most, f"{edit} --max-msgs-per-subject={most}"),
        ("has no_ack", bool(found.no_ack), False, f"{edit} --ack"),
        ("is sealed:", bool(found.sealed), False, anew),
    ]
    return [
        Difference(f"the stream {name} {what} {_words(is_)}, not {_words(should)}", mend, fatal=True)
        for what, is_, should, mend in checks
        if is_ != should
    ]


def _lesser(want: api.StreamConfig, found: api.StreamConfig) -> list[Difference]:
    checks: list[tuple[str, float | None, float | None]] = [
        ("max_age", found.max_age, want.max_age),
        ("num_replicas", found.num_replicas, want.num_replicas),
        ("duplicate_window", found.duplicate_window, want.duplicate_window),
    ]
    mend = "add streams=update to the URL once"
    text = "the stream {} has {}={:g}, the settings say {:g}"
    return [
        Difference(text.format(want.name, what, is_ or 0, should or 0), mend, fatal=False)
        for what, is_, should in checks
        if (is_ or 0) != (should or 0)
    ]


async def ensure(connection: Connection) -> None:
    """Make what is missing, and check what is there.

    Raises:
        Misconfigured: A stream is not as it should be, or is missing and may not be made.
        Unavailable: No answer.
    """
    settings = connection.settings
    for want in wanted(settings):
        found = await look(connection, str(want.name))
        if found is None:
            found = await _create(connection, want)
        fatal = [one for one in differences(want, found.config) if one.fatal]
        if fatal:
            what = "; ".join(one.text for one in fatal)
            mend = " ".join(f"To mend it: {one.mend}." for one in fatal)
            raise Misconfigured(f"On NATS ({settings.where}), {what}. Nothing was changed.", mend=mend)
        lesser = differences(want, found.config)
        if lesser and settings.streams == "update":
            await _update(connection, want, found.config)
        for one in lesser if settings.streams != "update" else ():
            log.warning("NATS: %s; it stays as it is (to change it: %s)", one.text, one.mend)


async def look(connection: Connection, name: str) -> api.StreamInfo | None:
    """A stream as it is; None when there is none."""
    try:
        return await connection.call(lambda jetstream: jetstream.stream_info(name), passing=_MISSING)
    except APIError:
        return None


async def last_sequence(connection: Connection) -> int:
    """Number of the newest event; 0 when there never was one."""
    name = connection.settings.stream
    info = await connection.call(lambda jetstream: jetstream.stream_info(name))
    return info.state.last_seq


async def _create(connection: Connection, want: api.StreamConfig) -> api.StreamInfo:
    if connection.settings.streams == "check":
        subjects = ",".join(want.subjects or ())
        raise Misconfigured(
            f"NATS ({connection.settings.where}) has no stream {want.name}, and streams=check.",
            mend=f"Start once with streams=create, or say `nats stream add {want.name} --subjects='{subjects}' "
            f"--storage=file --retention={_value(want.retention)} --replicas={want.num_replicas} --defaults`.",
        )
    try:
        return await connection.call(lambda jetstream: jetstream.add_stream(want), passing=_RACED)
    except APIError:  # another process was quicker, with other settings: what it made is compared
        found = await look(connection, str(want.name))
        if found is None:
            raise Misconfigured(f"The stream {want.name} is made and deleted by somebody else.") from None
        return found


async def _update(connection: Connection, want: api.StreamConfig, found: api.StreamConfig) -> None:
    new = replace(
        found,
        max_age=want.max_age,
        num_replicas=want.num_replicas,
        duplicate_window=want.duplicate_window,
    )
    await connection.call(lambda jetstream: jetstream.update_stream(new))
    log.info("NATS: the stream %s was updated", want.name)


def _value(choice: object) -> object:
    return getattr(choice, "value", choice)


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
