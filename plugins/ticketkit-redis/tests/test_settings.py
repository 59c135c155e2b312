"""What the URL says."""

import pytest

from ticketkit.backends.errors import Misconfigured
from ticketkit_redis.plugin import ticketkit_backends
from ticketkit_redis.settings import SETTINGS, Settings


def test_a_url_is_read_in_whole() -> None:
    settings = Settings.of(
        "redis://shop:p%40ss@cache:7000/3?prefix=a.b&lease=5&keep=60&timeout=1.5&connections=2&wait=1"
    )
    assert settings == Settings(
        host="cache",
        port=7000,
        username="shop",
        password="p@ss",
        db=3,
        prefix="a.b",
        lease=5,
        keep=60,
        timeout=1.5,
        connections=2,
        wait=1,
    )


def test_defaults_are_those_of_the_documentation() -> None:
    settings = Settings.of("redis://h")
    for name in ("prefix", "timeout", "connections", "wait", "lease", "keep"):
        default = getattr(settings, name)
        text = f"{default:g}" if isinstance(default, float) else f"`{default}`" if name == "prefix" else str(default)
        assert f"default {text})" in SETTINGS[name]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://h", "redis://host"),
        ("redis://", "names no server"),
        ("redis://h:x", "port"),
        ("redis://h/first", "number of the database"),
        ("redis://h?colour=red", "colour: no such parameter"),
        ("redis://h?lease=0", "above 0"),
        ("redis://h?keep=inf", "above 0"),
        ("redis://h?wait=-1", "from 0 on"),
        ("redis://h?connections=0", "from 1 on"),
        ("redis://h?prefix={x}", "1 to 64"),
        ("redis://h?ca=/x", "only with rediss"),
        ("rediss://h?cert=/x", "go together"),
    ],
)
def test_what_is_wrong_is_said(url: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        Settings.of(url)


def test_the_password_is_in_no_text_of_the_settings() -> None:
    assert "secret" not in repr(Settings.of("redis://:secret@h"))


def test_the_plugin_describes_every_parameter_and_both_schemes() -> None:
    bus, timers = ticketkit_backends()
    assert bus.settings.keys() == SETTINGS.keys()
    assert timers.settings.keys() == SETTINGS.keys() - {"wait", "lease", "keep"}
    assert bus.schemes == timers.schemes == ("redis", "rediss")
