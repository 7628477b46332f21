"""striate predict."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from striate.base.choose import choose
from striate.base.errors import DataError, SettingsError, combined
from striate.base.progress import Progress, say
from striate.base.text import shown

from . import help as h
from . import options as o

if TYPE_CHECKING:
    from striate.predict.overlay import BoxDrawer, Drawer, ImageDrawer
    from striate.predict.prediction import Prediction
    from striate.predict.predictor import Predictor, Tiles
    from striate.predict.sheet import Sheets
    from striate.predict.volumes import VolumeDrawer


MIN_NAME = 24  # characters of a file's name


class Row(NamedTuple):
    """An image with its answer, without its map."""

    id: str
    answer: str
    document: dict[str, Any]


def add_to(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(short_help="Say what is in images", rich_help_panel=h.USE)(predict)


def predict(
    run: Annotated[
        str, typer.Argument(metavar="RUN|imagenet:NAME|coco:NAME", help="A run folder, or a published network.")
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...", help="Image files, folders, patterns such as new/**/*.jpg, or - for a list."
        ),
    ],
    top: Annotated[int, typer.Option(help="Classes to show for each image.", min=1, max=1_000_000)] = 3,
    weights: Annotated[
        Path | None, typer.Option(help="Of a published network, a weights file instead of a download.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="How those weights want their images, e.g. torchvision.")] = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write contact sheets, and for each image its map (overlay and mask) or boxes as PNG."
        ),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="With coco:NAME, leave out objects below it; by default 0.5.", min=0, max=1)
    ] = None,
    tiles: Annotated[
        str | None,
        typer.Option(metavar="auto|SCALE", help="Cut large images into tiles, at the scale of training or another."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a row for each image, for a spreadsheet.")
    ] = None,
    coco: Annotated[
        Path | None, typer.Option("--coco", metavar="FILE", help="Write the objects found as COCO JSON.")
    ] = None,
    on_bad: o.OnBad = "stop",
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Say what is in images: class and probabilities, numbers, boxes, or a class for every pixel.

    Images are seen whole, made as small as the network's input, as in training; a task that restores images takes
    them as they are. `-` reads names of files and folders from stdin, one a line. A run that `striate evaluate
    --calibrate` has seen gives calibrated probabilities.

    `--draw` writes a contact sheet, and for each image its map (overlay and mask, with classes.csv), its box or
    boxes, or the restored image; of a volume its labels. `--csv` has a column for each class (its probability, or
    its share of the pixels) or number; of objects a row for each.

    `--tiles auto` is for images of a larger field than those of training: they are brought to its scale and cut
    into overlapping tiles, whose answers are blended; `--tiles 1` cuts them at their own pixels.

    \b
    Examples:
      striate predict runs/001-bipyramid-regularized new/*.jpg --top 1
      find new/ -name '*.jpg' | striate predict runs/001-bipyramid-regularized -
      striate predict runs/001-bipyramid-regularized new/ --csv new.csv
      striate predict imagenet:mobilenet_v2 photo.jpg
      striate predict coco:retinanet_resnet50_fpn photo.jpg --draw drawn/
      striate predict runs/004-one_stage-detect new/ --coco new.json --tiles auto
      striate predict runs/003-unet-augmented new/ --draw drawn/
      striate predict runs/003-unet-augmented aerial.tif --tiles auto --draw out/
    """
    o.use_threads(threads)
    from striate.predict.coco_json import write_coco
    from striate.predict.table import write_table

    choose("policy", on_bad, dict.fromkeys(("stop", "skip")))
    files = _files(images)
    predictor = _predictor(run, weights, preset, min_score)
    asked = _Predict(predictor, _tiles(tiles), draw, is_stopping=on_bad == "stop")
    rows = asked.all(files, top, o.progress_for(quiet))
    if asked.bad and on_bad == "stop":
        raise combined(asked.bad)
    if predictor.temperature != 1 and not as_json:
        path = Path(run) / "calibration.json"
        say(f"calibrated probabilities: temperature {predictor.temperature:.3f}, from {path}")
    for problem in asked.doubtful:
        say(f"warning: {problem}")
    for problem in asked.bad:
        say(f"skipped: {problem}")
    predictions = [row.document for row in rows]
    document = {"command": "predict", "temperature": predictor.temperature, "predictions": predictions}
    document["doubtful"] = [{"id": str(problem.where), "text": problem.what} for problem in asked.doubtful]
    document["skipped"] = [problem.where for problem in asked.bad]
    lines = _lines(rows)
    if table is not None:
        write_table(table, predictions, predictor.task.point_names)
        document["csv"] = str(table)
        lines.append(f"table: {table}")
    if coco is not None:
        write_coco(coco, predictions, predictor.task.names, predictor.task.point_names)
        document["coco"] = str(coco)
        lines.append(f"COCO JSON: {coco}")
    if draw is not None:
        sheets = [str(file) for file in asked.sheets()]
        document |= {"drawn": str(draw), "sheets": sheets}
        lines.append(f"drawn: {', '.join(sheets)}")
    o.give(document, "\n".join(lines), as_json)


def _predictor(run: str, weights: Path | None, preset: str | None, min_score: float | None) -> "Predictor":
    """The predictor of a run folder, or of a network published for ImageNet or COCO."""
    from striate.predict import Predictor, detectors, pretrained

    is_detector, is_classifier = run.startswith(detectors.PREFIX), run.startswith(pretrained.PREFIX)
    if weights and not (is_detector or is_classifier):
        raise SettingsError("--weights goes with imagenet:NAME or coco:NAME", where=run, fix="leave it out")
    if preset and not is_classifier:
        raise SettingsError("--preset goes with imagenet:NAME", where=run, fix="leave it out")
    if min_score is not None and not is_detector:
        raise SettingsError("--min-score goes with coco:NAME", where=run, fix="leave it out")
    if is_detector:
        return detectors.load(run, weights, min_score=detectors.MIN_SCORE if min_score is None else min_score)
    return pretrained.load(run, weights, preset=preset) if is_classifier else Predictor.load(run)


def _tiles(text: str | None) -> "Tiles | None":
    if text is None or text == "auto":
        return "auto" if text else None
    try:
        return float(text)
    except ValueError:
        fix = "write auto, or a number: 1 for an image's own pixels"
        raise SettingsError(f"{text!r} is no scale", where="--tiles", fix=fix) from None


class _Predict:
    """Predicts images chunk by chunk, so that no more maps than those of one lie in memory, and draws them."""

    def __init__(self, predictor: "Predictor", tiles: "Tiles | None", draw: Path | None, *, is_stopping: bool) -> None:
        self.predictor, self.tiles, self.is_stopping = predictor, tiles, is_stopping
        self.chunk = 8 if predictor.predicts_maps else 256
        self.bad: list[DataError] = []
        self.doubtful: list[DataError] = []
        self.drawer: Drawer | ImageDrawer | BoxDrawer | VolumeDrawer | None = None
        self.sheet: Sheets | None = None
        if draw is not None:
            from striate.predict import overlay, sheet

            self.drawer, self.sheet = overlay.drawer_of(predictor, draw), sheet.Sheets(draw, predictor.levels)

    def all(self, files: list[Path], top: int, progress: Progress) -> list[Row]:
        """Return a row for each image, chunk by chunk; more than one chunk show their progress."""
        if len(files) <= self.chunk:
            return self(files, top)
        rows = []
        with progress.bar("predicting", len(files)) as bar:
            for start in range(0, len(files), self.chunk):
                some = files[start : start + self.chunk]
                rows += self(some, top)
                bar.advance(len(some))
        return rows

    def __call__(self, files: list[Path], top: int) -> list[Row]:
        """Return a row for each image, drawn where that is asked for."""
        found = self.predictor(files, self.bad, self.doubtful, self.tiles)
        return [Row(one.id, one.line(top), one.to_json() | self._draw(one)) for one in found]

    def sheets(self) -> list[Path]:
        """Return the contact sheets, the last one written now."""
        return self.sheet.close() if self.sheet else []

    def _draw(self, one: "Prediction") -> dict[str, Any]:
        if self.sheet is None or (self.bad and self.is_stopping):
            return {}
        path, drawn = Path(one.id), self.drawer.draw(Path(one.id), one) if self.drawer else {}
        self.sheet.add(Path(next(iter(drawn.values()), one.id)), path.name, one.line(1))
        return {"drawn": drawn} if drawn else {}


def _files(given: Sequence[Path]) -> list[Path]:
    """Return the files that are named, by their folder, by a pattern or on stdin.

    A folder without images is a warning, and an error where there is nothing else.

    Raises:
        DataError: nothing is left, or a pattern matches nothing.
    """
    from striate.data.sources.walk import Walk

    files, empty = [], []
    for path in _named(given):
        if not path.is_dir():
            files.append(path)
            continue
        walk = Walk(path)
        inside = [path / name for name in walk.images()]
        for missed in (one for one in walk.left_out() if one.is_serious):
            say(f"warning: {missed.text}")
        files += inside
        empty += [] if inside else [path]
    if not files:
        where = empty[0] if empty else "stdin"
        raise DataError("no images found", where=where, fix="name images, or a folder that holds some")
    for path in empty:
        say(f"warning: no images found: {shown(path)}")
    return files


def _named(given: Sequence[Path]) -> Iterator[Path]:
    """The files and folders that are named; `-` is a list of them, and a pattern is what it matches."""
    for path in given:
        if str(path) == "-":
            yield from (Path(line.rstrip("\r\n")) for line in sys.stdin if line.strip())
        elif has_magic(str(path)) and not path.exists():
            found = sorted(glob(str(path), recursive=True))  # noqa: PTH207 - also of absolute patterns
            if not found:
                raise DataError("no file matches", where=path, fix="check the pattern, or name files")
            yield from map(Path, found)
        else:
            yield path


def _lines(rows: Sequence[Row]) -> list[str]:
    """A line for each image: its file as short as it can be, and the answer."""
    room = max(MIN_NAME, shutil.get_terminal_size().columns // 2)
    names = [short_path(row.id, room) for row in rows]
    width = max(map(len, names), default=0) + 1
    return [f"{name + ':':<{width}} {row.answer}" for name, row in zip(names, rows, strict=True)]


def short_path(path: str, most: int) -> str:
    """Return a path of about `most` characters: as seen from here if that is shorter, else only its last parts.

    Example:
        >>> short_path("/home/ann/photos/birds/new/robin.jpg", 24), short_path("new/robin.jpg", 24)
        ('.../birds/new/robin.jpg', 'new/robin.jpg')
    """
    here = os.path.relpath(path) if os.path.isabs(path) else path  # noqa: PTH117
    text = shown(here if len(here) < len(path) and not here.startswith("..") else path)
    parts = text.split("/")
    while len(text) > most and len(parts) > 1:
        parts = parts[1:]
        text = "/".join(["...", *parts])
    return text
