"""The accounts that `run` makes by itself: their passwords are written into files of the data folder."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ticketkit.services.principal import OPERATOR

if TYPE_CHECKING:
    from pathlib import Path

    from ticketkit.domain.entities import User
    from ticketkit.services.auth import Auth


@dataclass(frozen=True, slots=True)
class House:
    """An account of the house.

    Attributes:
        file: In the data folder; gets address and password.
    """

    email: str
    file: str
    roles: tuple[str, ...] = ()

    async def opened(self, auth: Auth, folder: Path) -> User:
        """The account, made when there is none; the roles of one that is there are left as they are."""
        user = await auth.find(self.email)
        if user is None:
            password = _password(folder / self.file, self.email)
            user = (await auth.sign_up(self.email, password, roles=self.roles)).user
        return user


BOX_OFFICE: Final = House("box-office@ticketkit.example", "box-office.json")
"""Sells the Broadway week."""
OPERATIONS: Final = House("operator@ticketkit.example", "operator.json", (OPERATOR,))
"""May use the operations page."""


def _password(file: Path, email: str) -> str:
    """A password: written down before it is used, so that it can't be lost in between."""
    if file.exists():
        return str(json.loads(file.read_text(encoding="utf-8"))["password"])
    password = secrets.token_urlsafe(15)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump({"email": email, "password": password}, out)
        out.flush()
        os.fsync(out.fileno())
    return password
