"""What every public module promises: names that resolve, a docstring on each, types for those who check them."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(path for source in (ROOT, *ROOT.glob("*/*")) for path in source.glob("src/*") if path.is_dir())


def _modules() -> list[str]:
    """The public modules of every distribution, by name, found without importing them."""
    files = (
        (file.relative_to(package.parent).with_suffix("").parts, file)
        for package in PACKAGES
        for file in package.rglob("*.py")
    )
    names = (parts[:-1] if file.name == "__init__.py" else parts for parts, file in files)
    # Migrations are loaded by Alembic, by path; what begins with an underscore is nobody's business.
    return sorted(".".join(parts) for parts in names if not any(p.startswith("_") or p == "migrations" for p in parts))


def _public(module: ModuleType) -> dict[str, object]:
    """What a module offers: what it names in `__all__`, else what it defines without an underscore."""
    if (names := getattr(module, "__all__", None)) is not None:
        return {name: getattr(module, name) for name in names}
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


def _has_docstring(value: object) -> bool:
    if inspect.isclass(value):
        doc = vars(value).get("__doc__") or ""
        return bool(doc) and not doc.startswith(f"{value.__name__}(")  # what a dataclass writes for want of one
    return bool(inspect.getdoc(value))


@pytest.mark.parametrize("name", _modules())
def test_every_name_in_all_resolves(name: str) -> None:
    module = importlib.import_module(name)
    names = getattr(module, "__all__", ())
    assert [n for n in names if not hasattr(module, n)] == []
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", _modules())
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    definitions = {n: v for n, v in _public(module).items() if inspect.isclass(v) or inspect.isroutine(v)}
    assert [n for n, value in definitions.items() if not _has_docstring(value)] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_package_is_typed(package: Path) -> None:
    assert (package / "py.typed").is_file()
