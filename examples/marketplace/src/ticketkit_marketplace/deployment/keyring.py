"""Keys of sessions and passes, made once and kept in the data folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from ticketkit.backends.errors import Misconfigured
from ticketkit.ids import new_id
from ticketkit.services.passes import PassKeys
from ticketkit.services.tokens import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE: Final = "keys.json"
SESSION_ID: Final = "TICKETKIT_SESSION_KEY_ID"
SESSION_PRIVATE: Final = "TICKETKIT_SESSION_PRIVATE_KEY"
SESSION_PUBLIC: Final = "TICKETKIT_SESSION_PUBLIC_KEYS"
PASS_ID: Final = "TICKETKIT_PASS_KEY_ID"  # noqa: S105 - a name
PASSES: Final = "TICKETKIT_PASS_KEYS"
NAMES: Final = (SESSION_ID, SESSION_PRIVATE, SESSION_PUBLIC, PASS_ID, PASSES)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys as settings, by who may have them.

    Attributes:
        minting: For auth alone: it signs sessions.
        verifying: For every service.
        admitting: For orders alone: it makes passes.
    """

    minting: Mapping[str, str] = field(repr=False)
    verifying: Mapping[str, str]
    admitting: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Self:
        """From settings, as `ticketkit keys new --json` prints them."""

        def some(*names: str) -> dict[str, str]:
            return {name: settings[name] for name in names if name in settings}

        return cls(some(SESSION_ID, SESSION_PRIVATE), some(SESSION_PUBLIC), some(PASS_ID, PASSES))

    @classmethod
    def kept(cls, folder: Path, given: Mapping[str, str]) -> Self:
        """Those that are given; what is not comes from the folder's file, which is made the first time.

        Args:
            folder: Of the data.
            given: Settings of whoever starts it: both session keys, the pass keys, or nothing of the kind.

        Raises:
            Misconfigured: The file is there and can't be read.
        """
        made = _read(folder / FILE) if (folder / FILE).exists() else _made(folder / FILE)
        if SESSION_PRIVATE in given or SESSION_PUBLIC in given:
            made = {name: value for name, value in made.items() if not name.startswith("TICKETKIT_SESSION_")}
        if PASSES in given:
            made = {name: value for name, value in made.items() if not name.startswith("TICKETKIT_PASS_")}
        return cls.of({**made, **{name: given[name] for name in NAMES if name in given}})


def _read(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {name: str(found[name]) for name in NAMES}
    except (OSError, ValueError, KeyError, TypeError):
        msg = (
            f"The keys in {file} can't be read. Put the file back from a backup; or delete it: then new ones are made, "
            "everybody has to sign in again, and passes that were shown before are no longer good."
        )
        raise Misconfigured(msg) from None


def _made(file: Path) -> dict[str, str]:
    keys = Keys.generate(new_id())
    door = PassKeys.fresh(keys.key_id)
    settings = {
        SESSION_ID: keys.key_id,
        SESSION_PRIVATE: keys.private_pem(),
        SESSION_PUBLIC: json.dumps({keys.key_id: keys.public_pem()}),
        PASS_ID: door.key_id,
        PASSES: json.dumps(dict(door.secrets)),
    }
    partial = file.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(settings, out, indent=2)
        out.flush()
        os.fsync(out.fileno())
    partial.rename(file)
    return settings
