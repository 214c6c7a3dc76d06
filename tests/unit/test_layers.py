"""The dependency rule, read from the source: what each layer may import and ask of the world."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 400
FUNCTION_LINES_MAX = 70
STDLIB = sys.stdlib_module_names

# The core: each layer with everything it may import beside the standard library and itself.
# A `cli` module is not core: it only shows a layer on the terminal.
MAY_IMPORT = {
    "stream.domain": {"msgspec", "stream.limits"},
    "stream.policy": {"msgspec", "stream.domain", "stream.errors", "stream.limits"},
    # numpy hashes a batch of keys at once; the version goes into a dead letter's audit.
    "stream.codec": {"cryptography", "msgspec", "numpy", "stream", "stream.domain",
                     "stream.errors", "stream.limits", "stream.ports"},
    # numpy arrays are what a model takes and gives, so they are part of the scoring vocabulary.
    "stream.scoring": {"msgspec", "numpy", "stream.domain", "stream.errors", "stream.limits"},
    "stream.ports": {"numpy", "stream.domain", "stream.scoring"},
    # The version goes into every decision's provenance.
    "stream.compose": {"msgspec", "stream", "stream.codec", "stream.domain", "stream.limits",
                       "stream.policy", "stream.ports", "stream.scoring"},
    "stream.batch": {"stream.codec", "stream.compose", "stream.domain", "stream.errors",
                     "stream.policy", "stream.ports"},
    "stream.lineup": {"numpy", "stream.batch", "stream.compose", "stream.domain", "stream.errors",
                      "stream.policy", "stream.ports", "stream.scoring"},
    "stream.strays": {"stream.batch", "stream.codec", "stream.domain", "stream.errors",
                      "stream.limits", "stream.ports"},
    "stream.encode": {"stream.batch", "stream.codec", "stream.domain", "stream.ports"},
    "stream.pipeline": {"msgspec", "numpy", "stream.batch", "stream.codec", "stream.compose",
                        "stream.domain", "stream.encode", "stream.errors", "stream.limits",
                        "stream.lineup", "stream.policy", "stream.ports", "stream.scoring",
                        "stream.strays"},
    "stream.switching": {"stream.batch", "stream.codec", "stream.domain", "stream.lineup",
                         "stream.pipeline", "stream.policy", "stream.ports"},
    "stream.ending": {"stream.domain", "stream.errors", "stream.ports"},
    "stream.world": {"stream.batch", "stream.domain", "stream.errors", "stream.ports"},
    "stream.worker": {"stream.batch", "stream.domain", "stream.ending", "stream.errors",
                      "stream.limits", "stream.pipeline", "stream.ports", "stream.world"},
    # An auditor decides again with the same pipeline, so what it may import the audit may.
    "stream.audit": {"cryptography", "msgspec", "numpy", "stream.batch", "stream.codec",
                     "stream.compose", "stream.domain", "stream.errors", "stream.limits",
                     "stream.lineup", "stream.pipeline", "stream.policy", "stream.ports",
                     "stream.scoring"},
    # What the watch says must be the same after a restart, so it is core too.
    "stream.watch": {"msgspec", "stream.domain", "stream.policy", "stream.ports", "stream.scoring"},
    # Offers must be the same from the same profiles, whoever screens; columns are its speed.
    "stream.screening": {"msgspec", "numpy", "stream.domain", "stream.errors", "stream.policy",
                         "stream.ports", "stream.scoring"},
    # A trial's end must be the same from the same records, whoever looks.
    "stream.trials": {"msgspec", "numpy", "stream.domain", "stream.watch"},
    "stream.errors": set(),
    "stream.limits": set(),
}  # fmt: skip

OUTSIDE = {
    "confluent_kafka": {"edge", "ops", "loop", "broker", "conform", "demo", "disbursement"},
    "kafka": {"ops", "conform"},
    "faust": {"loop"},
    "onnxruntime": {"edge"},
    "lmdb": {"edge"},
    "pyarrow": {"ops"},
    # What only learning needs stays out of the engine, whose image does not have it.
    "lightgbm": {"lab"},
    "optbinning": {"lab"},
    "sklearn": {"lab"},
    # `config` asks the machine's name only.
    "socket": {"edge", "ops", "loop", "broker", "demo", "disbursement", "config"},
    "http": {"edge"},
    "prometheus_client": {"obs", "edge"},
}

MAY_IMPORT_EDGE = {"edge", "cli", "__main__", "ops", "conform", "demo", "disbursement", "loop"}

# What makes a decision depend on when or where it was made.
UNREPEATABLE_MODULES = {
    "asyncio", "http", "random", "secrets", "socket", "sqlite3", "subprocess", "threading", "time",
    "urllib", "uuid",
}  # fmt: skip
UNREPEATABLE_CALLS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "os.environ", "os.getenv",
    "os.urandom",
}  # fmt: skip


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every imported module, at any depth of the file, under its full name."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            # `from stream import errors` imports a module, `from stream import __version__` not.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name for name in names if name in MODULES]
            yield from found if len(found) == len(names) else [node.module, *found]


FILES = sorted(path for path in (ROOT / "stream").rglob("*.py"))
MODULES = {module_name(path) for path in FILES}
CORE = [
    path
    for path in FILES
    if any(f"{module_name(path)}.".startswith(f"{layer}.") for layer in MAY_IMPORT)
    and path.name != "cli.py"
]


def place_of(path: Path) -> str:
    """The part of the project a file belongs to, such as `edge` or `cli`."""
    return path.relative_to(ROOT / "stream").with_suffix("").parts[0]


def within(name: str, layers: set[str]) -> bool:
    # `stream` itself stands for the package's version, not for all that is in it.
    return any(name == layer or (layer != "stream" and name.startswith(f"{layer}."))
               for layer in layers)  # fmt: skip


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of what a function does; its signature and docstring are there to be read more."""
    first = node.body[1:2] if ast.get_docstring(node) else node.body[:1]
    return (node.end_lineno or 0) - first[0].lineno + 1 if first else 0


def test_the_files_are_found() -> None:
    """The rules below look at the code and not at an empty list."""
    assert set(MAY_IMPORT) <= MODULES
    assert len(FILES) > 50


@pytest.mark.parametrize("path", CORE, ids=shown)
def test_the_core_imports_only_what_its_layer_may(path: Path) -> None:
    """A layer knows itself and what lies below it: no client, no edge, no screen."""
    layer = next(each for each in MAY_IMPORT if f"{module_name(path)}.".startswith(f"{each}."))
    foreign = {
        name
        for name in imports(path)
        if name.partition(".")[0] not in STDLIB and not within(name, {layer, *MAY_IMPORT[layer]})
    }
    assert set() == foreign


@pytest.mark.parametrize("path", CORE, ids=shown)
def test_the_core_is_repeatable(path: Path) -> None:
    """No clock, chance or environment: the same input gives the same decision for ever."""
    asked = {name for name in imports(path) if name.partition(".")[0] in UNREPEATABLE_MODULES}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            asked |= {
                call for call in UNREPEATABLE_CALLS if f".{ast.unparse(node)}".endswith(f".{call}")
            }
    assert set() == asked


@pytest.mark.parametrize("client", sorted(OUTSIDE))
def test_a_client_is_known_in_its_places_only(client: str) -> None:
    """Whoever talks to the world is in a place named for it."""
    users = {
        shown(path)
        for path in FILES
        if any(name.partition(".")[0] == client for name in imports(path))
        and place_of(path) not in OUTSIDE[client]
    }
    assert set() == users


def test_only_the_outermost_places_import_the_edge() -> None:
    """The edge is wired at the outside and known to nothing further in."""
    users = {
        shown(path)
        for path in FILES
        if any(within(name, {"stream.edge"}) for name in imports(path))
        and place_of(path) not in MAY_IMPORT_EDGE
    }
    assert set() == users


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_files_and_functions_stay_short(path: Path) -> None:
    """A file and a function are read in one sitting."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX
    functions = [
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {node.name for node in functions if body_lines(node) > FUNCTION_LINES_MAX}
    assert set() == long
