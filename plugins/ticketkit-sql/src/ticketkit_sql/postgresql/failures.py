"""What an error of the driver means."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import asyncpg
from sqlalchemy.exc import (
    ArgumentError,
    CompileError,
    DBAPIError,
    InvalidatePoolError,
    StatementError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeoutError,
)

from ticketkit.backends.errors import BackendError, Misconfigured, Refused, Unavailable

_UNAVAILABLE: Final = ("08", "25", "40", "53", "55", "57", "58", "F0", "XX")
"""SQLSTATE classes of the server's own state: connection, transaction, resources, locks, operator, system."""
_WRONG: Final = ("0A", "28", "3D", "3F", "42")
"""Classes of what people must mend: authorization, no such database, schema, table, column or function."""
_INPUT: Final = (ValueError, OverflowError, StatementError, CompileError, ArgumentError)
_FULL: Final = "53200"

ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DBAPIError,
    OSError,
    TimeoutError,
    PoolTimeoutError,
    InvalidatePoolError,
)
"""All that the driver, the pool and the network raise. (`DataError` of the client is an `InterfaceError`.)"""


class Fault(Enum):
    """Whose fault an error is."""

    SERVER = auto()
    INPUT = auto()
    SETTINGS = auto()


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE that the server gave, or nothing: the connection, the network or the client failed."""
    return str(getattr(cause(error), "sqlstate", None) or "")


def cause(error: BaseException) -> BaseException:
    """The driver's own error."""
    if isinstance(error, StatementError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def fault(error: BaseException) -> Fault:
    """Whose fault it is."""
    state = sqlstate(error)
    if state.startswith(_WRONG):
        return Fault.SETTINGS
    if state.startswith(_UNAVAILABLE):
        return Fault.SERVER
    if state or isinstance(cause(error), _INPUT):
        return Fault.INPUT
    return Fault.SERVER


def lost(error: BaseException) -> bool:
    """Whether it may have been carried out: there is no answer, or one of a server that is going away."""
    state = sqlstate(error)
    return (not state and fault(error) is Fault.SERVER) or state.startswith(("08", "57P"))


def too_much(error: BaseException) -> bool:
    """Whether the server has no room for so many locks at once."""
    return sqlstate(error) == _FULL


def told(error: BaseException) -> BackendError:
    """The error for the caller. Its message has no password: neither PostgreSQL nor asyncpg tells it."""
    reason = str(cause(error)).split("\n", 1)[0] or type(cause(error)).__name__
    match fault(error):
        case Fault.SETTINGS:
            return Misconfigured(f"PostgreSQL can't be used as it is set up: {reason}.")
        case Fault.INPUT:
            return Refused(f"The database will never take this: {reason}.")
        case Fault.SERVER:
            return Unavailable(f"PostgreSQL did not take it: {reason}.")
