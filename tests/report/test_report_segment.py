"""The report of segmentation against scikit-learn's figures of the same maps, and against the maps themselves."""

import base64
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_pages import Element, parse
from report_runs import describe, write_bytes, write_json
from report_studies import write_study
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from striate.base.rundir import RunDir, StudyDir
from striate.evaluate.layout import Maps, Sidecar
from striate.evaluate.predictions import Predictions, write
from striate.evaluate.scores import scores_of
from striate.metric import Answers
from striate.metric.boundary import boundary_pixels
from striate.metric.metric import records_of
from striate.report import report_run, report_study
from striate.task.segment import Segment

NAMES = ("background", "cat", "dog")
NUM, SIDE = 30, 24
COLOURS = {0: (0, 0, 0), 1: (36, 96, 242), 2: (157, 242, 36), 255: (128, 128, 128)}


def drawn(seed: int, share_wrong: float, num: int = NUM) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles of two classes and a strip that nobody knows, and predictions of which ever more pixels are wrong."""
    truth, rng = np.zeros((num, SIDE, SIDE), np.uint8), np.random.default_rng(7)
    for number in range(num):
        top, left = rng.integers(0, 12, 2)
        truth[number, top : top + 10, left : left + 8] = 1 + number % 2
        truth[number, 22:] = 255
    own = np.random.default_rng(seed)
    is_wrong = own.random(truth.shape) < share_wrong * (np.arange(num) / num)[:, None, None]
    given = np.where(is_wrong, own.integers(0, 3, truth.shape), np.where(truth == 255, 0, truth)).astype(np.uint8)
    return truth, given


def write_segmented(path: Path, seed: int = 0, share_wrong: float = 0.5, *, has_maps: bool = True) -> RunDir:
    """Write a run folder of `Segment`: maps as files, tables and scores made by the product from these maps."""
    task, run = Segment("mask", NAMES), RunDir(path)
    truth, given = drawn(seed, share_wrong)
    path.mkdir(parents=True, exist_ok=True)
    answers = Answers(truth, given, np.linspace(0.1, 2, NUM))
    made = {metric.record_name or metric.key: records_of(task.metrics, answers)[metric.key] for metric in task.metrics}
    answers = Answers(truth, given, answers.losses, None, {key: np.asarray(one, float) for key, one in made.items()})
    layout = Maps(NAMES)
    sidecar = Sidecar(path, "test") if has_maps else None
    ids = [f"photo {number}.png" for number in range(NUM)]
    table = Predictions.of(layout, ids, layout.kept(answers, sidecar))
    write(run.predictions, {"test": table})
    info = describe("a run", NAMES, "label") | {"task": task.to_json(), "seed": seed}
    info["dataset"] |= {"classes": [], "class_counts": None}
    info["result"] = {"epochs": 2, "best_epoch": 2, "stopped": "finished", "time_s": 12.6}
    write_json(path / "run.json", info)
    scores = {"test": scores_of(task, answers)}
    write_json(path / "scores.json", scores | {"val": scores["test"]})
    rows = [{"loss": 1 / n, "mean_iou": 0.2 * n, "pixel_accuracy": 0.4 * n} for n in (1, 2)]
    epochs = [{"epoch": n + 1, "train": row, "val": row, "is_best": n == 1} for n, row in enumerate(rows)]
    write_bytes(path / "history.jsonl", "".join(json.dumps(row) + "\n" for row in epochs).encode())
    index = {}
    for number in range(NUM):
        content = io.BytesIO()
        Image.fromarray(np.full((SIDE, SIDE, 3), 40 + 5 * number, np.uint8)).save(content, "JPEG")
        index[f"test/{ids[number]}"] = f"test-{number:04d}.jpg"
        write_bytes(path / "pictures" / f"test-{number:04d}.jpg", content.getvalue())
    write_json(path / "pictures" / "index.json", index)
    return run


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Element:
    return parse(report_run(write_segmented(tmp_path_factory.mktemp("segmented") / "run")))


def pixels(image: Element) -> np.ndarray:
    content = base64.b64decode(image.attributes["src"].split(",")[1])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def strips(section: Element) -> list[tuple[str, str, list[Element]]]:
    """The id, what is said and the images of each row."""
    rows = [row for row in section.all("table", "strips")[0].all("tr") if row.all("td")]
    return [(row.all("small")[0].text, row.all("th")[0].text, row.all("img")) for row in rows]


def in_colours(labels: np.ndarray) -> np.ndarray:
    return np.array([COLOURS.get(k, (0, 0, 0)) for k in range(256)], np.uint8)[labels]


def test_best_median_and_worst_images_show_their_own_maps(page):
    truth, given = drawn(0, 0.5)
    each = [
        jaccard_score(a[a != 255], b[a != 255], average="macro", labels=np.unique([a[a != 255], b[a != 255]]))
        for a, b in zip(truth, given, strict=True)
    ]
    ranked = sorted(range(NUM), key=lambda n: (-each[n], f"photo {n}.png"))
    found = strips(page.get("maps"))
    numbers = [int(re.search(r"\d+", id_)[0]) for id_, _, _ in found]
    assert numbers[:8] == ranked[:8] and numbers[-8:] == ranked[-8:] and numbers[8:16] == ranked[11:19]
    assert [row.text for row in page.get("maps").all("th", "group")] == ["Best", "Median", "Worst"]
    for number, (_, said, images) in zip(numbers, found, strict=True):
        assert f"IoU {100 * each[number]:.1f}%" in said
        photo, true, predicted, errors = map(pixels, images)
        np.testing.assert_array_equal(true, in_colours(truth[number]))
        np.testing.assert_array_equal(predicted, in_colours(given[number]))
        assert np.abs(photo.astype(int) - (40 + 5 * number)).max() <= 2
        is_red = (errors[..., 0].astype(int) - errors[..., 1]) > 90  # a JPEG: colours bleed over its blocks' pixels
        is_wrong = (truth[number] != given[number]) & (truth[number] != 255)
        assert abs(is_red.mean() - is_wrong.mean()) < 0.02
    assert page.get("maps").all("p", "legend")[0].text == "background cat dog"


def test_figures_of_classes_are_those_of_scikit_learn(page):
    truth, given = drawn(0, 0.5)
    known = truth != 255
    true, said = truth[known], given[known]
    ious, dices = jaccard_score(true, said, average=None), f1_score(true, said, average=None)
    accuracies = confusion_matrix(true, said, normalize="true").diagonal()
    order = np.argsort(ious)
    rows = [[cell.text for cell in row.all("td", "n")] for row in page.get("classes").all("tbody")[0].all("tr")]
    assert [row.all("th")[0].text for row in page.get("classes").all("tbody")[0].all("tr")] == [NAMES[k] for k in order]
    for row, k in zip(rows, order, strict=True):
        assert row[:3] == [f"{100 * table[k]:.1f}%" for table in (ious, dices, accuracies)]
        assert row[3] == f"{(true == k).sum():,}"
    share = (true == 0).mean()
    said_constant = f"has a mean IoU of {100 * share / 3:.1f}% and {100 * share:.1f}% of the pixels"
    assert said_constant in page.get("classes").text
    assert f"background for every pixel has {100 * share / 3:.1f}%" in page.get("result").text


def test_confusions_are_shares_of_the_true_classes_pixels(page):
    truth, given = drawn(0, 0.5)
    known = truth != 255
    expected = 100 * confusion_matrix(truth[known], given[known], normalize="true")
    rows = page.get("confusion").all("table", "matrix")[0].all("tbody")[0].all("tr")
    for row, shares in zip(rows, expected, strict=True):
        cells = [cell.text for cell in row.all("td")[:3]]
        assert cells == ["" if share == 0 else "<1" if share < 1 else f"{share:.0f}" for share in shares]


def test_accuracy_by_distance_is_that_of_a_distance_transform(page):
    truth, given = drawn(0, 0.5)
    far = np.stack([distance_transform_edt(~boundary_pixels(one)) for one in truth]) + 1
    known, edges = truth != 255, [0, 1, 2, 4, 8, 16, np.inf]
    expected = [100 * (truth == given)[known & (far > low) & (far <= high)].mean() for low, high in pairwise(edges)]
    cells = page.get("boundaries").all("tbody")[-1].all("td", "n")
    assert [float(cell.text.rstrip("%")) for cell in cells] == pytest.approx(expected, abs=0.051)


def test_curves_show_loss_iou_and_pixel_accuracy(page):
    titles = [one.text for one in page.get("training").all("h3")]
    assert titles == ["Loss", "Mean IoU", "Pixel accuracy"]


def test_a_run_without_maps_says_so(tmp_path):
    page = parse(report_run(write_segmented(tmp_path / "run", has_maps=False)))
    assert "no maps lie beside" in page.get("maps").text and "no maps lie beside" in page.get("confusion").text
    assert len(page.get("classes").all("tbody")[0].all("tr")) == 3


def test_a_map_that_is_gone_is_no_end_of_the_report(tmp_path):
    run = write_segmented(tmp_path / "run")
    for path in (run.path / "predictions" / "test").glob("*-truth.png"):
        path.unlink()
    assert "no maps lie beside" in parse(report_run(run)).get("maps").text


@pytest.fixture(scope="module")
def study_page(tmp_path_factory) -> tuple[Element, int]:
    study = write_study(tmp_path_factory.mktemp("study"), seeds=(0, 1), num_pictures=0, num_images=4)
    shares = {"mlp": 0.9, "baseline": 0.7, "augmented": 0.6, "regularized": 0.3}
    for name, share in shares.items():
        for seed in (0, 1):
            write_segmented(study.run(name, seed).path, 10 * len(name) + seed, share)
    info = json.loads((study.path / "study.json").read_text())
    write_json(study.path / "study.json", info | {"task": Segment("mask", NAMES).to_json()})
    verdict = json.loads((study.path / "verdict.json").read_text())
    write_json(study.path / "verdict.json", verdict | {"metric": "mean_iou"})
    path = report_study(StudyDir(study.path))
    return parse(path), path.stat().st_size


def test_a_study_shows_every_variant_on_the_same_images(study_page):
    page, size = study_page
    assert size < 5_000_000
    table = page.get("beside").all("table", "strips")[0]
    variants = ["regularized", "mlp", "baseline", "augmented"]
    assert [one.text for one in table.all("thead")[0].all("th")] == ["image", "image", "truth", *variants]
    found = strips(page.get("beside"))
    assert len(found) == 9 and all(len(images) == 6 for _, _, images in found)
    for id_, _, images in found:
        number = int(re.search(r"\d+", id_)[0])
        for name, image in zip(variants, images[2:], strict=True):
            share = {"mlp": 0.9, "baseline": 0.7, "augmented": 0.6, "regularized": 0.3}[name]
            _, given = drawn(10 * len(name), share)
            np.testing.assert_array_equal(pixels(image), in_colours(given[number]))


def test_a_study_compares_classes_places_and_time(study_page):
    page, _ = study_page
    lines = {
        row.all("th")[0].text: [cell.text for cell in row.all("td")]
        for row in page.get("by-class").all("tbody")[0].all("tr")
    }
    assert list(lines)[:3] == [f"IoU of {name}" for name in NAMES]
    for column, (name, share) in enumerate({"regularized": 0.3, "mlp": 0.9}.items()):
        both = [drawn(10 * len(name) + seed, share) for seed in (0, 1)]
        ious = [jaccard_score(t[t != 255], g[t != 255], average=None) for t, g in both]
        for k, label in enumerate(NAMES):
            assert lines[f"IoU of {label}"][column] == f"{100 * np.mean([one[k] for one in ious]):.1f}%"
    assert lines["time of a run"] == ["13 s"] * 4
    best = page.get("by-class").all("tbody")[0].all("tr")[0].all("b")
    assert [one.text for one in best] == [max(lines["IoU of background"], key=lambda text: float(text[:-1]))]
    assert page.get("by-class").all("tbody")[1].all("tr")[0].all("th")[0].text == "regularized"
    assert len(page.get("others").all("details", "other")) == 3
