"""C5 to C7: one patient on both sides of a split, labels that are wrong, classes that give themselves away."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .bench import Bench, expect
from .pictures import SMALL, Pixels, encoded, photo, pixels, put, write_table
from .sheet import Row

NUM_GROUPS, EACH = 30, 4
NUM_LABELLED, WRONG_FRAC = 400, 0.05
LEARNS = (
    *("--set", "train.epochs=8", "--set", "model.width=8", "--set", "model.depth=1", "--set", "augment=[]"),
    *("--set", "train.batch_size=16", "-q"),
)


def groups(bench: Bench) -> str:
    rows = [
        [f"p{group:02d}/{i}.png", f"{group % 2}", f"p{group:02d}"] for group in range(NUM_GROUPS) for i in range(EACH)
    ]
    write_table(bench.folder / "kept.csv", rows, "path,label,group")
    write_table(bench.folder / "ids.csv", [row[:2] for row in rows], "path,label")
    for name, options in (("kept", ()), ("ids", ("--group", r"^(p\d+)/"))):
        bench.works("train", f"{name}.csv", *SMALL, *options, "--out", name)
        split = json.loads((bench.folder / name / "split.json").read_text())
        sides = {split_name: {sample.split("/")[0] for sample in ids} for split_name, ids in split.items()}
        expect(all(sides.get(one) for one in ("train", "val", "test")), f"{name}: a split is empty")
        expect(sum(map(len, sides.values())) == NUM_GROUPS, f"{name}: a group is in two splits: {sides}")
    leaky = [[*row, "val" if row[0] in {"p03/1.png", "p08/0.png"} else "train"] for row in rows]
    leaky += [[f"q/{i}.png", f"{i % 2}", f"q{i}", "val"] for i in range(8)]
    write_table(bench.folder / "leaky.csv", leaky, "path,label,group,split")
    found = json.loads(bench.works("check", "leaky.csv", "--out", "sheet", "--json", "-q").out)["findings"]
    leaks = {finding["text"].split("'")[1]: finding for finding in found if finding["kind"] == "group_leak"}
    expect(leaks.keys() == {"p03", "p08"}, f"told as leaks: {list(leaks)}")
    expect("train and val" in leaks["p03"]["text"] and "p03/1.png" in leaks["p03"]["ids"], f"{leaks['p03']}")
    bench.refuses(7, "check", "leaky.csv", "--strict", "--out", "strict", "-q", names=["leaky.csv"])
    return f"{NUM_GROUPS} groups kept together, 2 of 2 leaks told"


def wrong_labels(bench: Bench) -> str:
    """Wrong labels must lead the ranked lists: the rows by loss, and the mistakes in the report."""
    wrong = set(np.random.default_rng(0).permutation(NUM_LABELLED)[: round(WRONG_FRAC * NUM_LABELLED)].tolist())
    for index in range(NUM_LABELLED):
        label = ("cat", "dog")[index % 2 ^ (index in wrong)]
        put(bench.folder / "data" / label / f"{index}.png", encoded(pixels(f"{index}", band=index % 2)))
    bench.works("train", "data", *LEARNS, "--out", "run")
    found = json.loads(bench.works("evaluate", "run", "--split", "all", "--json", "-q", may_change=["run"]).out)
    rows = _rows(bench.folder / found["predictions"])
    expect(len(rows) == NUM_LABELLED, f"{len(rows)} of {NUM_LABELLED} images in the table")
    ranked = [_number(row["id"]) for row in sorted(rows, key=lambda row: -float(row["loss"]))]
    recall = len(wrong & set(ranked[: 2 * len(wrong)])) / len(wrong)
    precision = len(wrong & set(ranked[: len(wrong)])) / len(wrong)
    expect(recall >= 0.8, f"recall {recall:.2f} among the first {2 * len(wrong)}")
    _report_leads(bench.folder / "run", wrong)
    return (
        f"{len(wrong)} of {NUM_LABELLED}: recall {recall:.2f} in the first 2k, precision {precision:.2f} in the first k"
    )


def _report_leads(run: Path, wrong: set[int]) -> None:
    """Fail unless the report's mistakes begin with the wrong labels of the test split."""
    test = {_number(row["id"]) for row in _rows(run / "predictions.csv") if row["split"] == "test"}
    page = (run / "report.html").read_text()
    section = page[page.index('<section id="mistakes">') :]
    section = section[: section.index("</section>")]
    order = [int(number) for number in re.findall(r"(?:cat|dog)/(?:<wbr>)?(\d+)\.png(?:</|<wbr>)", section)]
    order = list(dict.fromkeys(order))
    planted = wrong & test
    expect(planted and planted <= set(order), f"the report shows {len(planted & set(order))} of {len(planted)}")
    first = set(order[: len(planted)])
    expect(len(first & planted) >= 0.8 * len(planted), f"first come {order[: len(planted)]}, wrong are {planted}")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _number(sample_id: str) -> int:
    return int(sample_id.rpartition("/")[2].removesuffix(".png"))


def shortcuts(bench: Bench) -> str:
    told = []
    for what, (change, size_hw) in SHORTCUTS.items():
        for index in range(120):
            is_changed, picture = index % 2 == 1, photo(f"{index}", (48, 64) if index % 4 < 2 else (64, 48))
            if is_changed:
                picture = picture.resize(size_hw[::-1]) if size_hw else picture
            array = np.asarray(picture).copy()
            content = encoded(change(array) if is_changed else array)
            put(bench.folder / what / ("cat", "dog")[is_changed] / f"{index}.png", content)
        found = json.loads(bench.works("check", what, "--out", f"sheet-{what}", "--json", "-q").out)["findings"]
        texts = [one["text"] for one in found if one["kind"] == "shortcut" and one["severity"] == "warning"]
        if what == "nothing":
            expect(not texts, f"told of a folder without one: {texts}")
            continue
        says = [
            re.fullmatch(rf"shortcut: the .*{what}.* alone tells class .* accuracy (\d\.\d+); .*", one) for one in texts
        ]
        accuracies = [float(one[1]) for one in says if one is not None]
        expect(accuracies, f"{what}: no warning with the statistic: {texts}")
        told.append(f"{what} {max(accuracies):.2f}")
        bench.refuses(7, "check", what, "--strict", "--out", f"strict-{what}", "-q", names=[what])
    return f"balanced accuracy of {', '.join(told)}"


def _framed(array: Pixels) -> Pixels:
    array[:2], array[-2:], array[:, :2], array[:, -2:] = 255, 255, 255, 255
    return array


SHORTCUTS: dict[str, tuple[Callable[[Pixels], Pixels], Sequence[int]]] = {
    "border": (_framed, ()),
    "brightness": (lambda array: (array // 2 + 127).astype(np.uint8), ()),
    "size": (lambda array: array, (72, 80)),
    "nothing": (lambda array: array, ()),
}

ROWS = (
    Row("C5", "one group in two splits", groups),
    Row("C6", "5 % of the labels wrong", wrong_labels),
    Row("C7", "class told by border, brightness or size", shortcuts),
)
