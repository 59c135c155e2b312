"""The manifests: what Kubernetes allows, the settings and commands of Compose, and nothing more than a pod needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from deploy.cluster import (
    KUBERNETES,
    OVERLAYS,
    VERSION,
    Document,
    base,
    environment,
    kustomize,
    manifests,
    pods,
    rendered,
    secrets,
    settings,
)
from deploy.files import MIGRATIONS, PROCESSES, documents, interpolated, read
from deploy.settings import KNOWN, SECRETS

COMPOSE: dict[str, Any] = read("compose.yaml")
BASE = base()
PODS = dict(pods(BASE))
ALL_PODS = [(name, pod) for path in manifests() for name, pod in pods(documents(path))]
OF_OTHERS = {"XDG_CONFIG_HOME", "XDG_DATA_HOME"}

needs_kustomize = pytest.mark.skipif(kustomize() is None, reason="there is neither kustomize nor kubectl on PATH")


def of_kind(kind: str, found: list[Document] | tuple[Document, ...] | None = None) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for one in (BASE if found is None else found) if one["kind"] == kind}


@pytest.mark.parametrize("path", manifests(), ids=lambda path: path.relative_to(KUBERNETES).as_posix())
def test_a_manifest_is_as_kubernetes_wants_it(path: Path) -> None:
    for one in documents(path):
        kubernetes_validate.validate(one, VERSION, strict=True)


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_an_overlay_makes_is_as_kubernetes_wants_it(overlay: str) -> None:
    found = rendered(overlay)
    assert len(found) > 30
    for one in found:
        kubernetes_validate.validate(one, VERSION, strict=True)
    namespaces = {one["metadata"].get("namespace") for one in found if one["kind"] != "Namespace"}
    assert namespaces == {one["metadata"]["name"] for one in found if one["kind"] == "Namespace"}


@needs_kustomize
def test_the_gateway_of_the_cluster_reads_the_files_of_the_gateway() -> None:
    for overlay in OVERLAYS:
        [files] = [one["data"] for name, one in of_kind("ConfigMap", rendered(overlay)).items() if "gateway" in name]
        assert set(files) == {"Caddyfile", "routes.caddy"}
        assert "auto_https off" in files["Caddyfile"]


@needs_kustomize
def test_development_has_one_of_each_that_starts_anew_when_a_file_changes() -> None:
    found = of_kind("Deployment", rendered("development"))
    assert {one["spec"]["replicas"] for one in found.values()} == {1}
    for name in (*PROCESSES, "ops"):
        [container] = found[name]["spec"]["template"]["spec"]["containers"]
        assert container["command"][:2] == ["sh", "-c"]
        assert container["command"][2].startswith('exec watchfiles "$*" ')
        assert container["args"] == COMPOSE["services"][name]["command"]
    assert "Ingress" not in {one["kind"] for one in rendered("development")}
    [told] = [one["data"] for name, one in of_kind("ConfigMap", rendered("development")).items() if "settings" in name]
    assert told == {**settings(), "TICKETKIT_ENVIRONMENT": "development"}


@pytest.fixture(scope="module")
def secret(variables: dict[str, str]) -> dict[str, dict[str, str]]:
    """The Secrets that `make_secrets.py` makes with the passwords of `.env`, and with its keys put in."""
    found = secrets({name: value for name, value in variables.items() if "PASSWORD" in name}, "--servers")
    for values in found.values():
        values |= {name: variables[name] for name in values if name.startswith("TICKETKIT_")}
    return found


@pytest.mark.parametrize("process", [*PROCESSES, "ops"])
def test_a_process_has_the_command_and_the_settings_that_it_has_with_compose(
    process: str, secret: dict[str, dict[str, str]], variables: dict[str, str]
) -> None:
    """Those are run by test_stack.py."""
    [container] = PODS[process]["containers"]
    theirs = COMPOSE["services"][process]
    assert container["args"] == theirs["command"]
    told = environment(container, secret)
    if process != "web":
        assert told.pop("TICKETKIT_WEB_API_URL")  # one ConfigMap for all: it is no secret
    assert told == {name: value for name, value in interpolated(theirs["environment"], variables).items() if value}


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_a_migration_has_the_command_and_the_settings_that_it_has_with_compose(
    migration: str, secret: dict[str, dict[str, str]], variables: dict[str, str]
) -> None:
    by_name = {one["name"]: one for one in PODS["migrate"]["containers"]}
    container = by_name[migration.removeprefix("migrate-")]
    theirs = COMPOSE["services"][migration]
    assert container["args"] == theirs["command"]
    assert environment(container, secret) == interpolated(theirs["environment"], variables)


def test_servers_for_developing_have_the_options_that_they_have_with_compose() -> None:
    servers = dict(pods(documents(KUBERNETES / "overlays" / "development" / "servers.yaml")))
    for name in ("postgresql", "nats", "redis"):
        [container] = servers[name]["containers"]
        theirs = COMPOSE["services"][name]
        assert container["image"] == theirs["image"]
        assert container.get("args", container.get("command")) == interpolated(theirs["command"], {})


@pytest.mark.parametrize(("name", "pod"), ALL_PODS)
def test_every_variable_is_one_that_somebody_reads_and_no_secret_is_written_down(name: str, pod: Document) -> None:
    for container in pod["containers"]:
        told = {one["name"]: one for one in container.get("env", ())}
        assert set(told) <= KNOWN | OF_OTHERS
        for variable in SECRETS & set(told):
            assert "secretKeyRef" in told[variable]["valueFrom"], variable
    assert set(settings()) <= KNOWN
    assert not set(settings()) & SECRETS


@pytest.mark.parametrize(("name", "pod"), ALL_PODS)
def test_a_pod_can_do_little(name: str, pod: Document) -> None:
    """What the pod security standard "restricted" wants, and a root that nobody writes to."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert set(context["capabilities"].get("add", ())) <= {"NET_BIND_SERVICE"}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]) & set(container["resources"]["limits"])
        assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("name", [*PROCESSES, "gateway"])
def test_a_deployment_is_replaced_without_a_gap(name: str) -> None:
    deployment = of_kind("Deployment")[name]["spec"]
    assert deployment["replicas"] >= 2
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    [container] = deployment["template"]["spec"]["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(settings()["TICKETKIT_DRAIN"])
    grace = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= pause + 2 * drain + 5
    ready = container["readinessProbe"]
    assert pause >= ready["periodSeconds"]  # whoever sends requests has heard by then that it goes
    assert {topology["topologyKey"] for topology in deployment["template"]["spec"]["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_that_waits_for_its_database_is_not_restarted_for_that(name: str) -> None:
    [container] = PODS[name]["containers"]
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}


def test_labels_select_what_they_should() -> None:
    deployments = of_kind("Deployment")
    labels = {name: one["spec"]["template"]["metadata"]["labels"] for name, one in deployments.items()}
    for name, one in deployments.items():
        wanted = {"app.kubernetes.io/name": name}
        assert one["spec"]["selector"]["matchLabels"] == wanted
        assert wanted.items() <= labels[name].items()
        assert of_kind("Service")[name]["spec"]["selector"] == wanted
        if one["spec"]["replicas"] > 1:
            assert of_kind("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == wanted
    assert set(deployments) == {*PROCESSES, "gateway", "ops"}
    assert set(of_kind("PodDisruptionBudget")) == {*PROCESSES, "gateway"}


def _selected(selector: Document) -> set[str]:
    """Names of the deployments and the job that a selector of the policies means."""
    components = {
        **dict.fromkeys(PROCESSES, "process"),
        "gateway": "gateway",
        "migrate": "migration",
        "ops": "operations",
    }
    wanted = [(key, {value}) for key, value in selector.get("matchLabels", {}).items()]
    for one in selector.get("matchExpressions", ()):
        assert one["operator"] == "In"
        wanted.append((one["key"], set(one["values"])))
    found = set(components)
    for key, values in wanted:
        named = key == "app.kubernetes.io/name"
        assert values <= set(components if named else components.values()), values
        found = {name for name in found if (name if named else components[name]) in values}
    return found


def test_nobody_talks_to_anybody_but_for_what_is_said() -> None:
    policies = of_kind("NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    behind = set(PROCESSES) - {"expiration"}
    callers = {
        name: {
            who
            for one in policies.values()
            if name in _selected(one["spec"]["podSelector"])
            for rule in one["spec"].get("ingress", ())
            for source in rule["from"]
            if "podSelector" in source
            for who in _selected(source["podSelector"])
        }
        for name in (*PROCESSES, "gateway", "migrate", "ops")
    }
    assert callers == {
        **{name: {"gateway", "ops"} for name in behind},
        "expiration": {"ops"},
        "gateway": {"web", "ops"},
        "migrate": set(),
        "ops": set(),
    }
    ports: dict[str, set[int]] = {name: set() for name in (*PROCESSES, "gateway", "migrate", "ops")}
    for one in policies.values():
        for rule in one["spec"].get("egress", ()):
            for name in _selected(one["spec"]["podSelector"]):
                ports[name] |= {port["port"] for port in rule["ports"]} - {53}
    assert ports == {
        "auth": {4222, 5432},
        "tickets": {4222, 5432},
        "orders": {4222, 5432},
        "expiration": {4222, 6379},
        "payments": {4222, 5432, 443},
        "web": {4222, 8000},
        "gateway": {8000},
        "migrate": {5432},
        "ops": {4222, 5432, 8000},
    }


def test_secrets_are_fresh_each_time_and_those_that_exist_are_kept(variables: dict[str, str]) -> None:
    one, two = secrets({}), secrets({"INVENTORY_PASSWORD": "given"})
    assert one["storage-inventory"] != two["storage-inventory"]
    assert one["session-private-key"] != two["session-private-key"]
    assert "inventory:given@" in two["storage-inventory"]["url"]
    assert "servers" not in one


def test_versions_of_other_images_are_those_of_compose() -> None:
    theirs = {told["image"] for told in COMPOSE["services"].values()}
    for _, pod in ALL_PODS:
        for container in pod["containers"]:
            assert container["image"] in theirs | {"ticketkit-marketplace"}
            assert container["image"] == "ticketkit-marketplace" or re.search(r":\d+\.\d+", container["image"])
