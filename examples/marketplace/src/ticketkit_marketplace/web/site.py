"""The parts of the web client that live longer than a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ticketkit.backends.clock import Clock, SystemClock
from ticketkit_marketplace.web.assets import Assets
from ticketkit_marketplace.web.billboard import Billboard
from ticketkit_marketplace.web.rendering import environment

if TYPE_CHECKING:
    from datetime import datetime

    from jinja2 import Environment

    from ticketkit_marketplace.web.api import Api
    from ticketkit_marketplace.web.settings import Options


@dataclass(slots=True)
class Site:
    """What pages are made with.

    Attributes:
        api: ticketkit's API.
        options: What was set.
        clock: The time that pages go by: the services' own, where they are in this process.
        billboard: What is on, and from how much.
    """

    api: Api
    options: Options
    clock: Clock = field(default_factory=SystemClock)
    assets: Assets = field(default_factory=Assets)
    templates: Environment = field(init=False)
    billboard: Billboard = field(init=False)

    def __post_init__(self) -> None:
        """Make what is made of the rest."""
        self.templates = environment(self.assets)
        self.billboard = Billboard(self.api.nobody, self.clock)

    def now(self) -> datetime:
        """The time, UTC."""
        return self.clock.now()
