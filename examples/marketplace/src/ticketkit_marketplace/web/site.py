"""The parts of the web client that live longer than a request."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.clock import Clock, SystemClock
from ticketkit_marketplace.web.api import Away, Refused
from ticketkit_marketplace.web.assets import Assets
from ticketkit_marketplace.web.billboard import Billboard
from ticketkit_marketplace.web.lister import Lister
from ticketkit_marketplace.web.live import Hub, Source
from ticketkit_marketplace.web.rendering import environment
from ticketkit_marketplace.web.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from jinja2 import Environment

    from ticketkit_marketplace.web.api import Api
    from ticketkit_marketplace.web.settings import Options

ON_A_PAGE: Final = 24
"""Live events on one page of the front page."""


@dataclass(slots=True)
class Site:
    """What pages are made with.

    Attributes:
        api: ticketkit's API.
        options: What was set.
        clock: The time that pages go by: the services' own, where they are in this process.
        source: What the hub hears; None where there is nothing to be heard.
        hub: Tells open pages what changes.
        billboard: What is on, and from how much.
        lister: Lists sellers' files.
    """

    api: Api
    options: Options
    clock: Clock = field(default_factory=SystemClock)
    source: Source | None = None
    assets: Assets = field(default_factory=Assets)
    templates: Environment = field(init=False)
    billboard: Billboard = field(init=False)
    lister: Lister = field(init=False)
    hub: Hub = field(init=False)

    def __post_init__(self) -> None:
        """Make what is made of the rest."""
        self.templates = environment(self.assets)
        self.billboard = Billboard(self.api.nobody, self.clock)
        self.hub = Hub(most=self.options.streams, most_an_address=self.options.streams_per_address)
        self.hub.on_change(self.billboard.heard)
        self.lister = Lister(Uploads(self.options.uploads, self.clock), self.billboard)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What goes on besides answering; it ends with the block."""
        async with anyio.create_task_group() as group:
            await group.start(self.billboard.run)
            await group.start(self.lister.run)
            if self.source is not None:
                await group.start(self.hub.hear, self.source)
            yield
            self.hub.close()
            group.cancel_scope.cancel()

    async def warm_up(self) -> None:
        """Do what the first visitor would have to wait for; nothing is lost where the services are away."""
        for name in self.templates.list_templates():
            self.templates.get_template(name)
        with suppress(Refused, Away):
            await self.billboard.warm_up(ON_A_PAGE)

    def now(self) -> datetime:
        """The time, UTC."""
        return self.clock.now()
