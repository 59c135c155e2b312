"""The manifests, as they are and as kustomize renders them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from deploy.files import DEPLOY, documents

KUBERNETES: Final = DEPLOY / "kubernetes"
OVERLAYS: Final = ("development", "production")
VERSION: Final = "1.34"
"""Of Kubernetes: the oldest one whose schemas are looked at."""
NOT_SENT: Final = frozenset({"kustomization.yaml"})
"""Files that kustomize reads itself."""
Document = dict[str, Any]


def manifests() -> list[Path]:
    """Files with resources; patches and kustomizations are none."""
    found = []
    for folder in sorted(path.parent for path in KUBERNETES.rglob("kustomization.yaml")):
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
        found += [folder / name for name in listed if name.endswith(".yaml")]
    return found


def kustomize() -> list[str] | None:
    """The command that renders a folder, if this machine has one."""
    if (alone := shutil.which("kustomize")) is not None:
        return [alone, "build"]
    within = shutil.which("kubectl")
    return None if within is None else [within, "kustomize"]


@cache
def rendered(overlay: str) -> tuple[Document, ...]:
    """What an overlay sends to the cluster."""
    command = kustomize()
    assert command is not None
    done = subprocess.run(
        [*command, KUBERNETES / "overlays" / overlay], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def base() -> list[Document]:
    """All documents of the base."""
    return [one for path in manifests() if path.parent.name == "base" for one in documents(path)]


def pods(found: list[Document] | tuple[Document, ...]) -> Iterator[tuple[str, Document]]:
    """Specifications of pods, by the name of what makes them."""
    for one in found:
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def settings() -> dict[str, str]:
    """Of the base, for all processes."""
    lines = (KUBERNETES / "base" / "settings.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def secrets(environment: Mapping[str, str], *arguments: str) -> dict[str, dict[str, str]]:
    """What `make_secrets.py` prints, by name of the Secret."""
    done = subprocess.run(
        [sys.executable, KUBERNETES / "make_secrets.py", *arguments],
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return {one["metadata"]["name"]: one["stringData"] for one in json.loads(done.stdout)["items"]}


def environment(container: Document, secret: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What a container is told, with Secrets put in."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= settings() if "configMapRef" in source else secret[source["secretRef"]["name"]]
    for one in container.get("env", ()):
        if "value" in one:
            found[one["name"]] = one["value"]
            continue
        wanted = one["valueFrom"]["secretKeyRef"]
        value = secret[wanted["name"]].get(wanted["key"])
        assert value is not None or wanted.get("optional"), wanted
        if value is not None:
            found[one["name"]] = value
    return found
