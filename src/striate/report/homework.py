"""A study as a notebook to hand in: it reads the study's folder, and shows as code what was done and what came out.

Every number in it is computed by its cells when it runs; nothing is typed in but the conclusion, which is to be edited.
"""

import os
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from textwrap import dedent
from typing import Any

from striate.base.errors import ModelError, SettingsError
from striate.base.files import to_json, write_text
from striate.base.rundir import StudyDir
from striate.base.text import shown

from .read import Study, at
from .sections_study import advice
from .tasks import sections_of

Cell = tuple[str, str]  # "markdown" or "code", and its source


def write_notebook(folder: StudyDir, path: Path, *, overwrite: bool = False) -> Path:
    """Write the notebook of a finished study.

    Raises:
        ModelError: the study has no verdict yet.
        SettingsError: the file is there already, is no .ipynb, or the study's task has no notebook.
    """
    if path.suffix != ".ipynb":
        raise SettingsError("not the name of a notebook", where=path, fix=f"name it {path.with_suffix('.ipynb').name}")
    if path.exists() and not overwrite:
        raise SettingsError("the notebook is there already, perhaps edited", where=path, option="--overwrite")
    study = Study.read(folder)
    if not study.verdict:
        fix = f"finish it: `striate resume {folder.path}`"
        raise ModelError("the study has no verdict yet", where=folder.path, fix=fix)
    write_text(path, to_json(document(cells(study, path.resolve().parent)), indent=1) + "\n")
    return path


def document(found: Sequence[Cell]) -> dict[str, Any]:
    """Return cells as a notebook of format 4.5."""
    rows = []
    for number, (form, source) in enumerate(found):
        row: dict[str, Any] = {"cell_type": form, "id": f"cell-{number:02}", "metadata": {}}
        row |= {"execution_count": None, "outputs": []} if form == "code" else {}
        rows.append(row | {"source": source.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": rows, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def cells(study: Study, beside: Path) -> list[Cell]:
    """Return the cells of a study's notebook.

    Args:
        beside: the folder that the notebook lies in, from where it finds study and data.

    Raises:
        SettingsError: the study's task has no notebook.
    """
    run = next((one for runs in study.runs.values() for one in runs), None)
    sections = sections_of(run) if run else None
    score = sections.score_code(run) if run and sections else ""
    if sections is None or run is None or not score:
        what = f"no notebook of the task {at(run.info, 'task.name') if run else '?'}"
        raise SettingsError(what, where=study.folder.path, fix="write the report: it serves every task")
    return [
        *_opening(study, beside),
        *_data(study, beside),
        *_networks(),
        *_training(study),
        *_results(study, score, sections.look_code()),
        *_conclusion(study),
    ]


def _opening(study: Study, beside: Path) -> Iterator[Cell]:
    place = os.path.relpath(study.folder.path.resolve(), beside)
    yield _text(f"""
        # {_plain(at(study.info, "name", "study"))}: {_plain(at(study.info, "dataset.name", "images"))}

        This notebook reads the finished study in its folder, and computes every number from there: it runs from top
        to bottom in a minute. With `TRAIN = True` the networks are trained again, with the same seeds.
        """)
    yield _code(f"""
        from pathlib import Path

        import numpy as np
        import striate as st

        STUDY = Path({place!r})
        TRAIN = False

        study = st.Study(STUDY)
        seeds, folds = study.info["seeds"], range(study.info["folds"] or 1)
        """)


def _data(study: Study, beside: Path) -> Iterator[Cell]:
    info = study.folder.info()["dataset"]  # that of `study.info` has no paths, for a report is passed on
    yield _text("""
        ## Data

        Training images teach the network, validation images choose the epoch and the variant, test images are looked at
        once, at the end.
        """)
    if info.get("where"):
        path = info.get("path")
        where = os.path.relpath(path, beside) if path else info["where"]
        options = {name: value for name, value in info["options"].items() if value is not None}
        if root := options.get("root"):
            options["root"] = os.path.relpath(root, beside)
        given = "".join(f", {name}={value!r}" for name, value in options.items())
        yield _code(f"data = st.open({where!r}{given})\ndata")
    else:
        yield _code("data = ...  # these images came from a program: make the dataset here as it did")
    yield _code("""
        for split, ids in study.folder.splits(0).items():  # the images are in the splits that the study had
            assert [data.ids[index] for index in data.splits[split]] == ids
        data.show()
        """)
    yield _code("data[int(data.splits['train'][0])]")


def _networks() -> Iterator[Cell]:
    yield _text("""
        ## Preprocessing

        Images are brought to one size and normalised by the mean and deviation of the training images. In training they
        are also augmented: each time an image is seen it is changed a little, as the recipe says.
        """)
    yield _code("""
        variants = [st.Variant.from_json(values) for values in study.info["variants"]]
        names = [variant.name for variant in variants]
        runs = {name: [study.run(name, seed, fold) for seed in seeds for fold in folds] for name in names}
        best = runs[study.folder.verdict()["best"]][0]

        predictor = st.Predictor.load(best.path)
        x = predictor.inputs([predictor.framed(data[int(data.splits["test"][0])].image)])
        print("input", tuple(x.shape), "mean", np.round(predictor.mean, 3), "deviation", np.round(predictor.std, 3))
        print("augmentation of the best variant:", [step["kind"] for step in best.info["augment"]] or "none")
        """)
    yield _text("## Networks\n\nThe variants that are compared, and the rows of the best one's network.")
    yield _code("""
        for variant in variants:
            size = runs[variant.name][0].info["model"]["parameters"]
            print(f"{variant.name:<16} {variant.model:<16} {size:>12,} parameters   {variant.text}")
        getattr(best.network, "blueprint", best.network)
        """)


def _training(study: Study) -> Iterator[Cell]:
    yield _text("""
        ## Training

        Every variant is trained with every seed on the same images. The epoch that is best on validation is kept.
        """)
    yield _code(f"""
        if TRAIN:
            again = STUDY.with_name(STUDY.name + "-again")
            study = st.study(data, variants, seeds=len(seeds), baseline={study.info["baseline"]!r}, out=again)
            runs = {{name: [study.run(name, seed) for seed in seeds] for name in names}}
            best = runs[study.folder.verdict()["best"]][0]
        study.curves()
        """)
    yield _code("best.curves()")


def _results(study: Study, score: str, look: tuple[str, str]) -> Iterator[Cell]:
    yield _text(f"""
        ## Results

        The score of each run on the {_plain(study.split)} images, computed from its answers, and the mean over seeds.
        """)
    yield _code(f"""
        SPLIT = {study.split!r}


        def score(run):
        {_indented(score)}


        scores = {{name: [score(run) for run in runs[name]] for name in runs}}
        for name, values in scores.items():
            spread = np.std(values, ddof=1) if len(values) > 1 else float("nan")
            print(f"{{name:<16}} {{np.mean(values):.4f}} +- {{spread:.4f}}   {{np.round(values, 4)}}")
        """)
    yield _code("""
        table = study.table()
        for row in table:  # they are the study's numbers
            mean = row[f"{SPLIT}_{study.folder.verdict()['metric']}"]
            assert np.isclose(np.mean(scores[row["variant"]]), mean), (row["variant"], mean)
        study
        """)
    about, code = look
    yield _text(about)
    yield _code(code.replace("{run}", "best"))
    yield _code(code.replace("{run}", f"runs[{study.info['baseline']!r}][0]"))
    yield _text("## Mistakes\n\nThe answers of the best variant that were furthest from the truth.")
    yield _code("best.mistakes(12, SPLIT).figure()")
    yield _text("## Comparison\n\nEach difference with its interval: one that includes zero may be chance.")
    yield _code("print(study.verdict)")


def _conclusion(study: Study) -> Iterator[Cell]:
    said = [*study.verdict.get("sentences", ()), *(str(one["text"]) for one in advice(study))]
    points = "\n".join(f"- {_plain(one, 2000)}" for one in said)
    yield (
        "markdown",
        f"## Conclusion\n\n*Edit this: what do the numbers say, and what would you try next?*\n\n{points}\n",
    )


def _text(source: str) -> Cell:
    return "markdown", dedent(source).strip() + "\n"


def _code(source: str) -> Cell:
    return "code", dedent(source).strip()


def _indented(source: str) -> str:
    """A function's body in a cell that stands eight spaces in."""
    return ("\n" + " " * 12).join(source.split("\n")).join(("    ", ""))


def _plain(value: Any, most: int = 120) -> str:
    """Text from outside, which Markdown must not take for markup."""
    safe = escape(shown(value, most), quote=False)
    return "".join(f"\\{one}" if one in "\\`*_[]#|$" else one for one in safe)
