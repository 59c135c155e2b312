"""Passwords: Argon2id with OWASP's parameters (19 MiB, t=2, p=1), in a bounded pool of threads.

Source: OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

from typing import Final

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ticketkit.domain.errors import InvalidInput

SHORTEST: Final = 8
LONGEST: Final = 128


class Passwords:
    """Hashes and checks passwords.

    Args:
        threads: How many at once; each takes 19 MiB while it works.
    """

    def __init__(self, *, threads: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = threads
        self._limiter: anyio.CapacityLimiter | None = None
        # Checked when there is no such user, so that both refusals take the same time.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The hash, in PHC string format.

        Raises:
            InvalidInput: Not 8 to 128 characters.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            msg = f"A password has {SHORTEST} to {LONGEST} characters."
            raise InvalidInput(msg, code="password_length", field="password")
        return await anyio.to_thread.run_sync(self._hasher.hash, password, limiter=self._pool())

    async def check(self, password: str, hashed: str | None) -> bool:
        """Whether the password fits; takes the same time for a user that does not exist (None)."""
        fits = await anyio.to_thread.run_sync(self._verify, password, hashed or self._nobody, limiter=self._pool())
        return fits and hashed is not None

    def outdated(self, hashed: str) -> bool:
        """Whether a hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    def _verify(self, password: str, hashed: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def _pool(self) -> anyio.CapacityLimiter:
        if self._limiter is None:  # bound to the running event loop, so not before there is one
            self._limiter = anyio.CapacityLimiter(self._threads)
        return self._limiter
