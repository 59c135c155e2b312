"""Every code block in the documentation works: Python runs, data parses, commands exist."""

import ast
import asyncio
import csv
import importlib
import importlib.metadata
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import islice
from pathlib import Path, PurePath
from types import ModuleType

import click
import pytest
from tests.tools.fences import Fence, commands, fences

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*.md"), *ROOT.glob("examples/*/*.md")}
)
PROGRAMS = {
    "ticketkit": "ticketkit.cli",
    "ticketkit-embedded": "ticketkit_embedded.cli",
    "ticketkit-marketplace": "ticketkit_marketplace.cli",
}
_OF_A_FILE = re.compile(r"# (src|tests|examples)/\S+\.py\n")


def _page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def snippet_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An empty module in an empty folder, away from the settings of whoever runs the tests."""
    module = ModuleType("snippet")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TICKETKIT_")]:
        monkeypatch.delenv(name)
    return module


def _run(fence: Fence, module: ModuleType, runner: asyncio.Runner) -> None:
    code = compile(fence.source, str(fence.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if code.co_flags & inspect.CO_COROUTINE:
        runner.run(eval(code, vars(module)))  # noqa: S307 the code is ours
    else:
        exec(code, vars(module))  # noqa: S102 as above


def _run_as_tests(fence: Fence, folder: Path) -> None:
    """Run a block that shows tests the way its reader would: as a file, by pytest."""
    file = folder / f"test_line_{fence.line}.py"
    file.write_text(fence.text, encoding="utf-8")
    arguments = ["-q", "-p", "no:cacheprovider", "-W", "error", "-o", "anyio_mode=auto", str(file)]
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{fence}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=_page_id)
def test_python_blocks_run_in_order(page: Path, snippet_module: ModuleType, tmp_path: Path) -> None:
    """The blocks of a page share one namespace and one event loop; those that define tests are run by pytest."""
    with asyncio.Runner() as runner:
        for fence in (fence for fence in fences(page) if fence.language == "python"):
            if _OF_A_FILE.match(fence.text):
                continue  # tests/test_howtos.py, test_django.py and test_tutorial.py have to do with these
            if re.search(r"^\s*(async )?def test_", fence.text, re.MULTILINE):
                _run_as_tests(fence, tmp_path)
            else:
                _run(fence, snippet_module, runner)


def _check_words(words: list[str], command: click.Command) -> None:
    """Fail unless the subcommands and options among `words` exist."""
    context = click.Context(command, info_name=words[0])
    rest = iter(words[1:])
    for word in rest:
        if word.startswith("-") and word != "-":
            name, _, value = word.partition("=")
            option = next((o for o in command.get_params(context) if name in {*o.opts, *o.secondary_opts}), None)
            assert option is not None, f"{context.command_path} has no option {name}"
            if isinstance(option, click.Option) and not option.is_flag and not option.count and not value:
                list(islice(rest, option.nargs))
        elif isinstance(command, click.Group):
            subcommand = command.get_command(context, word)
            assert subcommand is not None, f"{context.command_path} has no command {word}"
            command, context = subcommand, click.Context(subcommand, parent=context, info_name=word)


def _check_program(words: list[str]) -> None:
    main = importlib.import_module(PROGRAMS[words[0]]).main
    assert isinstance(main, click.Command)
    _check_words(words, main)


def _check_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE))
    given = {word.partition("=")[0] for word in words[1:] if "=" in word}
    assert {word for word in words[1:] if "=" not in word} <= targets
    assert given <= variables


def _check_pip(words: list[str]) -> None:
    """What is said to be installed of ours exists, with the extras that are named."""
    for name, extras in re.findall(r"\b(ticketkit(?:-\w+)?)(?:\[([\w,-]+)\])?", " ".join(words)):
        metadata = importlib.metadata.metadata(name)
        assert {*extras.split(",")} - {""} <= {*(metadata.get_all("Provides-Extra") or ())}


def _check_shell(fence: Fence) -> None:
    for words in commands(fence):
        match [PurePath(words[0]).name, *words[1:]]:
            case [program, *_] as call if program in PROGRAMS:
                _check_program(call)
            case ["python" | "python3", "-m", program, *_] as call if program in PROGRAMS:
                _check_program(call[2:])
            case ["make", *_] as call:
                _check_make(call)
            case ["pip" | "uv", *_] as call:
                _check_pip(call)
            case _:
                continue  # somebody else's program


CHECKS: dict[str, Callable[[Fence], object]] = {
    "bash": _check_shell,
    "console": _check_shell,
    "csv": lambda fence: list(csv.reader(fence.text.splitlines(), strict=True)),
    "http": lambda fence: fence,
    "json": lambda fence: json.loads(fence.text),
    "mermaid": lambda fence: fence,
    "python": lambda fence: fence,  # run above
    "text": lambda fence: fence,
    "toml": lambda fence: tomllib.loads(fence.text),
}


@pytest.mark.parametrize("page", PAGES, ids=_page_id)
def test_blocks_are_what_they_say(page: Path) -> None:
    for fence in fences(page):
        assert fence.language in CHECKS, f"{fence}: a block of an unknown language"
        CHECKS[fence.language](fence)


@pytest.mark.parametrize(
    "block",
    [
        "```yaml\na: 1\n```",
        "```\nof no language\n```",
        "```json\n{'a': 1}\n```",
        "```toml\na = \n```",
        "```console\n$ make nothing-of-the-kind\n```",
        "```console\n$ make run HARBOUR=8000\n```",
        "```bash\npip install 'ticketkit[submarine]'\n```",
        "1. A list\n\n    ```bash\n    make install && make nothing-of-the-kind\n    ```",
    ],
)
def test_a_block_that_is_wrong_is_found(block: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{block}\n", encoding="utf-8")
    with pytest.raises((AssertionError, ValueError)):
        test_blocks_are_what_they_say(page)


def test_unknown_commands_and_options_are_found() -> None:
    program = click.Group("program", commands=[click.Command("serve", params=[click.Option(["--port"], type=int)])])
    _check_words(["program", "serve", "--port", "80"], program)
    for words in (["program", "swerve"], ["program", "serve", "--harbour", "80"], ["program", "--port", "80"]):
        with pytest.raises(AssertionError):
            _check_words(words, program)


def test_a_python_block_may_await_at_its_top_and_uses_what_came_before(
    tmp_path: Path, snippet_module: ModuleType
) -> None:
    page = tmp_path / "page.md"
    blocks = ("import asyncio\nnumber = 41", "await asyncio.sleep(0)\nassert number == 41", "raise LookupError(number)")
    page.write_text("\n".join(f"```python\n{block}\n```" for block in blocks), encoding="utf-8")
    with pytest.raises(LookupError, match="41"):
        test_python_blocks_run_in_order(page, snippet_module, tmp_path)


def test_a_block_of_tests_is_run_by_pytest(tmp_path: Path, snippet_module: ModuleType) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\ndef test_sums():\n    assert 1 + 1 == 3\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="1 failed"):
        test_python_blocks_run_in_order(page, snippet_module, tmp_path)
