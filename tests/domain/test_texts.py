from typing import Any

import pytest

from ticketkit.domain.errors import InvalidInput
from ticketkit.domain.texts import EXTRA_BYTES, bounded, checked_extra, checked_zone


@pytest.mark.parametrize("text", ["x", "x" * 200, f"  {'x' * 200}\n", "Ünïcödé 🎟", "日本"])
def test_texts_in_bounds_are_trimmed(text: str) -> None:
    assert bounded(text, "title") == text.strip()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "text_empty"),
        (" \t\n", "text_empty"),
        ("x" * 201, "text_too_long"),
        ("a\x00b", "text_not_printable"),
        ("a\nb", "text_not_printable"),
        ("a\x1b[31mb", "text_not_printable"),
        ("a\x85b", "text_not_printable"),
        ("a\ud800b", "text_not_printable"),
    ],
)
def test_texts_out_of_bounds_are_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        bounded(text, "title")
    assert refusal.value.code == code
    assert refusal.value.field == "title"
    assert refusal.value.message.startswith("Title ")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_zones_of_iana_are_taken(zone: str) -> None:
    assert checked_zone(zone) == zone


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "Europe", "../etc/passwd", "/etc/passwd", "a\x00b", "x" * 5000, "\ud800", "+02:00"]
)
def test_other_zones_are_refused(zone: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        checked_zone(zone)
    assert (refusal.value.code, refusal.value.field) == ("unknown_zone", "zone")
    assert len(refusal.value.message) < 300


def test_extra_is_namespaced_json() -> None:
    extra = {"acme:row": 3, "acme:tags": ["a", None, {"b": True}]}
    assert checked_extra(extra) == extra
    assert checked_extra(None) == checked_extra({}) == {}


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"row": 3}, "extra_namespace"),
        ({"acme:x": object()}, "extra_not_json"),
        ({"acme:x": float("nan")}, "extra_not_json"),
        ({"acme:x": "\ud800"}, "extra_not_json"),
        ({"acme:x": "x" * EXTRA_BYTES}, "extra_too_long"),
        ({"acme:x": "ü" * (EXTRA_BYTES // 2)}, "extra_too_long"),
    ],
)
def test_other_extra_is_refused(extra: Any, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        checked_extra(extra)
    assert (refusal.value.code, refusal.value.field) == (code, "extra")


def test_extra_is_measured_in_bytes_of_utf_8() -> None:
    room = EXTRA_BYTES - len('{"a:b": ""}')
    assert checked_extra({"a:b": "ü" * (room // 2)})
    with pytest.raises(InvalidInput, match="at most 4096"):
        checked_extra({"a:b": "ü" * (room // 2 + 1)})
