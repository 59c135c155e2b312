"""What a look at a server finds: whether it will do, and whether it keeps what it acknowledges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST: Final = (6, 2)
_POLICY: Final = "noeviction"


def check_kind(about: dict[str, Any], server: str) -> None:
    """Refuse a server that can't do the work.

    Args:
        about: Its INFO.
        server: Which, for people.

    Raises:
        Misconfigured: It is too old, a cluster or a replica.
    """
    version = str(about.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        raise Misconfigured(
            f"Redis at {server} is {version}: ticketkit-redis needs 6.2 or newer.", mend="Upgrade redis-server."
        )
    if about.get("redis_mode") == "cluster":
        raise Misconfigured(
            f"Redis at {server} is a cluster: ticketkit-redis needs a single primary.",
            mend="In its redis.conf: cluster-enabled no",
        )
    if about.get("role") != "master":
        primary = f"{about.get('master_host', 'HOST')}:{about.get('master_port', 'PORT')}"
        raise Misconfigured(
            f"Redis at {server} is a replica, which takes no writes.",
            mend=f"Name its primary in the URL: redis://{primary}",
        )


def keeping(about: dict[str, Any], server: str) -> Finding | None:
    """A finding when the server has no append-only file.

    Args:
        about: Its INFO.
        server: Which, for people.
    """
    if about.get("aof_enabled"):
        return None
    return _error(
        f"Redis at {server} has no append-only file: a crash loses events and timers.",
        "redis-cli CONFIG SET appendonly yes && redis-cli CONFIG REWRITE",
    )


def findings(about: dict[str, Any], server: str, *, appendfsync: str | None) -> Iterator[Finding]:
    """What is to be said about a server that can do the work.

    Args:
        about: Its INFO.
        server: Which, for people.
        appendfsync: Of its configuration; None when it may not be seen.
    """
    if (lost := keeping(about, server)) is not None:
        yield lost
    elif appendfsync == "no":
        yield Finding(
            severity=Severity.WARNING,
            what=f"Redis at {server} never flushes its append-only file: power loss loses what the system had not "
            "written yet, half a minute or more.",
            mend="redis-cli CONFIG SET appendfsync everysec && redis-cli CONFIG REWRITE",
        )
    elif appendfsync == "everysec":
        yield Finding(
            severity=Severity.NOTE,
            what=f"Redis at {server} flushes once a second: power loss loses about the last second (a killed process "
            "loses nothing). What was published then can be published again: ticketkit events republish.",
            mend="redis-cli CONFIG SET appendfsync always && redis-cli CONFIG REWRITE",
        )
    if (policy := about.get("maxmemory_policy", _POLICY)) != _POLICY:
        yield _error(
            f"Redis at {server} throws keys away when its memory is full (maxmemory-policy {policy}): events and "
            "timers would be lost.",
            "redis-cli CONFIG SET maxmemory-policy noeviction && redis-cli CONFIG REWRITE",
        )
    for name in ("aof_last_write_status", "aof_last_bgrewrite_status"):
        if about.get(name, "ok") != "ok":
            yield _error(
                f"Redis at {server} can't write its append-only file ({name}: {about[name]}).",
                "See its log; most often the disk is full: df -h",
            )


def _error(what: str, mend: str) -> Finding:
    return Finding(severity=Severity.ERROR, what=what, mend=mend)
