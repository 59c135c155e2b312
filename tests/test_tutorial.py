"""The tutorial shows the code of examples/embedded, line by line as it is there and is tested there."""

import re
from pathlib import Path

import pytest
from tests.tools.fences import Fence, fences

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "tutorial.md"
EXAMPLE = ROOT / "examples" / "embedded"
_FILE = re.compile(r"# (?P<path>examples/embedded/[\w./]+\.py)\n")
NOT_SHOWN = {"__init__.py", "__main__.py", "cli.py", "database.py", "season.py"}
"""What is the same without ticketkit, or is told in a sentence."""


def check(fence: Fence) -> Path:
    """Fail unless a block is a piece of the file that its first line names; which file that is."""
    found = _FILE.match(fence.text)
    assert found is not None, f"{fence}: the first line names no file of the example"
    file = ROOT / found["path"]
    piece = fence.text[found.end() :]
    assert piece.strip()
    shown, lines = piece.splitlines(), file.read_text(encoding="utf-8").splitlines()
    starts = range(len(lines) - len(shown) + 1)
    assert any(lines[at : at + len(shown)] == shown for at in starts), f"{fence} is not in {file.name}"
    return file


BLOCKS = [fence for fence in fences(PAGE) if fence.language == "python"]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_a_piece_of_the_example(block: Fence) -> None:
    check(block)


def test_every_file_that_has_to_do_with_ticketkit_is_shown() -> None:
    files = {file.name for file in (EXAMPLE / "src" / "ticketkit_embedded").glob("*.py")}
    assert {check(block).name for block in BLOCKS} - {"test_two_each.py"} == files - NOT_SHOWN
    listed = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(files - NOT_SHOWN) if f"`{name}`" not in listed] == []


@pytest.mark.parametrize(
    "block",
    [
        "class ServiceFee:\n    pass\n",
        "# examples/embedded/src/ticketkit_embedded/fees.py\n",
        "# examples/embedded/src/ticketkit_embedded/fees.py\nPERCENT: Final = 6\n",
        "# examples/embedded/src/ticketkit_embedded/fees.py\n    PERCENT: Final = 5\n",
        "# examples/embedded/src/ticketkit_embedded/fees.py\nPERCENT: Final = 5\nMinor = 1\n",
    ],
)
def test_a_block_that_is_no_piece_is_found(block: str) -> None:
    with pytest.raises(AssertionError):
        check(Fence(page=PAGE, line=1, language="python", text=block))
