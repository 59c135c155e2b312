"""An end of the way: what a page says that does not go on. Those that all pages share; each app has more of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A page that says why it does not go on, and what to do.

    Attributes:
        title: Heading.
        text: What has happened, or has not.
        advice: What to do.
    """

    status: int
    title: str
    text: str
    advice: str = ""


FOREIGN: Final = End(
    status=403,
    title="This came from another site",
    text="Another site tried to do this in your name, so nothing was done.",
    advice="If it was you, do it again from here.",
)
MALFORMED: Final = End(
    status=400,
    title="This could not be read",
    text="Your browser sent something that this site does not understand. Nothing was done.",
    advice="Go back, load the page anew and try again.",
)
