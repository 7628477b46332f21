"""A user's own Python file, whose import adds tasks, networks, blocks, augmentations or formats to the tables."""

import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import SettingsError, UserError
from .text import shown

OF_A_PLUGIN = "; one of your own: --plugin FILE.py"
VARIABLE = "STRIATE_PLUGINS"  # files to load at the start, separated as the system's paths are


@dataclass(frozen=True)
class Plugin:
    """A file that was loaded; `sha256` of its content."""

    path: Path
    sha256: str

    def to_json(self) -> dict[str, str]:
        """Return the file's name and digest, as run.json has them."""
        return {"file": self.path.name, "sha256": self.sha256}


LOADED: dict[Path, Plugin] = {}
_loading: list[Plugin] = []


def load(file: str | Path) -> Plugin:
    """Import a plugin, once, and return it; what it registers is in the tables from then on.

    Raises:
        SettingsError: it is no Python file, or it fails; the message says where and why.
    """
    path = Path(os.path.expanduser(file)).absolute()  # noqa: PTH111 - it leaves what it does not know
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise SettingsError("no such plugin", where=file, fix="give the path of a Python file") from problem
    plugin = Plugin(path, hashlib.sha256(content).hexdigest())
    if LOADED.get(path) == plugin:
        return plugin
    if path.suffix != ".py":
        raise SettingsError("a plugin is a Python file", where=file, fix="give a file that ends in .py")
    _loading.append(plugin)
    try:
        _execute(path, plugin)
    except UserError:
        raise
    except Exception as problem:  # whatever a user's own code raises
        raise _refusal(problem, path) from problem
    finally:
        _loading.remove(plugin)
    LOADED[path] = plugin
    return plugin


def _execute(path: Path, plugin: Plugin) -> None:
    name = f"striate_plugin_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{plugin.sha256[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def refusal(problem: Exception) -> SettingsError | None:
    """Return what is said of an error that passed through a plugin's file; None where it passed through none."""
    return next((_refusal(problem, path) for path in LOADED if _line_of(problem, path)), None)


def _refusal(problem: Exception, path: Path) -> SettingsError:
    what = f"the plugin fails: {type(problem).__name__}: {shown(' '.join(str(problem).split()), 120)}"
    return SettingsError(what, where=f"{path}{_line_of(problem, path)}", fix="mend the file")


def _line_of(problem: Exception, path: Path) -> str:
    """The last line of the file that the error passed through, as `:12`."""
    if isinstance(problem, SyntaxError) and problem.filename == str(path):
        return f":{problem.lineno}"
    lines, trace = [], problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{lines[-1]}" if lines else ""


def being_loaded() -> Plugin | None:
    """Return the plugin whose import is going on."""
    return _loading[-1] if _loading else None


def load_all(files: Iterable[str]) -> None:
    """Load those that the environment names, then these."""
    for file in [*_named(), *files]:
        load(file)


def _named() -> list[str]:
    return [file for file in os.environ.get(VARIABLE, "").split(os.pathsep) if file.strip()]


def described() -> list[dict[str, str]]:
    """Return what run.json holds of the plugins."""
    return [plugin.to_json() for plugin in LOADED.values()]


def changes(before: Iterable[Mapping[str, str]]) -> list[str]:
    """Return which plugins of a run are not loaded now, or are others."""
    now = {plugin.path.name: plugin.sha256 for plugin in LOADED.values()}
    known = {one["file"]: one["sha256"] for one in before}
    return [
        f"the plugin {file} {'changed' if file in now else 'is not loaded, as it was'}"
        for file, digest in known.items()
        if now.get(file) != digest
    ]


def environment() -> dict[str, str]:
    """Return the variable by which a child process loads what this one has loaded."""
    return {VARIABLE: os.pathsep.join(map(str, LOADED))} if LOADED else {}


def typed() -> list[str]:
    """Return the options that load what is loaded here, for a command to type later; not what the environment loads."""
    known = {Path(os.path.expanduser(file)).absolute() for file in _named()}  # noqa: PTH111 - as in `load`
    here = Path.cwd()
    files = [path.relative_to(here) if path.is_relative_to(here) else path for path in LOADED if path not in known]
    return [word for file in files for word in ("--plugin", str(file))]


def take_options(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return a command line without its `--plugin FILE`, wherever they stand, and these files.

    Raises:
        SettingsError: no file follows.

    Example:
        >>> take_options(["train", "x/", "--plugin", "a.py", "--plugin=b.py"])
        (['train', 'x/'], ['a.py', 'b.py'])
    """
    rest: list[str] = []
    files: list[str] = []
    words = iter(arguments)
    for word in words:
        name, is_joined, value = word.partition("=")
        if word == "--":
            return [*rest, word, *words], files
        if name != "--plugin":
            rest.append(word)
            continue
        file = value if is_joined else next(words, "")
        if not file or file.startswith("--"):
            raise SettingsError("--plugin has no file", where="--plugin", fix="write --plugin FILE.py")
        files.append(file)
    return rest, files
