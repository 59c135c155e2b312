"""The files of a deployment, read the way the programs read them that they are for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
ROOT: Final = DEPLOY.parents[2]
PROCESSES: Final = ("auth", "tickets", "orders", "expiration", "payments", "web")
MIGRATIONS: Final = ("migrate-accounts", "migrate-inventory", "migrate-payments")
_VARIABLE: Final = re.compile(r"\$(?:\$|\{(\w+)(?::([-?])([^}]*))?\})")


def read(path: str) -> Any:
    """A YAML file of one document."""
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def documents(path: Path) -> list[dict[str, Any]]:
    """A YAML file of several."""
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """With `${NAME}`, `${NAME:-default}` and `${NAME:?message}` put in, as Compose does it.

    Raises:
        LookupError: One that is required is missing; the message is the file's.
    """
    if isinstance(value, dict):
        return {name: interpolated(one, variables) for name, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, variables) for one in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if name is None:
            return "$"
        given = variables.get(name, "")
        if not given and kind == "?":
            raise LookupError(f"{name}: {rest}")
        return given or (rest if kind == "-" else "")

    return _VARIABLE.sub(put, value)


def asked_for(value: Any) -> set[str]:
    """Names of the variables that a Compose file puts in."""
    return {name for text in texts(value) for name, _, _ in _VARIABLE.findall(text) if name}


def texts(value: Any) -> Iterator[str]:
    """All strings in a document, keys too."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield str(name)
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


@dataclass(frozen=True, slots=True)
class Instruction:
    """A line of a Dockerfile."""

    word: str
    rest: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a Dockerfile."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """What is said by the instructions of one kind."""
        return [one.rest for one in self.instructions if one.word == word]


def stages() -> dict[str, Stage]:
    """The Dockerfile's, by name, in order."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for line in filter(str.strip, lines):
        word, _, rest = line.strip().partition(" ")
        rest = re.sub(r"\s+", " ", rest).strip()
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            current = found[name] = Stage(base, name)
        else:
            assert current is not None
            current.instructions.append(Instruction(word, rest))
    return found
