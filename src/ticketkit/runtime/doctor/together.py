"""What is wrong between the processes of a deployment, although each by itself is in order."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.errors import BackendError
from ticketkit.backends.spec import BackendKind
from ticketkit.domain.entities import key_of
from ticketkit.runtime.doctor.diagnosis import Diagnosis, error, place
from ticketkit.runtime.doctor.process import KEYS
from ticketkit.services.catalogue import Boundary, ServiceName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ticketkit.backends.findings import Finding
    from ticketkit.backends.spec import Context
    from ticketkit.backends.storage import Storage
    from ticketkit.domain.entities import Kind
    from ticketkit.plugins import Plugins
    from ticketkit.runtime.doctor.process import Process
    from ticketkit.services.tokens import Keys

_LIMIT: Final = 10.0
_TELLING: Final[tuple[Kind, ...]] = ("live_event", "ticket", "order", "user", "charge")
"""Kinds that are never deleted: one that is in a storage and not in another tells them apart."""


async def compared(
    processes: Sequence[Process],
    plugins: Plugins,
    context: Context,
    *,
    openable: Collection[tuple[BackendKind, str]],
) -> list[Diagnosis]:
    """What is wrong between processes.

    Args:
        openable: The backends that are in order, so that opening them changes nothing.
    """
    found = [*_buses(processes), *_keys(processes)]
    for boundary in Boundary:
        users = [process for process in processes if boundary in process.boundaries]
        for one, other in combinations(users, 2):
            if await _apart(boundary, one, other, plugins, context, openable=openable):
                found.append(Diagnosis(about=f"storage of {boundary.value}", finding=_split(boundary, one, other)))
    return found


async def _apart(
    boundary: Boundary,
    one: Process,
    other: Process,
    plugins: Plugins,
    context: Context,
    *,
    openable: Collection[tuple[BackendKind, str]],
) -> bool:
    """Whether two processes keep one boundary in two storages.

    Two URLs may name one database: through a proxy, by another user. So what they hold is compared, and the URLs only
    where they hold nothing yet.
    """
    mine, theirs = one.storage(boundary)[0], other.storage(boundary)[0]
    if mine == theirs:
        return False
    if not {(BackendKind.STORAGE, mine), (BackendKind.STORAGE, theirs)} <= set(openable):
        return place(mine) != place(theirs)
    try:
        with anyio.fail_after(_LIMIT):
            async with (
                plugins.open(BackendKind.STORAGE, mine, context) as first,
                plugins.open(BackendKind.STORAGE, theirs, context) as second,
            ):
                same = await _same_content(first, second)
    except (BackendError, TimeoutError):
        same = None
    return place(mine) != place(theirs) if same is None else not same


async def _same_content(one: Storage, other: Storage) -> bool | None:
    """Whether each has what the other has; None when both are empty."""
    told = False
    for holder, asked in ((one, other), (other, one)):
        for kind in _TELLING:
            keys = [key_of(entity) for entity in (await holder.scan(kind, limit=1)).items]
            if keys and not await asked.get(keys):
                return False
            told = told or bool(keys)
    return True if told else None


def _split(boundary: Boundary, one: Process, other: Process) -> Finding:
    (mine, setting), (theirs, _) = one.storage(boundary), other.storage(boundary)
    why = {
        Boundary.INVENTORY: "a lock changes a ticket and an order in one transaction, so no order finds its tickets",
        Boundary.ACCOUNTS: "an account that one makes is unknown to the other",
        Boundary.PAYMENTS: "a charge that one begins is unknown to the other",
    }[boundary]
    return error(
        f"{one.name} and {other.name} keep {boundary.value} in different storages ({place(mine)} and {place(theirs)}): "
        f"{why}.",
        f"Give both the same {setting}, that of the one which holds what is to be kept",
    )


def _buses(processes: Sequence[Process]) -> Iterator[Diagnosis]:
    for one, other in pairwise(processes):
        mine, theirs = (process.settings.bus_url.get_secret_value() for process in (one, other))
        if place(mine) != place(theirs):
            yield Diagnosis(
                about="bus",
                finding=error(
                    f"{one.name} and {other.name} are on different buses ({place(mine)} and {place(theirs)}): "
                    "neither hears what the other says.",
                    "Give both the same TICKETKIT_BUS_URL",
                ),
            )


def _keys(processes: Sequence[Process]) -> Iterator[Diagnosis]:
    """Every process has to know the key that auth signs with."""
    for auth in (process for process in processes if ServiceName.AUTH in process.services):
        if (signer := auth.keys()) is None or signer.private is None:
            continue
        for process in processes:
            known = process.keys()
            if known is None or _knows(known, signer):
                continue
            yield Diagnosis(
                about=KEYS,
                finding=error(
                    f"{process.name} does not know the key {signer.key_id!r} that auth signs with, so nobody is signed "
                    "in there.",
                    f"Give {process.name} the TICKETKIT_SESSION_PUBLIC_KEYS of auth",
                ),
            )


def _knows(keys: Keys, signer: Keys) -> bool:
    id = signer.key_id
    return id in keys.public and keys.public_pem(id) == signer.public_pem(id)
