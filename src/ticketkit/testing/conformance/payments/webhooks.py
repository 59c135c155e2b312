"""Promises about webhooks: only what the provider said itself, and lately, is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from ticketkit.backends.errors import BadWebhook
from ticketkit.backends.payments import Notice
from ticketkit.backends.spec import Capability
from ticketkit.ids import new_id
from ticketkit.testing.conformance.payments.promises import PaymentPromises
from ticketkit.testing.conformance.payments.till import Till
from ticketkit.testing.conformance.promise import promise

REFERENCE: Final = "payment_of_the_kit"
CHARGE: Final = "charge_of_the_kit"
LATELY: Final = timedelta(seconds=30)
LONG: Final = timedelta(days=1)
GARBAGE: Final = (b"", b"{", b"null", b"[]", b"17", b'"text"', b"{}", b"\xff\xfe\x00", b'{"id": 1}', b"<xml/>")
VALUES: Final = ("", "t=,v1=", "v1", "t=1,v1=\N{SNAKE}", "\x00", "=" * 4000)


class WebhookPromises(PaymentPromises):
    """A forged, changed, old or future webhook is `BadWebhook`; a genuine one is read."""

    @promise()
    async def test_a_genuine_webhook_is_read(self, till: Till) -> None:
        """What the provider signs is read, with headers in lower case and strangers among them."""
        body = till.target.stage.notices([REFERENCE])
        headers = {**_signed(till, body), "host": "tickets.example", "user-agent": "kit"}
        read = till.provider.webhook(headers, body)
        assert isinstance(read, Sequence)
        (notice,) = read
        assert (notice.reference, notice.body) == (REFERENCE, body.decode())
        assert notice.id
        assert notice.what

    @promise()
    async def test_a_webhook_that_names_its_charge_is_read_with_it(self, till: Till) -> None:
        """A webhook that says for which charge its payment was prepared is read with just that charge."""
        body = till.target.stage.notice(REFERENCE, charge_id=CHARGE)
        (notice,) = _read(till, body)
        assert (notice.reference, notice.charge_id) == (REFERENCE, CHARGE)

    @promise()
    async def test_a_webhook_whose_body_was_changed_is_refused(self, till: Till) -> None:
        """A signature is of its body alone: one byte more, less or other is `BadWebhook`."""
        body = till.target.stage.notices([REFERENCE])
        headers = _signed(till, body)
        changed = (body + b" ", body[:-1], body.replace(REFERENCE.encode(), b"payment_of_another"), b"", body * 2)
        for other in (*changed, till.target.stage.notices([REFERENCE])):
            _is_bad(till, headers, other)

    @promise()
    async def test_a_webhook_that_somebody_else_signed_is_refused(self, till: Till) -> None:
        """A signature with a secret that is not the provider's is `BadWebhook`."""
        body = till.target.stage.notices([REFERENCE])
        _is_bad(till, _signed(till, body, forged=True), body)

    @promise()
    async def test_a_webhook_without_a_signature_is_refused(self, till: Till) -> None:
        """A webhook without headers, or with garbage in them, is `BadWebhook`."""
        body = till.target.stage.notices([REFERENCE])
        headers = _signed(till, body)
        _is_bad(till, {}, body)
        for value in VALUES:
            _is_bad(till, dict.fromkeys(headers, value), body)

    @promise()
    async def test_a_webhook_that_can_not_be_read_is_refused(self, till: Till) -> None:
        """A body that is no notice, or no text, is `BadWebhook`, though its signature is right."""
        for body in GARBAGE:
            _is_bad(till, _signed(till, body), body)

    @promise()
    async def test_a_webhook_that_comes_twice_has_the_same_id(self, till: Till) -> None:
        """A notice that is delivered again, signed anew, has its id; another notice has another."""
        body = till.target.stage.notices([REFERENCE])
        first = _read(till, body)
        again = _read(till, body, at=datetime.now(UTC) - LATELY)
        other = _read(till, till.target.stage.notices([REFERENCE]))
        assert [notice.id for notice in first] == [notice.id for notice in again]
        assert first[0].id != other[0].id

    @promise()
    async def test_a_webhook_with_several_notices_gives_each_of_them(self, till: Till) -> None:
        """A webhook of a provider that batches is read as all its notices, in order, each with its own id."""
        if till.target.stage.batch < 2:
            pytest.skip("the provider does not batch")
        references = [new_id() for _ in range(min(till.target.stage.batch, 10))]
        read = _read(till, till.target.stage.notices(references))
        assert [notice.reference for notice in read] == references
        assert len({notice.id for notice in read}) == len(references)

    @promise(needs=[Capability.SIGNED_TIME])
    async def test_an_old_webhook_is_refused(self, till: Till) -> None:
        """A webhook that was signed long ago is `BadWebhook`: somebody may have kept it; a late one is read."""
        body = till.target.stage.notices([REFERENCE])
        _is_bad(till, _signed(till, body, at=datetime.now(UTC) - LONG), body)
        assert _read(till, body, at=datetime.now(UTC) - LATELY)

    @promise(needs=[Capability.SIGNED_TIME])
    async def test_a_webhook_of_the_future_is_refused(self, till: Till) -> None:
        """A webhook that is signed far ahead is `BadWebhook`: it could be kept until then; a clock may be a bit off."""
        body = till.target.stage.notices([REFERENCE])
        _is_bad(till, _signed(till, body, at=datetime.now(UTC) + LONG), body)
        assert _read(till, body, at=datetime.now(UTC) + LATELY)


def _signed(till: Till, body: bytes, *, at: datetime | None = None, forged: bool = False) -> dict[str, str]:
    headers = till.target.stage.sign(body, at=at or datetime.now(UTC), forged=forged)
    return {name.lower(): value for name, value in headers.items()}


def _read(till: Till, body: bytes, *, at: datetime | None = None) -> Sequence[Notice]:
    return till.provider.webhook(_signed(till, body, at=at), body)


def _is_bad(till: Till, headers: Mapping[str, str], body: bytes) -> None:
    with pytest.raises(BadWebhook):
        till.provider.webhook(headers, body)
