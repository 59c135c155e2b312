"""What the server says, in the words of the ports."""

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import RedisError

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit_redis.failures import GroupMissing, translated

WRAPPED = "ERR Error running script (call to f_6b1b): @user_script:4: @user_script: 4: -"


def parsed(said: str) -> RedisError:
    """What the driver makes of an answer."""
    error: RedisError = BaseParser.parse_error(said)  # type: ignore[no-untyped-call]
    return error


@pytest.mark.parametrize("wrapped", ["", WRAPPED])
@pytest.mark.parametrize(
    "said",
    [
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "NOGROUP No such key 'x' or consumer group 'a' in XREADGROUP with GROUP option",
    ],
)
def test_what_passes_is_unavailable_in_the_servers_own_words(said: str, wrapped: str) -> None:
    error = translated(parsed(wrapped + said), "h:1/0")
    assert type(error) is (GroupMissing if said.startswith("NOGROUP") else Unavailable)
    assert said.partition(" ")[2].rstrip(".") in str(error)


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("NOAUTH Authentication required.", "redis://user:password@host"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "redis://user:password@host"),
        ("NOPERM this user has no permissions to run the 'evalsha' command", "ACL SETUSER"),
        (f"{WRAPPED[:-1]} The user executing the script can't run this command or subcommand", "ACL SETUSER"),
        ("ERR ACL failure in script: User shop has no permissions to run the 'xadd' command", "ACL SETUSER"),
        ("MOVED 3999 127.0.0.1:6381", "cluster-enabled no"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "?prefix="),
    ],
)
def test_what_people_must_mend_is_misconfigured_with_what_to_do(said: str, mend: str) -> None:
    error = translated(parsed(said), "h:1/0")
    assert isinstance(error, Misconfigured)
    assert mend in error.mend
