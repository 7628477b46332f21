"""striate explore."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base.choose import nearest
from striate.base.errors import ModelError, SettingsError
from striate.base.progress import say

from . import help as h
from . import options as o

if TYPE_CHECKING:
    from striate.base.rundir import RunDir
    from striate.explore.workspace import Subject, TrainingImages, Workspace
    from striate.model.blueprint import Blueprint
    from striate.predict import Predictor


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="Feature maps, filters and numbers in the browser", rich_help_panel=h.LOOK)(explore)


def explore(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|STUDY|MODEL", help="A run or study folder, a network's name, imagenet:NAME, or a .toml."
        ),
    ] = None,
    playground: Annotated[
        bool, typer.Option("--playground", help="Only the playground of convolution arithmetic: needs no run.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="By default the first that is free, from 8765 on.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(metavar="PAGE.html", help="Write one page that needs no server: every step of a few images."),
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="An image for --export; repeatable. By default three of the run's.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the page of --export.")] = False,
    size: o.Size = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Look inside a network in the browser: feature maps, the dot product behind every number, errors, predictions.

    The page is served to this machine only, and asks no other.

    \b
    Examples:
      striate explore runs/001-bipyramid-regularized
      striate explore runs/002-study-birds
      striate explore resnet18 --size 64          fresh weights
      striate explore imagenet:mobilenet_v2
      striate explore mine.toml                   a blueprint file
      striate explore --playground
      striate explore runs/001-bipyramid-regularized --export steps.html
    """
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        what = f"the page needs {' and '.join(missing)}"
        raise SettingsError(what, where="explore", fix='pip install "striate[explore]"')
    if what is None and not playground:
        raise SettingsError("nothing to look at", where="explore", fix="name a run, a study or a network")
    if image and export is None:
        raise SettingsError("--image is of the page of --export", where="--image", fix="drop it on the page instead")
    o.use_threads(threads)
    from striate.explore.serve import serve
    from striate.explore.workspace import Workspace
    from striate.web.listen import address_of, bound

    space = Workspace.of([], "playground") if what is None else _workspace(what, size)
    space.is_playground = playground
    try:
        if export is not None:
            return o.give(*_export(space, export, image or [], overwrite), as_json)
        with bound(port) as listener:
            address = address_of(listener, "#view=playground" if playground else "")
            if as_json:
                o.give({"command": "explore", "address": address}, "", as_json)
                sys.stdout.flush()
            else:
                say(f"{address}  (Ctrl-C stops it)")
            serve(space, listener, is_opening=not no_browser, address=address)
    finally:
        space.close()


def _export(space: "Workspace", path: Path, images: list[Path], overwrite: bool) -> tuple[dict[str, Any], str]:
    from striate.base.files import write_text
    from striate.explore.export import export, images_of

    if not space.subjects:
        raise SettingsError("the playground alone has no network", where="--export", fix="name a run or a network")
    if path.is_dir():
        raise SettingsError(f"{path} is a folder", where="--export", fix="give the name of a page, such as steps.html")
    if path.exists() and not overwrite:
        raise SettingsError(f"{path} exists", where="--export", fix="give another name, or --overwrite")
    (subject, *_) = space.subjects.values()
    predictor = space.predictor(subject.id)
    page = export(predictor, images_of(space.shelf, subject.run, images), subject.title)
    write_text(path, page)
    return {"command": "explore", "page": str(path), "bytes": len(page.encode())}, f"page {path}"


def _workspace(what: str, size: str | None) -> "Workspace":
    from striate.explore.workspace import Workspace

    if Path(what).is_dir():
        if size is not None:
            raise SettingsError("a run has its own size", where="--size", fix="leave it out")
        return Workspace.of_folder(Path(what), _training_images)
    _require_known(what)
    return Workspace.of([_network(what, size)], what)


def _require_known(what: str) -> None:
    """Refuse what is neither a network, nor a blueprint's file, nor there.

    Raises:
        ModelError: it is a run that does not exist, or the misspelt name of a network.
        SettingsError: it is a file of another kind.
    """
    from striate.model import zoo

    if ":" in what or what in zoo.names() or Path(what).suffix == ".toml":
        return
    if Path(what).exists():
        raise SettingsError("neither a run nor a blueprint", where=what, fix="name a run, a network or a .toml file")
    near = None if len(Path(what).parts) > 1 else nearest(what, zoo.names())
    fix = f"did you mean {near!r}?" if near else "name a run folder, or a network of `striate models`"
    raise ModelError("no such run or network", where=what, fix=fix)


def _training_images(run: "RunDir") -> "TrainingImages":
    from striate.run.training_images import TrainingImages

    return TrainingImages(run)


def _network(name: str, size: str | None) -> "Subject":
    """A network of the zoo or of a blueprint file with fresh weights, or one with published weights."""
    from striate.explore.shelf import id_of
    from striate.explore.workspace import Subject
    from striate.model import zoo
    from striate.predict import pretrained
    from striate.run.blueprint import load_blueprint

    if name.startswith(pretrained.PREFIX):
        zoo.blueprint(name.removeprefix(pretrained.PREFIX))  # an unknown name is said before a page opens
        return Subject(id_of("model", name), name, lambda: pretrained.load(name), about="published weights")
    size_hw = o.size_of(size, "--size", 8, 2048)
    is_tied = size_hw is not None and name in zoo.ZOO and "size" in zoo.options(name)
    plan, native = load_blueprint(name, {"size": min(size_hw or ())} if is_tied else {})
    native["size_hw"] = size_hw or native["size_hw"]
    return Subject(id_of("model", name), plan.name, lambda: _fresh(plan, **native), about="fresh weights, seed 0")


def _fresh(plan: "Blueprint", size_hw: tuple[int, ...], channels: int, outputs: int) -> "Predictor":
    from striate.base.seeds import seed_for
    from striate.data.geometry import Geometry
    from striate.model.build import build
    from striate.predict import Predictor
    from striate.task import from_json

    names = [f"class {number}" for number in range(min(outputs, 10))]
    task = from_json({"name": "classify", "target": "class", "names": names})
    network = build(plan, outputs=len(names), channels=channels, size_hw=size_hw, seed=seed_for(0, "init"))
    geometry = Geometry(size_hw, "crop", margin=1.0, channels=channels)
    return Predictor(network, task, geometry, [0.5] * channels, [0.25] * channels)
