"""Metadata and the texts that Stripe keeps with a payment, with their limits (docs.stripe.com/api/metadata)."""

from __future__ import annotations

from typing import Any, Final

from ticketkit_stripe.simulator.refusals import Refusal

_KEYS: Final = 50
_KEY: Final = 40
_VALUE: Final = 500
_SUFFIX: Final = 22
_TEXTS: Final = ("description", "receipt_email", "statement_descriptor_suffix", "transfer_group")


def merged_metadata(old: dict[str, str], given: dict[str, str] | str) -> dict[str, str]:
    """Old metadata with the given ones: an empty value takes a name away, an empty string all of them.

    Raises:
        Refusal: There are too many, or one is too long.
    """
    if not isinstance(given, dict):
        return {}
    merged = {name: value for name, value in {**old, **given}.items() if value}
    if len(merged) > _KEYS:
        raise Refusal(f"At most {_KEYS} metadata.", param="metadata")
    for name, value in merged.items():
        if len(name) > _KEY or len(value) > _VALUE:
            raise Refusal(f"A name has at most {_KEY} characters, a value {_VALUE}.", param=f"metadata[{name[:_KEY]}]")
    return merged


def read_labels(params: dict[str, Any]) -> dict[str, Any]:
    """The texts among the parameters.

    Raises:
        Refusal: A statement descriptor for a card, which takes a suffix only; or a suffix that is too long.
    """
    if params.get("statement_descriptor"):
        raise Refusal("A card's statement takes a suffix only.", param="statement_descriptor")
    if len(params.get("statement_descriptor_suffix") or "") > _SUFFIX:
        raise Refusal(f"At most {_SUFFIX} characters.", param="statement_descriptor_suffix")
    return {name: params[name] or None for name in _TEXTS if name in params}
