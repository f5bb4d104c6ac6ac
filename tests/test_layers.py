"""The arrows between the parts of the product, drawn from its imports."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"oms_es": "oms_es", "projections": "oms_es.projections", "cli": "oms_es.cli"}

# A package imports itself and what is in a row above its own; packages of one row do not know each other.
# "base" are the modules beside the packages, "root" the public names: oms_es/__init__.py and oms_es/metrics.py.
RANKS = (
    ("base",),
    ("domain",),
    ("log",),
    ("projections",),
    ("engine", "queries", "proof"),
    ("audit", "importers"),
    ("api",),
    ("root",),
    ("venues",),
    ("compat", "report"),
    ("cli",),
)
RANK = {package: rank for rank, packages in enumerate(RANKS) for package in packages}
BASE = {"vocabulary", "decimals", "identifiers", "timestamps", "errors", "files"}
ROOT_MODULES = {"oms_es", "oms_es.metrics", "oms_es.sync"}
CLI_MODULES = {"oms_es.__main__"}  # `python -m oms_es`

HOMES = {
    "aiohttp": "oms_es.venues.deltadefi",
    "ccxt": "oms_es.venues.ccxt",
    "eventsourcing": "oms_es.log",
    "sqlite_utils": "oms_es.projections.tables",
    "typer": "oms_es.cli",
    "rich": "oms_es.cli",
    "starlette": "oms_es.report.server",
    "uvicorn": "oms_es.cli.commands.serve",
}

PURE: tuple[str, ...] = ("oms_es.decimals", "oms_es.domain", "oms_es.log.codec", "oms_es.projections")
PURE += ("oms_es.engine.admin_commands", "oms_es.engine.command_handler", "oms_es.engine.decision_time")
PURE += ("oms_es.engine.order_lookup",)
NOT_PURE = {  # of the projections: those with files, and the API's views, whose floats the spec asks for
    "oms_es.projections.views",
    "oms_es.projections.tables",
    "oms_es.projections.snapshots.positions_at",
    "oms_es.projections.snapshots.state_store",
}
CLOCKS_AND_CHANCE = {"os", "random", "secrets", "time", "uuid", "uuid.uuid1", "uuid.uuid4"}
IMPURE_CALLS = {"float", "datetime.now", "datetime.today", "datetime.utcnow", "date.today"}

MAX_LINES = 450


def product_files() -> Iterator[tuple[str, Path]]:
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            steps = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join((package, *steps)).removesuffix(".__init__"), path


FILES = dict(product_files())
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in FILES.items()}


def package_of(module: str) -> str:
    if module in ROOT_MODULES:
        return "root"
    if module in CLI_MODULES:
        return "cli"
    name = module.split(".")[1]
    return "base" if name in BASE else name


def rank(module: str) -> int:
    name = package_of(module)
    assert name in RANK, f"{module} has no place among the layers: put it into a package, or {name!r} into RANKS"
    return RANK[name]


def is_allowed(module: str, target: str) -> bool:
    return package_of(module) == package_of(target) or rank(target) < rank(module)


def imported(module: str) -> Iterator[str]:
    """Yield the full names that `module` imports, at its top or in a function."""
    package = module if FILES[module].stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{source}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> set[str]:
    """Return the product's modules that `module` imports; for `from oms_es.x import name` that is `oms_es.x`."""
    names = [name for name in imported(module) if top(name) == "oms_es"]
    return {name if name in FILES else name.rpartition(".")[0] for name in names}


def top(name: str) -> str:
    return name.partition(".")[0]


def impurities(module: str) -> Iterator[str]:
    for name in imported(module):
        if name in CLOCKS_AND_CHANCE or (top(name) in CLOCKS_AND_CHANCE and top(name) != "uuid"):
            yield f"{module} imports {name}"
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call) and ".".join(ast.unparse(node.func).split(".")[-2:]) in IMPURE_CALLS:
            yield f"{module}:{node.lineno} calls {ast.unparse(node.func)}"


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_from_packages_below_its_own(module: str) -> None:
    against = [target for target in own_imports(module) if not is_allowed(module, target)]

    assert not against, f"{module} must not import {', '.join(against)}"


def test_the_ranks_name_only_what_exists() -> None:
    assert set(RANK) == {package_of(module) for module in FILES}
    assert {f"oms_es.{name}" for name in BASE} | ROOT_MODULES <= set(FILES)


def test_no_imports_go_round_in_a_circle() -> None:
    try:
        TopologicalSorter({module: own_imports(module) for module in FILES}).prepare()
    except CycleError as error:
        pytest.fail(" is imported by ".join(error.args[1]))


@pytest.mark.parametrize(("library", "home"), HOMES.items())
def test_a_library_is_imported_in_one_place_only(library: str, home: str) -> None:
    users = [module for module in FILES if library in map(top, imported(module))]

    strangers = [user for user in users if not f"{user}.".startswith(f"{home}.")]

    assert not strangers, f"{library} is for {home}, not for {', '.join(strangers)}"


def test_what_decides_or_replays_has_no_clock_no_chance_and_no_float() -> None:
    pure = [module for module in FILES if f"{module}.".startswith(tuple(f"{name}." for name in PURE))]

    found = [impurity for module in pure if module not in NOT_PURE for impurity in impurities(module)]

    assert not found, "; ".join(found)


@pytest.mark.parametrize("module", FILES)
def test_a_module_can_be_read_in_one_sitting(module: str) -> None:
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= MAX_LINES
