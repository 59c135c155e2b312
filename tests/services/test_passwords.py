"""Passwords: bounds, work, and hashes of other days."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from argon2 import PasswordHasher, extract_parameters

from ticketkit.domain.errors import InvalidInput
from ticketkit.services.passwords import Passwords


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords()


async def test_a_password_fits_its_own_hash_only(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse")
    assert await passwords.check("correct horse", hashed)
    assert not await passwords.check("correct horsf", hashed)
    assert not await passwords.check("", hashed)


async def test_two_hashes_of_one_password_differ(passwords: Passwords) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_a_hash_is_argon2id_with_the_parameters_of_owasp(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse")
    found = extract_parameters(hashed)
    assert hashed.startswith("$argon2id$")
    assert (found.memory_cost, found.time_cost, found.parallelism) == (19 * 1024, 2, 1)


@pytest.mark.parametrize("password", ["", "7 chars", "x" * 129], ids=["empty", "7", "129"])
async def test_a_password_out_of_bounds_is_refused(passwords: Passwords, password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await passwords.hash(password)
    assert (refused.value.code, refused.value.field) == ("password_length", "password")


@pytest.mark.parametrize("password", ["8 chars.", "x" * 128, "päss wörd 🎟"], ids=["8", "128", "unicode"])
async def test_a_password_in_bounds_is_taken(passwords: Passwords, password: str) -> None:
    assert await passwords.check(password, await passwords.hash(password))


@pytest.mark.parametrize("hashed", ["", "no hash", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA"])
async def test_nothing_fits_a_hash_that_is_none(passwords: Passwords, hashed: str) -> None:
    assert not await passwords.check("correct horse", hashed)


async def test_nothing_fits_a_user_that_does_not_exist(passwords: Passwords) -> None:
    assert not await passwords.check("nobody has this password", None)


async def test_a_check_does_the_same_work_for_a_user_that_does_not_exist(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[Any] = []
    verify = PasswordHasher.verify

    def noting(self: PasswordHasher, hashed: str, password: str) -> bool:
        verified.append(extract_parameters(hashed))
        return bool(verify(self, hashed, password))

    hashed = await passwords.hash("correct horse")
    monkeypatch.setattr(PasswordHasher, "verify", noting)
    assert not await passwords.check("wrong horse", hashed)
    assert not await passwords.check("wrong horse", None)
    assert len(verified) == 2
    assert verified[0] == verified[1]


async def test_a_weaker_hash_is_outdated(passwords: Passwords) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash("correct horse")
    assert passwords.outdated(weak)
    assert not passwords.outdated(await passwords.hash("correct horse"))


async def test_so_many_are_hashed_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(threads=2)
    at_once, most = 0, 0
    hash_one = PasswordHasher.hash

    def noting(self: PasswordHasher, password: str | bytes, **options: Any) -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return str(hash_one(self, password, **options))
        finally:
            at_once -= 1

    monkeypatch.setattr(PasswordHasher, "hash", noting)
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(passwords.hash, "correct horse")
    assert 1 <= most <= 2
