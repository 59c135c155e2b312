from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import BackendKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.plugins.loading import Plugin

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)(?=:|\Z)", re.IGNORECASE)  # RFC 3986, section 3.1

_OFFERS: Final = {
    ("ticketkit-sql", 'pip install "ticketkit[sql]"'): (
        (BackendKind.STORAGE, BackendKind.BUS, BackendKind.TIMERS),
        ("sqlite",),
    ),
    ("ticketkit-sql", 'pip install "ticketkit[postgresql]"'): (
        (BackendKind.STORAGE, BackendKind.TIMERS),
        ("postgres", "postgresql"),
    ),
    ("ticketkit-nats", "pip install ticketkit-nats"): ((BackendKind.BUS,), ("nats", "tls")),
    ("ticketkit-redis", "pip install ticketkit-redis"): ((BackendKind.BUS, BackendKind.TIMERS), ("redis", "rediss")),
    ("ticketkit-stripe", "pip install ticketkit-stripe"): ((BackendKind.PAYMENTS,), ("stripe",)),
}
_OFFERED: Final = {
    (kind, scheme): offer for offer, (kinds, schemes) in _OFFERS.items() for kind in kinds for scheme in schemes
}


def scheme_of(kind: BackendKind, url: str) -> str:
    """The scheme of a URL, lower case; raise `Misconfigured` when it has none, without showing the URL."""
    if (found := _SCHEME.match(url.strip())) is None:
        raise Misconfigured(f"The {kind} URL has no scheme: it begins with one and a colon, as in 'memory:'.")
    return found[1].lower()


def not_found(kind: BackendKind, scheme: str, plugins: Sequence[Plugin]) -> Misconfigured:
    """The error for a scheme that no working plugin has: it says what to do."""
    distribution, install = _OFFERED.get((kind, scheme), (None, None))
    for plugin in (plugin for plugin in plugins if plugin.broken):
        if (kind, scheme) in plugin.claimed or (distribution and distribution == plugin.distribution):
            return Misconfigured(
                f"Plugin {plugin.name}, for the {kind} scheme {scheme!r}, can't be used: {plugin.broken}",
                mend=plugin.mend,
            )
    message = f"No plugin has the {kind} scheme {scheme!r}."
    if install and distribution not in {plugin.distribution for plugin in plugins}:
        return Misconfigured(message, mend=f"Install it: {install}")
    known = sorted({known for plugin in plugins if not plugin.broken for at, known in plugin.claimed if at == kind})
    message += f" Known: {', '.join(known) or 'none'}."
    if suspects := [f"{plugin.name} ({plugin.broken})" for plugin in plugins if plugin.broken and not plugin.claimed]:
        message += f" These plugins are broken and may have it: {'; '.join(suspects)}"
    return Misconfigured(message)
