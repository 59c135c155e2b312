"""skaffold.yaml: its structure, and that what it names is there.

The structure is written down here from skaffold's own schema of v4beta13
(https://skaffold.dev/docs/references/yaml/), as far as it is used: skaffold is not run.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import jsonschema
import pytest
from deploy.files import DEPLOY, ROOT, read, stages

CONFIG: dict[str, Any] = read("skaffold.yaml")


def closed(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
TEXTS = {"type": "array", "items": TEXT}
SYNC = closed(manual={"type": "array", "items": closed(("src", "dest"), src=TEXT, dest=TEXT, strip=TEXT)})
KANIKO = closed(dockerfile=TEXT, target=TEXT, skipUnusedStages=FLAG, cache=closed(repo=TEXT, ttl=TEXT))
DOCKER = closed(dockerfile=TEXT, target=TEXT)
ARTIFACT = closed(("image",), image=TEXT, context=TEXT, sync=SYNC, kaniko=KANIKO, docker=DOCKER)
BUILD = {
    **closed(
        artifacts={"type": "array", "items": ARTIFACT},
        tagPolicy=closed(inputDigest=closed()),
        cluster=closed(namespace=TEXT, dockerConfig=closed(secretName=TEXT, path=TEXT)),
        googleCloudBuild=closed(projectId=TEXT),
        local=closed(push=FLAG, useBuildkit=FLAG),
    ),
    "oneOf": [{"required": [kind]} for kind in ("cluster", "googleCloudBuild", "local")],
}
MANIFESTS = closed(kustomize=closed(paths=TEXTS, buildArgs=TEXTS))
HOOK = closed(host=closed(("command",), command=TEXTS, dir=TEXT))
DEPLOYMENT = closed(kubectl=closed(hooks=closed(before={"type": "array", "items": HOOK})))
PROFILE = closed(("name",), name=TEXT, build=BUILD, manifests=MANIFESTS, deploy=DEPLOYMENT)
FORWARD = closed(
    resourceType=TEXT, resourceName=TEXT, namespace=TEXT, port={"type": "integer"}, localPort={"type": "integer"}
)
SCHEMA = closed(
    ("apiVersion", "kind"),
    apiVersion={"const": "skaffold/v4beta13"},
    kind={"const": "Config"},
    metadata=closed(name=TEXT),
    build=BUILD,
    manifests=MANIFESTS,
    deploy=DEPLOYMENT,
    portForward={"type": "array", "items": FORWARD},
    profiles={"type": "array", "items": PROFILE},
)
BUILDS = {"": CONFIG["build"], **{one["name"]: one["build"] for one in CONFIG["profiles"]}}


def test_it_is_as_skaffold_wants_it() -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(CONFIG)


@pytest.mark.parametrize("profile", BUILDS)
def test_what_is_built_is_there(profile: str) -> None:
    for artifact in BUILDS[profile]["artifacts"]:
        assert (DEPLOY / artifact["context"]).resolve() == ROOT
        told = artifact.get("kaniko") or artifact["docker"]
        assert ROOT / told["dockerfile"] == DEPLOY / "Dockerfile"
        assert told["target"] in stages()
        assert artifact["image"] == "ticketkit-marketplace"


@pytest.mark.parametrize("profile", [name for name in BUILDS if name != "production"])
def test_sources_that_are_saved_go_where_the_image_has_them(profile: str) -> None:
    [artifact] = BUILDS[profile]["artifacts"]
    rules = artifact["sync"]["manual"]
    for path in (
        "src/ticketkit/marketplace.py",
        "plugins/ticketkit-nats/src/ticketkit_nats/bus.py",
        "examples/marketplace/src/ticketkit_marketplace/cli.py",
        "examples/marketplace/src/ticketkit_marketplace/web/static/app.js",
    ):
        assert (ROOT / path).is_file()
        assert any(fnmatch(path, rule["src"]) for rule in rules), path
    assert {rule["dest"] for rule in rules} == {"/app"}
    watched = stages()["development"].all("CMD")[0]
    assert all(f'"/app/{folder}"' in watched for folder in ("src", "plugins", "examples"))


def test_manifests_that_are_named_exist() -> None:
    for told in (CONFIG, *CONFIG["profiles"]):
        for path in told.get("manifests", {}).get("kustomize", {}).get("paths", ()):
            assert (DEPLOY / path / "kustomization.yaml").is_file()
