"""The arrows between the parts of the product, drawn from its imports."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"oms_es": "oms_es", "projections": "oms_es.projections", "cli": "oms_es.cli"}

# A part imports what stands in its own row or above. A folder is one part; "oms_es" is oms_es/__init__.py.
RANKS = (
    ("vocabulary", "decimals", "errors", "files", "instants", "identifiers"),
    ("events", "commands", "envelope"),
    (
        "accounting",
        "risk",
        "policy",
        "order",
        "given",
        "executions",
        "corrections",
        "quarantine",
        "fills",
        "linking",
        "deciding",
        "recall",
    ),
    ("codec",),
    ("log",),
    ("projections",),
    (
        "settings",
        "refusals",
        "command_result",
        "idempotency",
        "inputs",
        "moment",
        "ruling",
        "locating",
        "handling",
        "reading",
        "views",
        "summary",
        "callbacks",
        "keeper",
        "live",
        "metrics",
        "saying",
        "watching",
        "sequencer",
        "explaining",
        "verdicts",
        "checking",
        "reaching",
        "claims",
        "known_names",
        "replay",
        "bisecting",
        "what_if",
        "box",
        "exporting",
    ),
    ("risk_manager", "session", "order_desk", "fill_desk", "risk_desk", "reading_desk", "oms", "importers"),
    ("cli", "oms_es"),
)
RANK = {part: rank for rank, parts in enumerate(RANKS) for part in parts}

HOMES = {
    "eventsourcing": "oms_es.log",
    "sqlite_utils": "oms_es.projections.tables",
    "typer": "oms_es.cli",
    "rich": "oms_es.cli",
}

PURE = {"decimals", "events", "commands", "envelope", "accounting", "risk", "policy", "order", "given", "fills"}
PURE |= {
    "executions",
    "corrections",
    "quarantine",
    "linking",
    "locating",
    "deciding",
    "recall",
    "codec",
    "projections",
    "moment",
    "ruling",
    "handling",
}
NOT_PURE = {"oms_es.projections.tables", "oms_es.projections.checkpoints", "oms_es.projections.kept"}
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


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def rank(module: str) -> int:
    assert part(module) in RANK, f"{module} has no place among the layers: add {part(module)!r} to RANKS in {__file__}"
    return RANK[part(module)]


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
def test_a_module_imports_only_what_its_rank_allows(module: str) -> None:
    own_rank = rank(module)

    against = [target for target in own_imports(module) if rank(target) > own_rank]

    assert not against, f"{module} must not know of {', '.join(against)}"


def test_the_ranks_name_only_what_exists() -> None:
    gone = set(RANK) - {part(module) for module in FILES}

    assert not gone


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
    pure = [module for module in FILES if part(module) in PURE and module not in NOT_PURE]

    found = [impurity for module in pure for impurity in impurities(module)]

    assert not found, "; ".join(found)


@pytest.mark.parametrize("module", FILES)
def test_a_module_can_be_read_in_one_sitting(module: str) -> None:
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= MAX_LINES
