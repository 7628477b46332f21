"""`striate report STUDY --notebook`: its cells run from top to bottom and give the study's own numbers."""

import ast
import contextlib
import io
import json
import os
import shutil

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import striate as st
from striate.base.progress import Progress
from striate.cli.app import run
from striate.studies.execute import study as carry_out

TASKS = {
    "classify": ("toy:shapes?n=80&size=16", {}, "mlp", "accuracy"),
    "regress": ("toy:shapes?n=60&size=16", {"task": "regress"}, "mlp", "mean_error_deg"),
    "tag": ("TAGS", {}, "mlp", "f1"),
    "localise": ("toy:shapes?objects=1..1&n=40&size=32&noise=0", {"task": "localise"}, "mlp", "both_right"),
    "detect": ("toy:shapes?objects=1..3&n=24&size=32&noise=0", {"task": "detect"}, "one_stage", "ap"),
    "segment": ("toy:shapes?n=40&size=16", {"task": "segment"}, "unet", "mean_iou"),
}


@pytest.fixture(scope="module", params=TASKS)
def study(request, tmp_path_factory):
    where, options, model, _ = TASKS[request.param]
    more = {"unet": ["model.width=4"], "one_stage": ["model.encoder=bipyramid"]}
    settings = ["train.epochs=1", "train.precision=float32", *more.get(model, ())]
    recipe = st.recipe("baseline").changed(settings)
    variants = [st.Variant(name, model, recipe, "baseline") for name in ("one", "two_x_")]
    folder = tmp_path_factory.mktemp(request.param)
    where = write_tags(folder / "data") if where == "TAGS" else where
    data, quiet = st.open(where, **options), Progress("quiet")
    return st.Study(carry_out([data], variants, seeds=2, out=folder / "study", progress=quiet))


def write_tags(folder):
    """A table of images with two tags, the second twice as rare."""
    folder.mkdir()
    rng, lines = np.random.default_rng(0), ["path,striped,dotted"]
    for index in range(40):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{index}.png")
        lines.append(f"{index}.png,{index % 2},{int(index % 4 == 0)}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return str(folder / "labels.csv")


def cells_of(path):
    document = nbformat.read(path, as_version=4)
    nbformat.validate(document)
    return document.cells


def run_cells(path, monkeypatch):
    """Run the code of a notebook in its folder; return its names, what it printed, and what each cell ends with."""
    monkeypatch.chdir(path.parent)
    names, shown, said = {}, [], io.StringIO()
    for cell in cells_of(path):
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            with contextlib.redirect_stdout(said):
                exec(compile(tree, "cell", "exec"), names)
                shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None)  # noqa: S307
    return names, said.getvalue(), shown


def test_the_cells_give_the_studys_numbers(study, tmp_path, monkeypatch, capsys):
    home = tmp_path / "moved"
    shutil.copytree(study.path, home / "study")  # the notebook finds the study from where it lies itself
    path = home / "hand in" / "homework.ipynb"
    path.parent.mkdir()
    assert run(["report", str(home / "study"), "--notebook", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n" and str(home) not in path.read_text()
    names, said, shown = run_cells(path, monkeypatch)
    verdict = json.loads((home / "study" / "verdict.json").read_text())
    for row in verdict["variants"]:
        np.testing.assert_allclose(names["scores"][row["name"]], row["test"]["values"])
        assert f"{row['test']['mean']:.4f} +- {np.std(row['test']['values'], ddof=1):.4f}" in said
    figures = sum(isinstance(one, Figure) for one in shown)
    assert figures == (5 if "confusion(SPLIT)" in path.read_text() else 3)  # curves twice, confusions twice, mistakes
    assert verdict["sentences"][0] in said.replace("\n", " ") or verdict["sentences"][0][:40] in said


def test_the_conclusion_is_text_whatever_the_names_are(study, tmp_path):
    path = study.notebook(tmp_path / "a.ipynb")
    last = cells_of(path)[-1]
    assert last.cell_type == "markdown" and "Edit this" in last.source
    assert "two\\_x\\_" in last.source and "two_x_" not in last.source
    assert os.path.relpath(study.path, tmp_path) in path.read_text()


def test_what_has_no_notebook_is_refused(study, tmp_path, capsys):
    def last_line(*words):
        return run([*words]), capsys.readouterr().err.strip().split("\n")[-1]

    path = tmp_path / "a.ipynb"
    path.write_text("mine")
    assert last_line("report", str(study.path), "--notebook", str(path))[1].endswith("use --overwrite")
    assert path.read_text() == "mine"
    assert "no --notebook" not in last_line("report", str(study.path), "--notebook", str(tmp_path / "a.txt"))[1]
    code, said = last_line("report", str(study.run("one").path), "--notebook", str(tmp_path / "b.ipynb"))
    assert code == 2 and "a notebook is of a study" in said
    assert run(["report", str(study.path), "--notebook", str(path), "--overwrite"]) == 0 and cells_of(path)


@pytest.mark.slow
def test_a_kernel_runs_it_without_an_error(study, tmp_path):
    from nbclient import NotebookClient

    path = study.notebook(tmp_path / "homework.ipynb")
    done = NotebookClient(nbformat.read(path, as_version=4), timeout=200, resources={"metadata": {"path": tmp_path}})
    outputs = [one for cell in done.execute().cells for one in cell.get("outputs", ())]
    figures = 4 if "answers.names" in path.read_text() else 6  # with the contact sheet; of tags two are tables
    assert sum("image/png" in one.get("data", {}) for one in outputs) >= figures
    assert not any(one.output_type == "error" or one.get("name") == "stderr" for one in outputs)
    printed = "".join(one.text for one in outputs if one.get("name") == "stdout")
    for row in study.table():
        assert f"{row['test_' + study.folder.verdict()['metric']]:.4f}" in printed
