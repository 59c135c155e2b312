"""Nothing secret is in the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from deploy.files import DEPLOY, ROOT, interpolated, read
from deploy.stack import program

PATTERNS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a key of Stripe's": re.compile(r"\b(?:sk|rk)_live_[A-Za-z0-9]{10,}|\bwhsec_[A-Za-z0-9+/]{32,}"),
    "a long password in a URL": re.compile(r"://[^\s/:@$]*:[A-Za-z0-9+/_-]{20,}@"),
    "a long value of a secret's name": re.compile(
        r"(?:PASSWORD|SECRET|PRIVATE_KEY|TOKEN)['\"]?\s*[:=]\s*['\"]?[A-Za-z0-9+/]{24,}"
    ),
}


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this is no clone")
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_no_file_has_what_seems_to_be_a_secret() -> None:
    found = []
    for path in tracked():
        if not path.is_file() or path.suffix in (".png", ".lock"):
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {what}" for what, pattern in PATTERNS.items() if pattern.search(text)]
    assert found == []


@pytest.mark.parametrize("name", [".env", "examples/marketplace/deploy/.env"])
def test_what_has_the_secrets_is_not_committed(name: str) -> None:
    done = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False)
    if done.returncode == 128:
        pytest.skip("this is no clone")
    assert done.returncode == 0


def test_what_seems_to_be_a_secret_is_found() -> None:
    key = subprocess.run([program("ticketkit"), "keys", "new"], capture_output=True, text=True, check=True).stdout
    assert PATTERNS["a private key"].search(key)
    assert PATTERNS["a long password in a URL"].search("postgresql://shop:" + "0123456789abcdef01234@db/shop")
    assert PATTERNS["a key of Stripe's"].search("sk_" + "live_" + "0123456789abcdef")
    assert PATTERNS["a long value of a secret's name"].search("NATS_PASSWORD=" + "0123456789abcdef" * 2)
    assert not PATTERNS["a long password in a URL"].search("postgresql://shop:${INVENTORY_PASSWORD}@db/shop")


def test_the_lines_of_the_how_to_write_an_env_file_that_is_complete(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    [block] = [block for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if "umask" in block]
    shutil.copy(DEPLOY / ".env.example", tmp_path)
    path = f"{Path(program('ticketkit')).parent}:/usr/bin:/bin"
    subprocess.run(["bash", "-euc", block], cwd=tmp_path, env={"PATH": path}, check=True, timeout=60)
    made = tmp_path / ".env"
    assert made.stat().st_mode & 0o077 == 0
    lines = [line.split("=", 1) for line in made.read_text(encoding="utf-8").splitlines() if re.match(r"\w+=", line)]
    variables = {name: value.strip("'") for name, value in lines}
    assert len(variables) == len(lines)
    told = interpolated(read("compose.yaml"), variables)["services"]
    assert "PRIVATE KEY" in told["auth"]["environment"]["TICKETKIT_SESSION_PRIVATE_KEY"]
