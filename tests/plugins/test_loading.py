"""Plugins are loaded one by one; what is broken is named, and the rest work on."""

import importlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, ClassVar

import click
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import API_VERSION, Backend, BackendKind, Context
from ticketkit.domain.errors import Forbidden
from ticketkit.domain.policy import Policy
from ticketkit.events.contract import Contract
from ticketkit.plugins import Plugins, hookimpl
from ticketkit.plugins.loading import Plugin

URL = "harbour://user:hunter2@pier/7"


class ShipSighted(Contract):
    """A ship was seen."""

    NAME: ClassVar = "ship.sighted"


class ShipSightedAgain(Contract):
    """A ship was seen, second version."""

    NAME: ClassVar = "ship.sighted"
    VERSION: ClassVar = 2


class Gate:
    """A rule that refuses everybody."""

    async def gather(self, buyer_id: str, ticket_ids: Any) -> str:
        return buyer_id

    def judge(self, state: Any, tickets: Any, facts: Any) -> None:
        raise Forbidden


@asynccontextmanager
async def open_pier(url: str, context: Context) -> AsyncIterator[str]:
    yield f"pier of {url}"


def storage(*schemes: str, api_version: int = API_VERSION) -> Backend:
    return Backend(
        kind=BackendKind.STORAGE, name="Pier", schemes=schemes or ("harbour",), open=open_pier, api_version=api_version
    )


def plugin(**hooks: Any) -> ModuleType:
    """A module whose hooks answer as given: with a function as it is, else with the value."""
    module = ModuleType("a_plugin")
    for name, answer in hooks.items():
        setattr(module, f"ticketkit_{name}", answer if callable(answer) else lambda answer=answer: answer)
    return module


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load plugins as if they were installed, each under its own name."""

    def load(**plugins: ModuleType) -> Plugins:
        points = []
        for name, module in plugins.items():
            monkeypatch.setitem(sys.modules, f"installed_{name}", module)
            points.append(EntryPoint(name=name, value=f"installed_{name}", group="ticketkit"))
        return Plugins.load(entry_points=points)

    return load


def find(plugins: Plugins, name: str) -> Plugin:
    return next(plugin for plugin in plugins.listing() if plugin.name == name)


async def test_a_backend_is_selected_by_the_scheme_of_its_url(installed: Any) -> None:
    plugins = installed(pier=plugin(backends=[storage("harbour", "quay")]))
    for url in (URL, "HARBOUR://x", "quay"):
        assert plugins.backend(BackendKind.STORAGE, url).name == "Pier"
    async with plugins.open(BackendKind.STORAGE, "quay:7", Context()) as opened:
        assert opened == "pier of quay:7"


def test_a_scheme_of_another_kind_is_not_taken(installed: Any) -> None:
    plugins = installed(pier=plugin(backends=[storage()]))
    with pytest.raises(Misconfigured, match="No plugin has the bus scheme 'harbour'"):
        plugins.backend(BackendKind.BUS, URL)


async def test_a_missing_driver_is_said_when_the_backend_opens(installed: Any) -> None:
    @asynccontextmanager
    async def no_driver(url: str, context: Context) -> AsyncIterator[Any]:
        yield importlib.import_module("tugboat")

    plugins = installed(pier=plugin(backends=[replace(storage(), open=no_driver)]))
    with pytest.raises(Misconfigured, match=r"Plugin pier can't open Pier: No module named 'tugboat'\."):
        async with plugins.open(BackendKind.STORAGE, URL, Context()):
            pass


async def test_an_import_error_of_the_caller_is_left_alone(installed: Any) -> None:
    plugins = installed(pier=plugin(backends=[storage()]))
    with pytest.raises(ImportError, match="mine"):
        async with plugins.open(BackendKind.STORAGE, URL, Context()):
            raise ImportError("mine")


@pytest.mark.parametrize(
    ("kind", "url", "install"),
    [
        (BackendKind.STORAGE, "postgresql://u:hunter2@db/x", 'pip install "ticketkit[postgresql]"'),
        (BackendKind.TIMERS, "sqlite:///file", 'pip install "ticketkit[sql]"'),
        (BackendKind.BUS, "nats://u:hunter2@n", "pip install ticketkit-nats"),
        (BackendKind.BUS, "redis://:hunter2@r", "pip install ticketkit-redis"),
        (BackendKind.TIMERS, "redis://:hunter2@r", "pip install ticketkit-redis"),
        (BackendKind.PAYMENTS, "stripe", "pip install ticketkit-stripe"),
    ],
)
def test_an_unknown_scheme_says_what_to_install(kind: BackendKind, url: str, install: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Plugins.load(entry_points=()).backend(kind, url)
    assert install in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", [URL.replace("harbour", "haven"), "u:hunter2@host", "", "//u:hunter2@host"])
def test_other_schemes_are_answered_with_those_that_there_are(installed: Any, url: str) -> None:
    plugins = installed(pier=plugin(backends=[storage("harbour", "quay")]))
    with pytest.raises(Misconfigured) as caught:
        plugins.backend(BackendKind.STORAGE, url)
    assert "hunter2" not in str(caught.value)
    if url.startswith("haven"):
        assert "harbour, " in str(caught.value)
        assert "quay" in str(caught.value)


def test_an_installed_distribution_is_not_to_be_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = Plugins.load(entry_points=())
    plugins._plugins.append(Plugin(name="sql", distribution="ticketkit-sql"))
    with pytest.raises(Misconfigured, match="No plugin has the storage scheme 'postgres'") as caught:
        plugins.backend(BackendKind.STORAGE, "postgres://db")
    assert "install" not in str(caught.value)


def tidal(tide: str) -> list[Backend]:
    """A hook with an argument that there is not."""
    return [storage(tide)]


def raises() -> list[Backend]:
    """A hook that fails."""
    raise RuntimeError("out of rope")


async def late() -> list[Backend]:
    """A hook that is async."""
    return []


def shorter(default: Policy) -> Policy:
    """A policy for all live events."""
    return replace(default, hold=timedelta(minutes=1))


class HastyRule(Gate):
    """A rule whose judge is async."""

    async def judge(self, state: Any, tickets: Any, facts: Any) -> None:  # type: ignore[override]
        return


class SlowRule(Gate):
    """A rule whose gather is not async."""

    def gather(self, buyer_id: str, ticket_ids: Any) -> str:  # type: ignore[override]
        return buyer_id


@pytest.mark.parametrize(
    ("hooks", "reason"),
    [
        ({"backends": raises}, "RuntimeError: out of rope"),
        ({"backends": late}, "hooks are synchronous"),
        ({"backends": tidal}, "can not be found in the hookspec"),
        ({"backend": [storage()]}, "unknown hook 'ticketkit_backend'"),
        ({"backends": storage()}, "answered with a Backend, not a list"),
        ({"backends": None}, "answered with a NoneType, not a list"),
        ({"backends": ["harbour"]}, "answered with a str among its backends"),
        ({"backends": [replace(storage(), schemes=())]}, "needs a tuple of URL schemes"),
        ({"backends": [storage(api_version=API_VERSION + 1)]}, "newer than"),
        ({"backends": [storage(api_version=API_VERSION - 2)]}, "older than"),
        ({"contracts": [Contract]}, "answered with the class Contract among its contracts"),
        ({"contracts": [(ShipSighted, "no upcaster")]}, "answered with a tuple among its contracts"),
        ({"contracts": [ShipSightedAgain]}, "needs an upcaster from version 1"),
        ({"rules": [object()]}, "no rule with gather and judge"),
        ({"rules": [Gate]}, "no rule with gather and judge"),
        ({"rules": [HastyRule()]}, "judge of rule HastyRule has to be synchronous"),
        ({"rules": [SlowRule()]}, "gather of rule SlowRule has to be async"),
        ({"routes": ["/ships"]}, "answered with a str among its routes"),
        ({"commands": [click.Command(None)]}, "without a name"),
    ],
)
def test_a_broken_plugin_is_named_with_its_reason_and_the_rest_go_on(
    installed: Any, hooks: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = installed(wreck=plugin(**hooks), pier=plugin(backends=[storage("quay")]))
    assert reason in (find(plugins, "wreck").broken or "")
    assert find(plugins, "pier").broken is None
    assert plugins.backend(BackendKind.STORAGE, "quay").name == "Pier"
    assert "Plugin wreck is not used" in caplog.text


def test_a_plugin_that_can_not_be_imported_is_suspected_of_an_unknown_scheme() -> None:
    point = EntryPoint(name="wreck", value="no_such_module_of_ours", group="ticketkit")
    plugins = Plugins.load(entry_points=[point])
    assert "No module named 'no_such_module_of_ours'" in (find(plugins, "wreck").broken or "")
    with pytest.raises(Misconfigured, match=r"wreck \(ModuleNotFoundError"):
        plugins.backend(BackendKind.STORAGE, URL)


def test_asking_for_the_scheme_of_a_broken_plugin_names_it_and_the_reason(installed: Any) -> None:
    plugins = installed(wreck=plugin(backends=[storage(api_version=API_VERSION + 1)]))
    with pytest.raises(Misconfigured, match=r"Plugin wreck, for the storage scheme 'harbour', can't be used: .* newer"):
        plugins.backend(BackendKind.STORAGE, URL)


def test_nothing_of_a_broken_plugin_is_used(installed: Any) -> None:
    hooks: dict[str, Any] = {"contracts": [ShipSighted], "rules": [Gate()], "policy": shorter}
    plugins = installed(wreck=plugin(**hooks, backends=[storage(api_version=API_VERSION + 1)]))
    default = Policy()
    assert (plugins.contracts(), plugins.rules(), plugins.routes(), plugins.commands()) == ([], [], [], [])
    assert plugins.policy(None, default) is default


@pytest.mark.parametrize("api_version", [API_VERSION, API_VERSION - 1])
def test_this_version_of_the_ports_and_the_one_before_are_accepted(installed: Any, api_version: int) -> None:
    plugins = installed(pier=plugin(backends=[storage(api_version=api_version)]))
    assert plugins.backend(BackendKind.STORAGE, URL).api_version == api_version


def test_the_second_plugin_for_a_scheme_is_broken(installed: Any) -> None:
    plugins = installed(first=plugin(backends=[storage()]), second=plugin(backends=[storage("harbour", "quay")]))
    assert find(plugins, "second").broken == "plugin first has the storage scheme 'harbour' already."
    assert plugins.backend(BackendKind.STORAGE, URL) is find(plugins, "first").backends[0]


def test_the_second_plugin_for_a_contract_is_broken(installed: Any) -> None:
    plugins = installed(first=plugin(contracts=[ShipSighted]), second=plugin(contracts=[ShipSighted]))
    assert "There is a contract ticketkit.ship.sighted.v1 already" in (find(plugins, "second").broken or "")


def test_the_second_plugin_of_a_name_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    points = []
    for module in ("installed_here", "installed_there"):
        monkeypatch.setitem(sys.modules, module, plugin(rules=[Gate()]))
        points.append(EntryPoint(name="pier", value=module, group="ticketkit"))
    plugins = Plugins.load(entry_points=points)
    assert [found.broken for found in plugins.listing()][1:] == [None, "another plugin is named pier already."]
    assert len(plugins.rules()) == 1


def test_the_app_brings_modules_and_objects_as_plugins() -> None:
    class Ours:
        def ticketkit_backends(self) -> list[Backend]:
            return [storage()]

    plugins = Plugins.load([Ours(), plugin(rules=[Gate()])], entry_points=())
    assert [found.name for found in plugins.listing()][1:] == ["Ours", "a_plugin"]
    assert plugins.backend(BackendKind.STORAGE, URL).name == "Pier"


def test_a_broken_plugin_of_the_app_itself_is_fatal() -> None:
    with pytest.raises(Misconfigured, match=r"Plugin a_plugin can't be used: .*unknown hook"):
        Plugins.load([plugin(backend=[])], entry_points=())


def test_a_plugin_that_is_installed_and_brought_by_the_app_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pier = plugin(rules=[Gate()])
    monkeypatch.setitem(sys.modules, "installed_pier", pier)
    point = EntryPoint(name="pier", value="installed_pier", group="ticketkit")
    assert len(Plugins.load([pier], entry_points=[point]).rules()) == 1


def test_hooks_add_up(installed: Any) -> None:
    route, command = Route("/ships", PlainTextResponse("ship")), click.Command("ships")

    def upcast(old: Any) -> ShipSightedAgain:
        return ShipSightedAgain(id=old.id, version=old.version)

    plugins = installed(
        one=plugin(contracts=[ShipSighted, (ShipSightedAgain, upcast)], rules=[Gate()]),
        two=plugin(rules=[Gate()], routes=[route], commands=[command]),
    )
    assert plugins.contracts() == [(ShipSighted, None), (ShipSightedAgain, upcast)]
    assert plugins.registry().newest("ship.sighted") is ShipSightedAgain
    assert len(plugins.rules()) == len(("one", "two"))
    assert plugins.routes() == [route]
    assert plugins.commands() == [command]
    assert find(plugins, "two").hooks == ("ticketkit_commands", "ticketkit_routes", "ticketkit_rules")


def test_the_first_policy_that_is_given_holds(installed: Any) -> None:
    def short(live_event: Any, default: Policy) -> Policy | None:
        return replace(default, hold=timedelta(minutes=5)) if live_event == "gala" else None

    assert not installed(some=plugin(rules=[])).has_policies
    plugins = installed(some=plugin(policy=short))
    assert plugins.has_policies
    assert plugins.policy("gala", Policy()).hold == timedelta(minutes=5)
    assert plugins.policy(None, Policy()) == Policy()
    plugins = installed(some=plugin(policy=short), first=plugin(policy=hookimpl(tryfirst=True)(shorter)))
    assert plugins.policy("gala", Policy()).hold == timedelta(minutes=1)


def test_a_policy_of_another_type_is_refused(installed: Any) -> None:
    plugins = installed(some=plugin(policy=lambda: "five minutes"))
    with pytest.raises(Misconfigured, match="answered with a str"):
        plugins.policy(None, Policy())


def test_what_is_listed_says_where_a_plugin_is_from() -> None:
    found = find(Plugins.load(), "sql")
    assert found.distribution == "ticketkit-sql"
    assert found.version


def test_plugins_are_light_to_import() -> None:
    heavy = ("alembic", "anyio._backends", "fastapi", "nats", "redis", "sqlalchemy", "starlette", "stripe", "uvicorn")
    code = f"import sys, ticketkit.plugins as p; p.Plugins.load(); print([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stderr
