"""The fenced code blocks of a Markdown page."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<fence>```+|~~~+)[ ]*(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)
_SEPARATORS = {"|", "||", "&&", ";", "&"}


@dataclass(frozen=True)
class Fence:
    """One block: the page and line where its text begins, its language, its text without the page's indentation."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def source(self) -> str:
        """The text on the lines where it stands in the page, so that a traceback points there."""
        return "\n" * (self.line - 1) + self.text

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def fences(page: Path) -> list[Fence]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Fence(
            page=page,
            line=text.count("\n", 0, match.start("body")) + 1,
            language=(match["info"].split() or [""])[0],
            text=textwrap.dedent(match["body"]),
        )
        for match in _FENCE.finditer(text)
    ]


def commands(fence: Fence) -> Iterator[list[str]]:
    """The commands of a shell block, in words: in `console` the lines after a `$`, in `bash` all of them.

    Pipes and lists come apart; assignments before the words and redirections are left out.
    """
    lines = fence.text.replace("\\\n", " ").splitlines()
    if fence.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        yield from _split(list(lexer))


def _split(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    rest = iter(words)
    for word in rest:
        if set(word) <= set("<>"):
            next(rest, None)
        elif word not in _SEPARATORS:
            if command or not _ASSIGNMENT.fullmatch(word):
                command.append(word)
        elif command:
            yield command
            command = []
    if command:
        yield command
