"""Keys are made once, and kept where only their owner reads them."""

from pathlib import Path

import pytest

from ticketkit.backends.errors import Misconfigured
from ticketkit_marketplace.deployment.keyring import (
    FILE,
    PASS_ID,
    PASSES,
    SESSION_ID,
    SESSION_PRIVATE,
    SESSION_PUBLIC,
    Keyring,
)


def test_keys_are_made_once_and_found_again(tmp_path: Path) -> None:
    made = Keyring.kept(tmp_path, {})
    assert made.minting.keys() == {SESSION_ID, SESSION_PRIVATE}
    assert made.verifying.keys() == {SESSION_PUBLIC}
    assert made.admitting.keys() == {PASS_ID, PASSES}
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert Keyring.kept(tmp_path, {}) == made
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_they_are_not_shown_by_accident(tmp_path: Path) -> None:
    made = Keyring.kept(tmp_path, {})
    assert "PRIVATE KEY" not in repr(made)
    assert made.admitting[PASSES] not in repr(made)


def test_keys_that_are_given_are_taken_and_the_rest_is_made(tmp_path: Path) -> None:
    made = Keyring.kept(tmp_path, {})
    given = Keyring.kept(tmp_path, {SESSION_PRIVATE: "mine", SESSION_PUBLIC: '{"1": "mine"}'})
    assert given.minting == {SESSION_PRIVATE: "mine"}
    assert given.verifying == {SESSION_PUBLIC: '{"1": "mine"}'}
    assert given.admitting == made.admitting
    assert Keyring.kept(tmp_path, {PASSES: '{"a": "b"}'}).admitting == {PASSES: '{"a": "b"}'}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"TICKETKIT_SESSION_KEY_ID": "1"}'])
def test_a_file_that_can_not_be_read_is_not_written_over(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(Misconfigured, match="Put the file back from a backup"):
        Keyring.kept(tmp_path, {})
    assert (tmp_path / FILE).read_text() == content
