"""H5, I5, I6: an export that answers otherwise, a very large run, and cells that a spreadsheet would run."""

import csv
import json
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .bench import Bench, Skipped, expect
from .pictures import SMALL, encoded, pixels, put
from .sheet import Row

if TYPE_CHECKING:
    from striate.evaluate.predictions import Predictions

NUM_IMAGES, NUM_CLASSES, MAX_REPORT_MB = 50_000, 1_000, 20
FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "=HYPERLINK(1)")


def differs(bench: Bench) -> str:
    """A graph whose first convolution is stronger than the run's: refused by row, and nothing of it is left."""

    def spoiled() -> None:
        from striate.export import bundle, onnx_file

        def write(module: Any, images: Any, path: Path, names: Any, metadata: Any) -> None:
            onnx_file.write_onnx(module, images, path, names, metadata)
            model = onnx.load(path)
            weight = next(one for one in model.graph.initializer if len(one.dims) == 4)
            weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 1.5, weight.name))
            onnx.save(model, path)

        bundle.write_onnx = write  # type: ignore[attr-defined]

    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        raise Skipped("the packages of striate[export] are not installed")
    import onnx

    _train_plain(bench)
    before = bench.hashes().keys()
    outcome = bench.refuses(4, "export", "run", before=spoiled, names=["answers otherwise", "first in row conv1"])
    left = [name for name in bench.hashes().keys() - before if not name.endswith("/.lock")]
    expect(not left, f"left behind: {left[:3]}")
    bench.works("export", "run")
    return outcome.last.partition(":")[2].partition("--")[0].strip()[:80]


def _train_plain(bench: Bench) -> None:
    for name in ("a", "b"):
        for number in range(8):
            put(bench.folder / "data" / name / f"{number}.png", encoded(pixels(f"{name}{number}")))
    bench.works("train", "data", *SMALL, "--out", "run")


def large_run(bench: Bench) -> str:
    """A run's documents with 50,000 evaluated images of 1,000 classes, planted; the report samples and says so."""
    from striate.evaluate.predictions import write
    from striate.evaluate.scores import scores_of
    from striate.task import from_json

    _train_plain(bench)
    run = bench.folder / "run"
    (run / "SHA256SUMS").unlink()
    table = _predictions()
    write(run / "predictions.csv", {"val": table})
    info = json.loads((run / "run.json").read_text())
    info["task"]["names"] = info["dataset"]["classes"] = list(table.names)
    (run / "scores.json").write_text(json.dumps({"val": scores_of(from_json(info["task"]), table)}))
    (run / "run.json").write_text(json.dumps(info))
    del table
    start_s = time.monotonic()
    outcome = bench.works("report", "run", may_change=["run"])
    size_mb = (run / "report.html").stat().st_size / 1e6
    expect(size_mb <= MAX_REPORT_MB, f"the report has {size_mb:.0f} MB")
    text = (run / "report.html").read_text(encoding="utf-8")
    for said in (f"{NUM_CLASSES:,} classes are too many for a matrix", "pairs most often confused, of "):
        expect(said in text, f"not said in the report: {said}")
    took_s = time.monotonic() - start_s
    return f"{NUM_IMAGES:,} images: {size_mb:.1f} MB, {outcome.cpu_s:.0f} s, {outcome.peak_mb:.0f} MB, {took_s:.0f} s"


def _predictions() -> "Predictions":
    from striate.evaluate.layout import Labels
    from striate.evaluate.predictions import Predictions

    rng, names = np.random.default_rng(0), tuple(f"class {number}" for number in range(NUM_CLASSES))
    truth = rng.integers(NUM_CLASSES, size=NUM_IMAGES)
    said = np.where(rng.random(NUM_IMAGES) < 0.8, truth, rng.integers(NUM_CLASSES, size=NUM_IMAGES))
    found = np.full((NUM_IMAGES, NUM_CLASSES), 2e-4, np.float32)
    found[np.arange(NUM_IMAGES), said] = 0.8
    losses = -np.log(found[np.arange(NUM_IMAGES), truth])
    ids = tuple(f"{names[label]}/{number}.jpg" for number, label in enumerate(truth))
    return Predictions(truth, said, losses, found, layout=Labels(names), ids=ids)


def formulas(bench: Bench) -> str:
    """File and class names that start a formula; no cell of an exported table does, and the name is read back."""
    from striate.base.rundir import RunDir
    from striate.evaluate.predictions import read

    data = bench.folder / "data"
    for name in ("=cat", "dog"):
        for number in range(12):
            put(data / name / f"{number:02d}.png", encoded(pixels(f"{name}{number}")))
    for formula in FORMULAS:
        put(data / "=cat" / f"{formula.replace('/', '_')}.png", encoded(pixels(formula)))
    bench.works("train", "data", *SMALL, "--out", "run")
    path = bench.folder / "run" / "predictions.csv"
    cells = [cell for row in csv.reader(path.read_text().splitlines()) for cell in row]
    risky = [cell for cell in cells if cell[:1] in "=+@\t\r" and cell[:1]]
    expect(not risky, f"a spreadsheet would run {risky[:2]}")
    tables = read(path, json.loads((bench.folder / "run" / "run.json").read_text())["task"])
    expect(any(name == "=cat" for name in tables["val"].names), "the class is not read back by its name")
    splits = RunDir(bench.folder / "run").splits()
    for split, table in tables.items():
        expect(sorted(table.ids) == sorted(splits[split]), f"ids of {split} are not read back")
    return f"{len(cells)} cells, none starts a formula"


ROWS = (
    Row("H5", "an ONNX file that answers otherwise than the run", differs),
    Row("I5", "report of 50,000 images and 1,000 classes", large_run, max_cpu_s=120, is_slow=True),
    Row("I6", "names that are formulas in exported tables", formulas),
)
