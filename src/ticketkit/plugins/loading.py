"""Finding and loading plugins: one that is broken is named, and the rest work on."""

from __future__ import annotations

import inspect
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import pluggy

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import API_VERSION
from ticketkit.domain.policy import Policy
from ticketkit.events.registry import Registry, Upcaster
from ticketkit.plugins import hooks
from ticketkit.plugins._answers import FIELDS, Wrong, check_version, checked, checked_line, listed
from ticketkit.plugins._schemes import not_found, scheme_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    import click
    from starlette.routing import BaseRoute

    from ticketkit.backends.spec import Backend, BackendKind, Context
    from ticketkit.domain.entities import Line, LiveEvent, Ticket
    from ticketkit.events.contract import Contract
    from ticketkit.plugins.rules import Rule

_LOG = logging.getLogger(__name__)
BUILT_IN: Final = (metadata.EntryPoint(name="memory", value="ticketkit.memory.plugin", group=hooks.PROJECT),)
"""Plugins that are part of ticketkit, loaded before all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One plugin, as it was found.

    Attributes:
        name: Of its entry point, or of the module or class for one that the app brought.
        distribution: What to install to get it; None for one that the app brought.
        version: Of the distribution.
        hooks: Names of the hooks that it implements.
        backends: What it answered to the hook, as are the rest; none of it is used when it is broken.
        contracts: Pairs of a contract and its upcaster; the latter is None at version 1.
        broken: Why it is not used; None when it works.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    hooks: tuple[str, ...] = ()
    backends: tuple[Backend, ...] = ()
    contracts: tuple[tuple[type[Contract], Upcaster | None], ...] = ()
    rules: tuple[Rule, ...] = ()
    routes: tuple[BaseRoute, ...] = ()
    commands: tuple[click.Command, ...] = ()
    broken: str | None = None

    @property
    def claimed(self) -> frozenset[tuple[BackendKind, str]]:
        """Pairs of kind and URL scheme of its backends."""
        return frozenset((backend.kind, scheme) for backend in self.backends for scheme in backend.schemes)

    @property
    def mend(self) -> str:
        """What to do about it when it is broken; empty when only its author can say."""
        versions = [backend.api_version for backend in self.backends]
        if any(version > API_VERSION for version in versions):
            return "Install a newer ticketkit: pip install --upgrade ticketkit"
        if self.distribution is None:
            return ""
        if any(version < API_VERSION - 1 for version in versions):
            return f"Install a newer one: pip install --upgrade {self.distribution}"
        return f"Install it anew: pip install --force-reinstall {self.distribution}"


class Plugins:
    """The plugins of a process, and what they add up to. Made by `load`."""

    def __init__(self) -> None:
        self._manager = _manager()
        self._plugins: list[Plugin] = []
        self._backends: dict[tuple[BackendKind, str], tuple[Plugin, Backend]] = {}
        self._contracts: list[tuple[type[Contract], Upcaster | None]] = []

    @classmethod
    def load(
        cls, extra: Iterable[object] = (), *, entry_points: Iterable[metadata.EntryPoint] | None = None
    ) -> Plugins:
        """Load ticketkit's own plugins, then those that are installed, then the app's own.

        An installed plugin that can't be loaded is logged and listed with its reason, and the rest go on.

        Args:
            extra: Modules or objects with hooks that the app brings itself.
            entry_points: Instead of those that are installed in the group `ticketkit`.

        Raises:
            Misconfigured: One of `extra` is broken: the app asked for it.
        """
        loaded = cls()
        found = metadata.entry_points(group=hooks.PROJECT) if entry_points is None else entry_points
        for entry_point in (*BUILT_IN, *found):
            loaded._add(_named(entry_point), entry_point.load)
        for implementation in extra:
            name = getattr(implementation, "__name__", None) or type(implementation).__name__
            added = loaded._add(Plugin(name=name), partial(_itself, implementation))
            if added.broken:
                raise Misconfigured(f"Plugin {added.name} can't be used: {added.broken}")
        return loaded

    def backend(self, kind: BackendKind, url: str) -> Backend:
        """The backend that a URL selects.

        Args:
            kind: What it is for.
            url: Its scheme decides; a bare word is a scheme alone: `fake`.

        Raises:
            Misconfigured: No plugin has that scheme for that kind, or the one that has it is broken. Tells what to
                install; never shows more of the URL than its scheme.
        """
        scheme = scheme_of(kind, url)
        if (found := self._backends.get((kind, scheme))) is None:
            raise not_found(kind, scheme, self._plugins)
        return found[1]

    @asynccontextmanager
    async def open(self, kind: BackendKind, url: str, context: Context) -> AsyncIterator[Any]:
        """Open the backend that a URL selects, and close it at the end.

        Raises:
            Misconfigured: As of `backend`; or a driver is missing; or the settings are wrong.
            Unavailable: The backend can't be reached now.
        """
        backend = self.backend(kind, url)
        async with AsyncExitStack() as stack:
            try:
                opened = await stack.enter_async_context(backend.open(url, context))
            except ImportError as error:
                plugin = self._backends[kind, scheme_of(kind, url)][0]
                raise Misconfigured(f"Plugin {plugin.name} can't open {backend.name}: {error}.") from error
            yield opened

    def contracts(self) -> list[tuple[type[Contract], Upcaster | None]]:
        """Contracts that plugins add to the catalogue, each with its upcaster from version 2 on."""
        return list(self._contracts)

    def registry(self) -> Registry:
        """A registry of the catalogue and of all contracts of plugins."""
        return _registry(self._contracts)

    def rules(self) -> list[Rule]:
        """All rules that an order has to pass."""
        return [rule for plugin in self._working() for rule in plugin.rules]

    @property
    def has_policies(self) -> bool:
        """Whether any plugin has a say in policies: if not, nothing needs to be read for them."""
        return bool(self._manager.hook.ticketkit_policy.get_hookimpls())

    def policy(self, live_event: LiveEvent | None, default: Policy) -> Policy:
        """The policy for a live event: of the first plugin that has one, else the default.

        Raises:
            Misconfigured: A plugin answered with something else than a policy.
        """
        found = self._manager.hook.ticketkit_policy(live_event=live_event, default=default)
        if found is None:
            return default
        if not isinstance(found, Policy):
            raise Misconfigured(f"A plugin's {hooks.POLICY} answered with a {type(found).__name__}, not a Policy.")
        return found

    @property
    def has_prices(self) -> bool:
        """Whether any plugin adds fees or taxes."""
        return bool(self._manager.hook.ticketkit_prices.get_hookimpls())

    def prices(
        self, *, buyer_id: str, tickets: Sequence[Ticket], live_events: Mapping[str, LiveEvent], policy: Policy
    ) -> tuple[Line, ...]:
        """The fees and taxes of an order, of all plugins; see `ticketkit.plugins.hooks.ticketkit_prices`.

        Raises:
            Misconfigured: A plugin answered with something else than lines that such an order can have.
            DomainError: As a plugin raised it.
        """
        answers = self._manager.hook.ticketkit_prices(
            buyer_id=buyer_id, tickets=tickets, live_events=live_events, policy=policy
        )
        ids, currency = {ticket.id for ticket in tickets}, tickets[0].price.currency
        try:
            return tuple(
                checked_line(line, ticket_ids=ids, currency=currency)
                for answer in answers
                for line in listed(hooks.PRICES, answer)
            )
        except Wrong as error:
            raise Misconfigured(f"A plugin's {error}") from error

    def routes(self) -> list[BaseRoute]:
        """All HTTP routes of plugins."""
        return [route for plugin in self._working() for route in plugin.routes]

    def commands(self) -> list[click.Command]:
        """All commands of plugins."""
        return [command for plugin in self._working() for command in plugin.commands]

    def listing(self) -> list[Plugin]:
        """Every plugin that was found, in the order of loading, the broken ones with their reason."""
        return list(self._plugins)

    def _working(self) -> Iterable[Plugin]:
        return (plugin for plugin in self._plugins if plugin.broken is None)

    def _add(self, plugin: Plugin, load: Callable[[], object]) -> Plugin:
        try:
            implementation = load()
            if self._manager.is_registered(implementation):
                return plugin  # installed, and brought by the app as well
            alone = _manager()
            plugin = replace(plugin, hooks=_registered(alone, implementation))
            for hook in (hook for hook in FIELDS if hook in plugin.hooks):
                plugin = _with_answer(plugin, alone, hook)
            self._check(plugin)
        except Exception as error:  # noqa: BLE001 whatever a plugin does wrong must not stop the others
            reason = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
            _LOG.warning("Plugin %s is not used: %s", plugin.name, reason)
            plugin = replace(plugin, broken=reason)
        else:
            self._manager.register(implementation, plugin.name)
            self._backends |= {(at.kind, scheme): (plugin, at) for at in plugin.backends for scheme in at.schemes}
            self._contracts += plugin.contracts
        self._plugins.append(plugin)
        return plugin

    def _check(self, plugin: Plugin) -> None:
        """Raise when it can't live with this release, or with the plugins that are loaded."""
        for backend in plugin.backends:
            check_version(backend)
        if self._manager.has_plugin(plugin.name):
            raise Wrong(f"another plugin is named {plugin.name} already.")
        for kind, scheme in sorted(plugin.claimed & self._backends.keys()):
            other = self._backends[kind, scheme][0].name
            raise Wrong(f"plugin {other} has the {kind} scheme {scheme!r} already.")
        try:
            _registry([*self._contracts, *plugin.contracts])
        except ValueError as error:
            raise Wrong(str(error)) from error


def _itself(implementation: object) -> object:
    return implementation


class _Manager(pluggy.PluginManager):
    """Takes functions named like a hook for hooks, marked or not: a forgotten mark must not go unnoticed."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        found = super().parse_hookimpl_opts(plugin, name)
        if found is None and name.startswith(f"{hooks.PROJECT}_") and inspect.isroutine(getattr(plugin, name, None)):
            return pluggy.HookimplOpts(
                wrapper=False, hookwrapper=False, optionalhook=False, tryfirst=False, trylast=False, specname=None
            )
        return found


def _manager() -> pluggy.PluginManager:
    manager = _Manager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    return manager


def _named(entry_point: metadata.EntryPoint) -> Plugin:
    if entry_point in BUILT_IN:
        return Plugin(name=entry_point.name, distribution="ticketkit", version=metadata.version("ticketkit"))
    if entry_point.dist is None:
        return Plugin(name=entry_point.name)
    return Plugin(name=entry_point.name, distribution=entry_point.dist.name, version=entry_point.dist.version)


def _registered(manager: pluggy.PluginManager, implementation: object) -> tuple[str, ...]:
    """Register; the names of the hooks that it implements, each as it has to be."""
    try:
        manager.register(implementation)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise Wrong(f"{' '.join(str(error).split())}.") from error
    callers = manager.get_hookcallers(implementation) or []
    for name, function in ((caller.name, found.function) for caller in callers for found in caller.get_hookimpls()):
        if inspect.iscoroutinefunction(function):
            raise Wrong(f"{name} is async; hooks are synchronous.")
    return tuple(sorted(caller.name for caller in callers))


def _with_answer(plugin: Plugin, manager: pluggy.PluginManager, hook: str) -> Plugin:
    answers = getattr(manager.hook, hook)()  # of the one plugin here; pluggy leaves out None
    answer: Any = checked(hook, answers[0] if answers else None)
    return replace(plugin, **{FIELDS[hook]: answer})


def _registry(contracts: Iterable[tuple[type[Contract], Upcaster | None]]) -> Registry:
    registry = Registry()
    for contract, upcast in contracts:
        registry.register(contract, upcast=upcast)
    return registry
