"""Payment providers with one planted bug each: webhooks that are believed when they must not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from tests.planted.payments_plugin import PaymentsPlugin

from ticketkit.backends.errors import BadWebhook
from ticketkit.backends.payments import Notice
from ticketkit.memory import FakePayments, _webhooks


class SignatureIgnored(FakePayments):
    """The signature is not looked at."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        now = self._clock.now()
        signed = _webhooks.sign(body, secret=self._secret, now=now)
        return super().webhook(signed, body)


class SignatureOptional(FakePayments):
    """The signature is checked where there is one."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        if _webhooks.HEADER not in headers:
            headers = _webhooks.sign(body, secret=self._secret, now=self._clock.now())
        return super().webhook(headers, body)


class OldWebhook(FakePayments):
    """The time of the signature is not looked at."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        signed = _signed(headers) or self._clock.now()
        return [_webhooks.verify(headers, body, secret=self._secret, now=min(signed, self._clock.now()))]


class FutureWebhook(FakePayments):
    """A webhook can't be too young."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        signed = _signed(headers) or self._clock.now()
        return [_webhooks.verify(headers, body, secret=self._secret, now=max(signed, self._clock.now()))]


class IdOfDelivery(FakePayments):
    """A notice has a new id each time it is delivered."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        return [replace(notice, id=self._new_id()) for notice in super().webhook(headers, body)]


class ChargeOfNoticeDropped(FakePayments):
    """The charge that a notice names is not read."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        return [replace(notice, charge_id=None) for notice in super().webhook(headers, body)]


class ChargeOfNoticeIsPayment(FakePayments):
    """The provider's id is told as the id of the charge."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        return [replace(notice, charge_id=notice.reference) for notice in super().webhook(headers, body)]


class GarbageIgnored(FakePayments):
    """A body that can't be read is an empty webhook."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        try:
            return super().webhook(headers, body)
        except BadWebhook as error:
            if error.__cause__ is None:
                raise
            return []


def _signed(headers: Mapping[str, str]) -> datetime | None:
    time = headers.get(_webhooks.HEADER, "").partition(",")[0].removeprefix("t=")
    return datetime.fromtimestamp(int(time), UTC) if time.isdecimal() else None


SIGNATURE_IGNORED = PaymentsPlugin("planted-signature-ignored", SignatureIgnored)
SIGNATURE_OPTIONAL = PaymentsPlugin("planted-signature-optional", SignatureOptional)
OLD_WEBHOOK = PaymentsPlugin("planted-old-webhook", OldWebhook)
FUTURE_WEBHOOK = PaymentsPlugin("planted-future-webhook", FutureWebhook)
ID_OF_DELIVERY = PaymentsPlugin("planted-id-of-delivery", IdOfDelivery)
CHARGE_OF_NOTICE_DROPPED = PaymentsPlugin("planted-charge-of-notice-dropped", ChargeOfNoticeDropped)
CHARGE_OF_NOTICE_IS_PAYMENT = PaymentsPlugin("planted-charge-of-notice-is-payment", ChargeOfNoticeIsPayment)
GARBAGE_IGNORED = PaymentsPlugin("planted-garbage-ignored", GarbageIgnored)
