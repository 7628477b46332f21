"""Pages of the site that are made from the program: commands, settings, Python, examples; and README.md as its start.

A hook of mkdocs (see mkdocs.yml). Links between files of the repository become links between pages, so that they work
in both places.
"""

import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel

ROOT = Path(__file__).parents[1]
ELSEWHERE = {  # file of the repository -> page of the site
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LOG.md": "log.md",
    "README.md": "index.md",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that mkdocs.yml does not name at the end of the guides."""
    guides = next(part["Guides"] for part in config.nav or [] if "Guides" in part)
    named = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    guides += sorted({path.name for path in Path(config.docs_dir).glob("*.md")} - named)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file in docs/ holds."""
    pages = {
        **{page: (ROOT / name).read_text(encoding="utf-8") for name, page in ELSEWHERE.items()},
        "examples.md": examples(),
        "reference/commands.md": commands(),
        "reference/settings.md": settings(),
        "reference/python.md": python(),
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with links to files of the repository made links to pages."""
    for name, page in ELSEWHERE.items():
        markdown = re.sub(rf"\]\((?:\.\./)?{re.escape(name)}(?=[)#])", f"]({page}", markdown)
    markdown = re.sub(r"\]\((?:\.\./)?examples/\)", "](examples.md)", markdown)
    markdown = re.sub(r"\]\((?:\.\./)?examples/([\w/]+)\.py\)", lambda m: f"](examples.md#{anchor(m[1])})", markdown)
    markdown = re.sub(r"\[([^\]]+)\]\(CITATION\.cff\)", r"`\1`", markdown)
    return re.sub(r"\]\(docs/", "](", markdown)


def anchor(name: str) -> str:
    """Return the anchor of an example: `extending/network` gives `extending-network`."""
    return name.replace("/", "-")


def examples() -> str:
    """Return the page of the examples, each with its source."""
    lines = ["# Examples", "", "Programs that run as they stand; a test runs each of them.", ""]
    for path in sorted((ROOT / "examples").rglob("*.py")):
        name = path.relative_to(ROOT / "examples").with_suffix("").as_posix()
        lines += [f"## {name} {{ #{anchor(name)} }}", "", f"`python examples/{name}.py`", ""]
        lines += ["```python", path.read_text(encoding="utf-8").rstrip(), "```", ""]
    return "\n".join(lines)


def commands() -> str:
    """Return the page of the commands: the help of each, at 80 columns."""
    from typer.main import get_command

    from striate.cli.app import app, run

    os.environ["COLUMNS"] = "80"
    lines = [
        "# Commands",
        "",
        "What `striate COMMAND -h` prints. Results go to stdout, everything else to stderr; `--json`",
    ]
    lines += ["makes the result one JSON document.", ""]
    for name in sorted(get_command(app).commands):
        with redirect_stdout(io.StringIO()) as said:
            run([name, "-h"])
        lines += [f"## {name}", "", "```text", said.getvalue().rstrip(), "```", ""]
    return "\n".join(lines)


def settings() -> str:
    """Return the page of the settings: every group of a recipe, every operation of augmentation, every task's own."""
    from striate.data.augment.pipeline import KINDS
    from striate.run.recipe import Recipe
    from striate.task.table import TASKS

    lines = [
        "# Settings",
        "",
        "`--set NAME=VALUE` on the command line, or lines of a recipe file; `striate recipes NAME` prints all",
    ]
    lines += [
        "settings of a recipe. An unknown name, or a value that is not allowed, is refused before any data is read.",
        "",
    ]
    for name, field in Recipe.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            lines += [f"## {name}", "", prose(kind), "", *rows(kind, f"{name}."), ""]
    lines += [
        "## augment",
        "",
        "A list of operations, each with its settings: `augment=[{kind='zoom', min=0.8}]`; or a strength,",
    ]
    lines += ["`none`, `light`, `medium` or `strong`; or the name of one operation.", ""]
    for name, kind in KINDS.items():
        lines += [f"### {name}", "", prose(kind), "", *rows(kind, ""), ""]
    lines += ["## task", "", "What each task declares itself: `--set task.loss=dice`.", ""]
    for name, task in TASKS.items():
        if options := getattr(task, "Options", None):
            lines += [f"### {name} {{ #task-{name} }}", "", prose(options), "", *rows(options, "task."), ""]
    return "\n".join(lines)


def prose(kind: type) -> str:
    """Return a class's docstring, without its examples."""
    text = "\n".join(line.strip() for line in (kind.__doc__ or "").split("\n"))
    return re.split(r"\n(?:Example|Reference)s?:", text)[0].strip()


def rows(kind: type[BaseModel], before: str) -> Iterator[str]:
    """Yield the table of a group: name, what is allowed, default."""
    fields = {name: field for name, field in kind.model_fields.items() if name != "kind"}
    if not fields:
        return
    yield from ("| setting | allowed | default |", "| --- | --- | --- |")
    for name, field in fields.items():
        default = "automatic" if field.default is None else f"`{field.get_default(call_default_factory=True)!r}`"
        yield f"| `{before}{name}` | {allowed(field.annotation, field.metadata)} | {default} |"


def allowed(kind: Any, limits: list[Any]) -> str:
    """Return in words what a setting takes: `a number, at least 0, below 1`."""
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [f"{word} {getattr(one, sign):g}" for one in limits for sign, word in signs.items() if hasattr(one, sign)]
    return ", ".join([*words(kind), *bounds])


def words(kind: Any) -> list[str]:
    """Return the words for a type: the choices of a literal, `number`, `text`, ..."""
    if get_origin(kind) is Literal:
        return [f"`{value}`" for value in get_args(kind)]
    if get_origin(kind) in (Union, UnionType):
        return list(dict.fromkeys(word for one in get_args(kind) if one is not type(None) for word in words(one)))
    if get_origin(kind) is not None and get_args(kind) and get_origin(kind).__name__ == "Annotated":
        return words(get_args(kind)[0])
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return [names.get(kind, "a list" if get_origin(kind) in (tuple, list) else "a table")]


def python() -> str:
    """Return the page of the Python names, in the groups of `import striate as st`."""
    import striate as st

    lines = ["# Python", "", "`import striate as st`. Each name is loaded when it is first used.", ""]
    for name, (module, attribute) in st._WHERE.items():
        lines += [f"::: {module}{'.' + attribute if attribute else ''}", "    options:"]
        lines += [f"      heading: st.{name}", f"      toc_label: st.{name}"]
        lines += ["      inherited_members: true"] if name in ("Run", "Study") else []
        lines += [""] if attribute else ["      members: [names, blueprint, build]", ""]
    return "\n".join(lines)
