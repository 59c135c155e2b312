"""A finding, and what of a deployment it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ticketkit.backends.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_USERINFO: Final = re.compile(r"(?<=//)[^/@\s]*@|(?<=,)[^/@,\s]*@")
_HIDDEN: Final = "***"
_LEAST_TOKEN: Final = 12
_LEAST_SECRET: Final = 4
"""Shorter values of a URL's parameters are numbers and yes or no: hiding them would make a message unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One finding about a deployment.

    Attributes:
        about: What it is about: "bus", "session keys".
        finding: What is, and what mends it.
    """

    about: str
    finding: Finding

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong: it is only a note."""
        return self.finding.severity is Severity.NOTE


def error(what: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(severity=Severity.ERROR, what=what, mend=mend)


def warning(what: str, mend: str) -> Finding:
    """It works, and should not stay so."""
    return Finding(severity=Severity.WARNING, what=what, mend=mend)


def note(what: str, mend: str) -> Finding:
    """Worth knowing."""
    return Finding(severity=Severity.NOTE, what=what, mend=mend)


def place(url: str) -> str:
    """A URL as it may be shown: without users, passwords, tokens and parameters."""
    return _USERINFO.sub("", url.strip().partition("?")[0].partition("#")[0])


def without_secrets(finding: Finding, url: str) -> Finding:
    """A finding in which nothing stands that only the URL's owner may know, whatever a driver put into its message."""
    parts = urlsplit(url)
    values = [value for name, value in parse_qsl(parts.query) if _looks_secret(name)]
    texts = {*_passwords(parts.netloc), *values}
    secrets = sorted((text for text in texts if len(text) >= _LEAST_SECRET), key=len, reverse=True)
    what, mend = finding.what, finding.mend
    for secret in secrets:
        what, mend = what.replace(secret, _HIDDEN), mend.replace(secret, _HIDDEN)
    return replace(finding, what=_USERINFO.sub("", what), mend=_USERINFO.sub("", mend))


def merged(diagnoses: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Each finding once, with all that it is about; errors first, notes last."""
    about: dict[Finding, list[str]] = {}
    for diagnosis in diagnoses:
        names = about.setdefault(diagnosis.finding, [])
        if diagnosis.about not in names:
            names.append(diagnosis.about)
    order = list(Severity)
    found = [Diagnosis(about=", ".join(names), finding=finding) for finding, names in about.items()]
    return sorted(found, key=lambda diagnosis: order.index(diagnosis.finding.severity))


def _passwords(netloc: str) -> Iterator[str]:
    """What stands before each host: passwords, and what is long enough for a token instead of a user's name."""
    for userinfo in re.findall(r"([^@,]*)@", netloc):
        user, colon, password = userinfo.partition(":")
        if text := password if colon else user if len(user) >= _LEAST_TOKEN else "":
            yield from (text, unquote(text))


def _looks_secret(name: str) -> bool:
    return any(word in name.lower() for word in ("secret", "password", "token", "key", "creds", "credential"))
