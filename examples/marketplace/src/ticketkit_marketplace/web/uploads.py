"""Sellers' files between the choice of the file and its listing: kept in a folder, with how far each has come.

A file may be listed by one process and looked at through another, so all that is known of it is in the folder.
"""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import anyio.to_thread
from pydantic import BaseModel, ValidationError

from ticketkit_marketplace.web.files import Checked

if TYPE_CHECKING:
    from pathlib import Path

    from ticketkit.backends.clock import Clock

KEPT: Final = timedelta(days=1)
"""How long a file is kept after its last step: as long as the API knows command keys, so going on never lists twice."""
MOST: Final = 10
"""Files of one seller; the oldest goes first."""
SILENT: Final = timedelta(seconds=30)
"""A listing that has said nothing for so long has been broken off."""
_ID_LENGTH: Final = 32


class State(StrEnum):
    """Where a file is: `checked` → `listing` → `listed`, or `stopped`, from where it can go on."""

    CHECKED = "checked"
    LISTING = "listing"
    LISTED = "listed"
    STOPPED = "stopped"


class Upload(BaseModel):
    """A file of a seller.

    Attributes:
        owner: Id of the seller.
        name: Of the file, as the seller calls it.
        checked: What is in it.
        done: Tickets that are listed.
        why: It was stopped.
        at: Of the last step.
    """

    id: str
    owner: str
    name: str
    checked: Checked
    state: State = State.CHECKED
    done: int = 0
    why: str = ""
    at: datetime

    def broken_off(self, now: datetime) -> bool:
        """Whether it was being listed, and nobody does that any more."""
        return self.state is State.LISTING and now - self.at > SILENT


class Uploads:
    """The folder.

    Args:
        folder: Made when the first file comes.
        clock: Says when a file is old.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder, clock

    async def keep(self, *, owner: str, name: str, content: bytes, checked: Checked) -> Upload:
        """Keep a file until it is listed."""
        upload = Upload(id=secrets.token_hex(_ID_LENGTH // 2), owner=owner, name=name, checked=checked, at=self._now())
        await anyio.to_thread.run_sync(self._write, upload, content)
        return upload

    async def get(self, id: str, *, owner: str) -> Upload | None:
        """A file of a seller; None when there is none, or none of theirs."""
        if len(id) != _ID_LENGTH or not id.isalnum():
            return None
        upload = await anyio.to_thread.run_sync(self._read, self._folder / f"{id}.json")
        return upload if upload is not None and upload.owner == owner else None

    async def content(self, upload: Upload) -> bytes:
        """What is in a file."""
        return await anyio.Path(self._folder / f"{upload.id}.csv").read_bytes()

    async def save(self, upload: Upload) -> None:
        """Write down how far it has come."""
        upload.at = self._now()
        await anyio.to_thread.run_sync(self._write, upload, None)

    def _now(self) -> datetime:
        return self._clock.now()

    def _write(self, upload: Upload, content: bytes | None) -> None:
        if content is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._tidy(upload.owner)
            _replace(self._folder / f"{upload.id}.csv", content)
        _replace(self._folder / f"{upload.id}.json", upload.model_dump_json().encode())

    def _tidy(self, owner: str) -> None:
        found = [upload for file in self._folder.glob("*.json") if (upload := self._read(file)) is not None]
        old = [upload for upload in found if self._now() - upload.at > KEPT]
        theirs = sorted(
            (upload for upload in found if upload.owner == owner and upload.state is not State.LISTING),
            key=lambda upload: upload.at,
        )
        for upload in [*old, *theirs[: -MOST + 1]]:
            for ending in ("json", "csv"):
                (self._folder / f"{upload.id}.{ending}").unlink(missing_ok=True)

    @staticmethod
    def _read(file: Path) -> Upload | None:
        try:
            return Upload.model_validate_json(file.read_bytes())
        except (FileNotFoundError, ValidationError):  # gone, or of another release
            return None


def _replace(file: Path, content: bytes) -> None:
    """Write a file in whole: who reads it sees the old one or the new one."""
    part = file.with_suffix(f".{secrets.token_hex(4)}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    part.replace(file)
