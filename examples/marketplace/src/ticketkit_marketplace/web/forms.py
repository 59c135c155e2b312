"""Forms: what was typed, what is wrong with which field, and the key that makes a second click harmless."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from ticketkit_marketplace.web.api import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

KEY: Final = "key"
"""Name of the hidden field with the command key; it is sent to the API as Idempotency-Key."""
MOST_BODY: Final = 32 * 1024 * 1024
"""Most bytes of a form: a seller's file of 250,000 tickets has less."""
_KEY_LENGTH: Final = 64
_MOST_FIELDS: Final = 1_000
_MOST_TEXT: Final = 1024 * 1024


def fresh_key() -> str:
    """A command key."""
    return secrets.token_urlsafe(18)


@dataclass(slots=True)
class Form:
    """A form, empty or as it was sent.

    Attributes:
        values: Text of each field, trimmed.
        errors: What is wrong, by field, in the order of finding; "" is the form as a whole.
        key: Its command key.
        lists: All values of fields that may be there several times.
        files: Uploads by field.
    """

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    key: str = field(default_factory=fresh_key)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Mapping[str, UploadFile] = field(default_factory=dict)

    @classmethod
    async def sent(cls, request: Request) -> Form:
        """The form that a request brings.

        Raises:
            HTTPException: It is malformed (400) or too large (413).
        """
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > MOST_BODY:
            raise HTTPException(413)
        data = await request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_MOST_TEXT)
        return cls._of(data)

    @classmethod
    def _of(cls, data: FormData) -> Form:
        lists: dict[str, list[str]] = {}
        files: dict[str, UploadFile] = {}
        for name, value in data.multi_items():
            if isinstance(value, UploadFile):
                files[name] = value
            else:
                lists.setdefault(name, []).append(value.replace("\r\n", "\n"))
        values = {name: found[-1].strip() for name, found in lists.items()}
        key = values.pop(KEY, "")
        if not (0 < len(key) <= _KEY_LENGTH and key.isascii() and key.isprintable()):
            key = fresh_key()
        return cls(values=values, key=key, lists=lists, files=files)

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    def raw(self, name: str) -> str:
        """A field as it was typed, not trimmed: passwords."""
        return next(reversed(self.lists.get(name, ("",))), "")

    def text(self, name: str, missing: str, *, most: int | None = None) -> str:
        """A field that must not be empty.

        Args:
            name: Of the field.
            missing: What to say if it is empty.
            most: Characters.
        """
        value = self[name]
        if not value:
            self.errors[name] = missing
        elif most is not None and len(value) > most:
            self.errors[name] = f"Use {most} characters at most; these are {len(value)}."
        return value

    def refuse(self, refused: Refused, fields: Mapping[str, str], sentences: Mapping[str, str] | None = None) -> None:
        """Tie what the API refused to the fields of this form.

        Args:
            refused: By the API.
            fields: From a field of the API to one of this form; others are about the form as a whole.
            sentences: What to say instead of the API's sentence, by its code.
        """
        if refused.code == "idempotency_key_reused":
            self.key = fresh_key()
            self.errors[""] = "You have sent this form before, with other contents. Send it again if that is meant."
            return
        told = (sentences or {}).get(refused.code)
        for error in refused.errors or [{"message": refused.detail}]:
            name = fields.get(error.get("field", ""), "")
            self.errors.setdefault(name, told or error["message"])
