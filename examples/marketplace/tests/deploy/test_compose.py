"""compose.yaml: what the specification allows, what ticketkit reads, and nothing more than a process needs."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest
from deploy.files import DEPLOY, MIGRATIONS, PROCESSES, asked_for, interpolated, read
from deploy.settings import KNOWN, OURS, SECRETS

from ticketkit.services.catalogue import ServiceName

COMPOSE: dict[str, Any] = read("compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def names_of(service: str) -> set[str]:
    return set(SERVICES[service].get("environment", {}))


def test_it_is_as_the_compose_specification_wants_it() -> None:
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.Draft202012Validator(json.loads(vendored.read_text(encoding="utf-8"))).validate(COMPOSE)


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_one_that_somebody_reads(service: str) -> None:
    assert names_of(service) <= KNOWN


def test_what_is_put_in_from_outside_is_named_in_the_example_of_env() -> None:
    text = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    assert {name for name in asked_for(COMPOSE) - {"TAG"} if name not in text} == set()


def test_a_secret_that_is_missing_is_said_before_anything_starts(variables: dict[str, str]) -> None:
    interpolated(COMPOSE, variables)
    for name in variables:
        with pytest.raises(LookupError, match=rf"{name}: see (docs/deploy.md|.env.example)"):
            interpolated(COMPOSE, {**variables, name: ""})


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_is_written_down(service: str) -> None:
    for name, value in SERVICES[service].get("environment", {}).items():
        if name in SECRETS or "PASSWORD" in name:
            assert "${" in value, name


def test_each_process_has_the_secrets_that_it_needs_and_no_other() -> None:
    keys = {"TICKETKIT_SESSION_PRIVATE_KEY": {"auth"}, "TICKETKIT_PASS_KEYS": {"orders"}}
    storages = {
        "TICKETKIT_AUTH_STORAGE_URL": {"auth"},
        "TICKETKIT_STORAGE_URL": {"tickets", "orders"},
        "TICKETKIT_PAYMENTS_STORAGE_URL": {"payments"},
        "TICKETKIT_TIMERS_URL": {"expiration"},
        "TICKETKIT_STRIPE_SECRET_KEY": {"payments"},
    }
    ops = names_of("ops")  # reads all storages, and can neither mint nor admit nor pay
    assert ops >= {"TICKETKIT_AUTH_STORAGE_URL", "TICKETKIT_STORAGE_URL", "TICKETKIT_PAYMENTS_STORAGE_URL"}
    assert not ops & {*keys, "TICKETKIT_PAYMENTS", "TICKETKIT_STRIPE_SECRET_KEY"}
    for name, whose in (keys | storages).items():
        assert {service for service in PROCESSES if name in names_of(service)} == whose, name


@pytest.mark.parametrize("service", [*ServiceName, "web", "ops"])
def test_a_process_runs_its_own_service(service: str) -> None:
    program = ["ticketkit-marketplace"] if service in ("web", "ops") else ["ticketkit", "serve"]
    assert SERVICES[service]["command"] == [*program, service, "--host", "0.0.0.0", "--port", "8000"]  # noqa: S104 in its container
    assert SERVICES[service]["environment"]["TICKETKIT_ENVIRONMENT"] == "production"


@pytest.mark.parametrize("service", [*PROCESSES, "ops"])
def test_a_process_is_not_killed_while_it_stops(service: str) -> None:
    """A stop takes the time to drain twice at most: requests, then the outbox and the handlers."""
    drain = float(SERVICES[service]["environment"]["TICKETKIT_DRAIN"])
    assert float(SERVICES[service]["stop_grace_period"].removesuffix("s")) > 2 * drain


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_can_do_little(service: str) -> None:
    told = SERVICES[service]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert set(told.get("cap_add", ())) <= {"CHOWN", "NET_BIND_SERVICE"}
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert ":" in told["image"]
    assert not told["image"].endswith(":latest")
    if service != "ownership":
        assert set(told["deploy"]["resources"]["limits"]) == {"cpus", "memory"}


def test_only_the_gateway_is_reached_from_other_machines() -> None:
    open_to_all = {
        service
        for service, told in SERVICES.items()
        for port in told.get("ports", ())
        if not port.startswith("127.0.0.1:")
    }
    assert open_to_all == {"gateway"}
    assert COMPOSE["networks"]["back"] == {"internal": True}
    for server in ("postgresql", "nats", "redis"):
        assert SERVICES[server]["networks"] == ["back"]


def test_the_schema_is_there_before_a_process_that_needs_it_starts() -> None:
    boundaries = {
        "TICKETKIT_AUTH_STORAGE_URL": "migrate-accounts",
        "TICKETKIT_STORAGE_URL": "migrate-inventory",
        "TICKETKIT_PAYMENTS_STORAGE_URL": "migrate-payments",
    }
    for service in (*PROCESSES, "ops"):
        for name, job in boundaries.items():
            if name in names_of(service):
                assert SERVICES[service]["depends_on"][job]["condition"] == "service_completed_successfully"
                assert SERVICES[service]["environment"][name].endswith("migrate=no")


@pytest.mark.parametrize("job", MIGRATIONS)
def test_a_migration_runs_as_the_owner_of_the_tables(job: str) -> None:
    assert SERVICES[job]["environment"]["TICKETKIT_STORAGE_URL"].startswith("postgresql://migrations:")


def test_files_that_are_mounted_exist() -> None:
    mounts = [one for told in SERVICES.values() for one in told.get("volumes", ()) if one.startswith("./")]
    assert len(mounts) > 5
    for mount in mounts:
        assert (DEPLOY / mount.split(":")[0]).is_file(), mount
        assert mount.endswith(":ro")


def test_volumes_that_are_used_are_declared() -> None:
    used = {
        one.split(":")[0] for told in SERVICES.values() for one in told.get("volumes", ()) if not one.startswith("./")
    }
    assert used == set(COMPOSE["volumes"])


def test_the_variables_of_ours_are_many() -> None:
    """That the check above looks at something."""
    assert len({name for service in PROCESSES for name in names_of(service)} & OURS) > 10
