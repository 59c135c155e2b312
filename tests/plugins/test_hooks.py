"""Every hook is documented, in words that name its arguments."""

import inspect
import sys

import pytest

from ticketkit.plugins import HOOKS, hooks


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_says_when_it_is_called_with_what_and_what_it_answers(name: str) -> None:
    hook = getattr(hooks, name)
    text = inspect.getdoc(hook) or ""
    assert len(text.splitlines()[0]) > len("ticketkit_contracts")
    assert "Called" in text
    assert "Returns:" in text
    for argument in inspect.signature(hook).parameters:
        assert f"    {argument}: " in text


def test_every_hook_is_listed() -> None:
    specs = [name for name in dir(sys.modules[hooks.__name__]) if name.startswith("ticketkit_")]
    assert sorted(HOOKS) == specs
