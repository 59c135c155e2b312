"""Passes: what they say, whose they are, and keys that change with overlap."""

import pytest

from ticketkit.backends.errors import Misconfigured
from ticketkit.domain.errors import InvalidInput
from ticketkit.services.passes import Passes, PassKeys

OLD, NEW = "o" * 32, "n" * 32


def test_a_pass_says_which_ticket_and_order() -> None:
    passes = Passes(PassKeys.of({"1": OLD}))
    assert passes.read(passes.mint("ticket", "order")) == ("ticket", "order")


def test_keys_are_changed_with_overlap() -> None:
    before = Passes(PassKeys.of({"1": OLD}))
    between = Passes(PassKeys.of({"1": OLD, "2": NEW}))
    after = Passes(PassKeys.of({"2": NEW}))
    shown = before.mint("ticket", "order")
    assert between.read(shown) == ("ticket", "order")
    assert after.read(between.mint("ticket", "order")) == ("ticket", "order"), "the newest mints"
    with pytest.raises(InvalidInput):
        after.read(shown)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é" * 40, "." * 2_000])
def test_what_is_no_pass_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a pass"):
        Passes(PassKeys.fresh()).read(text)


def test_a_pass_of_another_marketplace_is_refused() -> None:
    shown = Passes(PassKeys.of({"1": OLD})).mint("ticket", "order")
    with pytest.raises(InvalidInput):
        Passes(PassKeys.of({"1": NEW})).read(shown)


@pytest.mark.parametrize(("secrets", "key_id"), [({}, None), ({"1": "short"}, None), ({"1": OLD}, "2")])
def test_keys_that_are_no_good_are_refused(secrets: dict[str, str], key_id: str | None) -> None:
    with pytest.raises(Misconfigured):
        PassKeys.of(secrets, key_id)


def test_keys_are_not_shown() -> None:
    assert OLD not in repr(PassKeys.of({"1": OLD}))
