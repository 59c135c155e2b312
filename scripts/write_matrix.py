"""Runs the conformance tests of each plugin in full, and writes the matrix of what it keeps into its README.

It stands between `<!-- matrix -->` and `<!-- end of matrix -->`, at the end where the README has no place for it yet.
Names of plugins after the command choose some: `write_matrix.py ticketkit-sql`. With --check nothing is written: it
exits 1 and names the files that are out of date.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
LONGEST: Final = 900
"""Seconds for the conformance tests of one plugin."""
BEGIN: Final = "<!-- matrix -->"
END: Final = "<!-- end of matrix -->"
_SECTION: Final = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
_HEADING: Final = "## What the conformance kit says"


def main() -> int:
    """Write, or with --check compare; returns the exit status."""
    check, names = "--check" in sys.argv[1:], {name for name in sys.argv[1:] if name != "--check"}
    status = 0
    for folder in sorted((ROOT / "plugins").iterdir()):
        tests = sorted((folder / "tests").glob("test_conformance*.py"))
        if tests and (not names or folder.name in names):
            status |= _refresh(folder / "README.md", tests, check=check)
    return status


def _refresh(readme: Path, tests: list[Path], *, check: bool) -> int:
    name = readme.relative_to(ROOT)
    matrix, printed = _matrix(tests)
    if matrix is None:
        print(printed)
        print(f"{name} is left as it is: its conformance tests fail.", file=sys.stderr)
        return 1
    before = readme.read_text(encoding="utf-8")
    after = filled(before, matrix)
    if after == before:
        print(f"{name} is up to date.")
        return 0
    if check:
        print(f"{name} is out of date; write it with: make matrix", file=sys.stderr)
        return 1
    readme.write_text(after, encoding="utf-8", newline="\n")
    print(f"{name} is written.")
    return 0


def filled(text: str, matrix: str) -> str:
    """A README with its matrix; one that has no place for it gets one at its end."""
    section = f"{BEGIN}\n{matrix.strip()}\n{END}"
    if _SECTION.search(text) is None:
        return f"{text.rstrip()}\n\n{_HEADING}\n\n{section}\n"
    return _SECTION.sub(lambda _: section, text)


def _matrix(tests: list[Path]) -> tuple[str | None, str]:
    """The matrix of one plugin, None when a promise is broken; and what the run printed."""
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        report = Path(folder) / "matrix.md"
        kit = ("--ticketkit-report=md", f"--ticketkit-report-file={report}")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *kit, *tests],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        kept = done.returncode == 0 and report.exists()
        return (report.read_text(encoding="utf-8") if kept else None), done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
