"""The shape of the house: who imports whom, how long files and functions are, what must stand nowhere."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from striate.model import zoo

SOURCE = Path(__file__).parents[1] / "src" / "striate"
GROUND = {"base"}
MODELS = {"base", "data", "nn", "metric", "model", "task"}
MEETING = MODELS | {"engine", "evaluate", "inside", "predict"}  # what one run is put together from
FINISHED = {"base", "data", "metric", "model", "task", "evaluate", "run"}  # what runs are planned and judged by
READERS = {"base", "metric", "task", "evaluate", "inside", "predict", "verdict", "diagnose"}
MAY_IMPORT = {
    "base": set(),
    "data": GROUND,
    "nn": GROUND,
    "web": GROUND,
    "metric": GROUND,
    "model": GROUND | {"nn"},
    "task": GROUND | {"data", "nn", "metric", "model"},
    "engine": MODELS,
    "evaluate": MODELS,
    "inside": MODELS,
    "predict": MODELS,
    "run": MEETING | {"transfer"},
    "transfer": MEETING | {"run"},
    "diagnose": FINISHED,
    "verdict": FINISHED | {"diagnose"},
    "studies": FINISHED | {"verdict", "diagnose"},
    "estimators": MEETING | {"run"},
    "search": {"base", "data", "metric", "evaluate", "model", "run", "studies"},
    "report": READERS,
    "explore": READERS | {"web"},
    "export": {"base", "data", "metric", "model", "task", "evaluate", "predict"},
    "serve": {"base", "data", "model", "task", "predict", "export", "web"},
}
EVERYTHING = {"__main__", "api", "cli", "__init__"}
FILES = sorted(SOURCE.rglob("*.py"))


def area_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported_areas(path: Path, tree: ast.AST) -> set[str]:
    """The areas a file imports, in absolute, relative and `from striate import x` form."""
    package = ["striate", *path.relative_to(SOURCE).parts[:-1]]
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names += [f"{module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("striate.")} - {"__version__"}


def test_data_flows_one_way():
    wrong = {}
    for path in FILES:
        area = area_of(path)
        if area not in EVERYTHING:
            assert area in MAY_IMPORT, f"{area} is not in the import table"
            others = imported_areas(path, tree_of(path)) - {area} - MAY_IMPORT[area]
            wrong |= {str(path.relative_to(SOURCE)): others} if others else {}
    assert wrong == {}


def test_the_import_check_sees_every_form():
    path = SOURCE / "data" / "x.py"
    for line in (
        "import striate.engine.loop",
        "from striate.engine import loop",
        "from striate import engine",
        "from ..engine import loop",
        "from .. import engine",
    ):
        assert imported_areas(path, ast.parse(line)) == {"engine"}, line


def test_files_and_functions_are_short():
    long = {}
    for path in FILES:
        name = str(path.relative_to(SOURCE))
        long |= {name: lines} if (lines := path.read_text().count("\n")) > 400 else {}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                size = (body[-1].end_lineno or 0) - body[0].lineno + 1
                long |= {f"{name}: {node.name}": size} if size > 60 else {}
    assert long == {}


FORBIDDEN: dict[str, set[str]] = {
    r"\bpickle\b(?!\W*(anywhere|=False))": set(),
    r"torch\.load\(": {"model/import_weights.py"},  # weights_only, in a child process with limits
    r"(?<![\w.])eval\(": set(),
    r"extractall": set(),
    r"yaml\.load\(": set(),
    r"innerHTML": set(),
    r"open\([^)]*[\"'][wax]b?\+?[\"']": {
        "base/files.py",
        "data/store.py",
        "data/planes.py",
    },  # they write their maps inside `files.whole_folder`
    r"write_(?:text|bytes)\((?=[\"'])|\.write_text\(|\.write_bytes\(": {"data/store.py"},
}


@cache
def texts() -> dict[str, str]:
    paths = [*FILES, *SOURCE.rglob("*.js")]
    return {str(path.relative_to(SOURCE)): path.read_text() for path in paths}


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_dangerous_calls_stand_nowhere(pattern):
    suspects = {name: text for name, text in texts().items() if re.search(pattern, text)}
    codes = {name: without_docstrings(text) if name.endswith(".py") else text for name, text in suspects.items()}
    assert {name for name, code in codes.items() if re.search(pattern, code)} <= FORBIDDEN[pattern]


KINDS = {"label", "tags", "value", "number", "angle", "mask", "box", "boxes", "points", "image"}
KNOW_KINDS = {"task"}  # and data/target: tasks say which targets they take


def asks_for_kind(node: ast.AST) -> bool:
    """Whether an expression is a kind: `kind`, `x.kind`, `x["kind"]`, or a call such as `at(x, "task.kind")`."""
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr) == "kind"
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == "kind"
    words = [one.value for one in getattr(node, "args", ()) if isinstance(one, ast.Constant)]
    return isinstance(node, ast.Call) and any(str(word).split(".")[-1] == "kind" for word in words)


def names_kinds(node: ast.AST | None) -> bool:
    """Whether an expression is the name of a kind, or several of them."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(names_kinds, node.elts))
    return isinstance(node, ast.Constant) and node.value in KINDS


def kinds_asked_for(tree: ast.AST) -> list[int]:
    """The lines that compare a target's kind with a name, match it, or look it up in a table of names."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            is_asking = any(map(asks_for_kind, sides)) and any(map(names_kinds, sides))
        elif isinstance(node, ast.Match):
            patterns = [case.pattern for case in node.cases]
            values = [one.value for pattern in patterns for one in ast.walk(pattern) if isinstance(one, ast.MatchValue)]
            is_asking = asks_for_kind(node.subject) and any(map(names_kinds, values))
        elif isinstance(node, ast.Subscript):
            is_asking = asks_for_kind(node.slice) and is_table_of_kinds(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            is_asking = bool(node.args) and asks_for_kind(node.args[0]) and is_table_of_kinds(node.func.value)
        else:
            is_asking = False
        found += [node.lineno] if is_asking else []
    return found


def is_table_of_kinds(node: ast.AST) -> bool:
    return isinstance(node, ast.Dict) and any(map(names_kinds, node.keys))


@pytest.mark.parametrize(
    "line",
    [
        'target.kind == "label"',
        '"tags" != kind',
        'found.kind not in {"label", "tags"}',
        'info["task"]["kind"] == "value"',
        'at(info, "task.kind") == "label"',
        '{"label": 1, "tags": 2}[target.kind]',
        '{"label": 1, "tags": 2}.get(kind, 3)',
        'match target.kind:\n    case "mask":\n        pass',
    ],
)
def test_the_check_of_kinds_sees_every_form(line):
    assert len(kinds_asked_for(ast.parse(line))) == 1


@pytest.mark.parametrize("line", ["target.kind == other.kind", 'finding.kind == "tiny"', 'array.dtype.kind in "US"'])
def test_the_check_of_kinds_sees_nothing_else(line):
    assert not kinds_asked_for(ast.parse(line))


def test_nobody_asks_a_target_for_its_kind():
    asking = {}
    for path in FILES:
        parts = path.relative_to(SOURCE).parts
        if parts[0] not in KNOW_KINDS and parts[:2] != ("data", "target"):
            lines = kinds_asked_for(tree_of(path))
            asking |= {str(path.relative_to(SOURCE)): lines} if lines else {}
    assert asking == {}


def without_docstrings(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return ast.unparse(tree)


@pytest.mark.parametrize("arguments", [["-h"], ["--version"], ["train", "-h"], ["recipes"], ["models"]])
def test_the_command_starts_without_torch(arguments):
    start = f"import sys; from striate.cli.app import run; code = run({arguments!r})"
    code = start + "; sys.exit(code + ('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_base_import_table_has_no_unknown_area():
    assert {area_of(path) for path in FILES} <= MAY_IMPORT.keys() | EVERYTHING


BLOCKS_OF_THAT_NAME = {
    **dict.fromkeys(
        ("rnn", "lstm", "gru"), ("nn/blocks/recurrent.py",)
    ),  # blocks that have the name of the network they come from
    "xception": {"model/blocks.py", "model/blueprint.py", "nn/blocks/__init__.py"},
    "neocognitron": {"model/draw.py"},
}


def names_in(text: str) -> set[str]:
    """Texts in a file's code that are the name of a network."""
    tree = ast.parse(without_docstrings(text))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts & set(zoo.names())


def test_no_network_is_named_outside_the_zoo():
    quoted, named = re.compile(f"""["'](?:{"|".join(zoo.names())})["']"""), {}
    for name, text in texts().items():
        if name.endswith(".py") and not name.startswith("model/zoo/") and quoted.search(text):
            found = {one for one in names_in(text) if name not in BLOCKS_OF_THAT_NAME.get(one, ())}
            named |= {name: found} if found else {}
    assert named == {}


def test_the_look_for_names_of_networks_sees_them():
    assert names_in('"""mlp"""\nx = {"resnet18": 1}') == {"resnet18"}


def test_every_file_beside_the_code_goes_into_the_wheel():
    """`pip install` of the wheel has what `package-data` names, and nothing else that is no module."""
    settings = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["striate"]
    given = {path for pattern in patterns for path in SOURCE.glob(pattern)}
    beside = {path for path in SOURCE.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
    assert beside and beside <= given, sorted(map(str, beside - given))
