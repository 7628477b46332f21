"""A folder as people have it: two classes of photographs, and one of each mishap. Nothing fails late, all is named."""

import csv
import json
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from striate.cli.app import run

BAD = {"round/cut.jpg": "truncated", "square/text.jpg": "not an image"}
ODD = {"square/deep.png": "16 bits", "round/grey.png": "grey", "round/alpha.png": "alpha"}


def picture(name: str) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return np.repeat(np.repeat(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), 8, 0), 8, 1)


@pytest.fixture
def messy(tmp_path):
    root = tmp_path / "messy"
    for index in range(80):
        path = root / ("round", "square")[index % 2] / f"{index:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(path.name)).save(path, quality=90)
    whole = (root / "round" / "00.jpg").read_bytes()
    (root / "round" / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (root / "square" / "text.jpg").write_text("not an image at all")
    (root / "empty").mkdir()
    Image.fromarray(np.linspace(0, 65535, 48 * 48).reshape(48, 48).astype(np.uint16)).save(root / "square" / "deep.png")
    Image.fromarray(picture("grey")[..., 0]).save(root / "round" / "grey.png")
    Image.fromarray(np.dstack([picture("alpha"), picture("a")[..., 0]])).save(root / "round" / "alpha.png")
    (root / "round" / "copy.jpg").write_bytes((root / "round" / "02.jpg").read_bytes())
    (root / "square" / "wrong.jpg").write_bytes((root / "round" / "04.jpg").read_bytes())
    return root


def test_check_names_each_by_file(messy, tmp_path, capsys):
    assert run(["check", str(messy), "--out", str(tmp_path / "check"), "-q", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]

    def of(*kinds: str) -> list[dict]:
        return [item for item in findings if item["kind"] in kinds]

    errors = {name: item["text"] for item in findings if item["severity"] == "error" for name in item["ids"]}
    assert errors.keys() == BAD.keys()
    assert all(BAD[name] in text for name, text in errors.items())
    for kind, name in (("sixteen_bit", "square/deep.png"), ("grey_in_colour", "round/grey.png")):
        assert any(name in item["ids"] and ODD[name] in item["text"] for item in of(kind)), kind
    assert [item["ids"] for item in of("transparent")] == [["round/alpha.png"]]
    copies = [set(item["ids"]) for item in of("duplicate", "duplicate_leak")]
    assert {"round/02.jpg", "round/copy.jpg"} in copies
    assert {"round/04.jpg", "square/wrong.jpg"} in copies
    (conflict,) = of("conflicting_labels")
    assert {"round/04.jpg", "square/wrong.jpg"} == set(conflict["ids"])
    assert "(round)" in conflict["text"]
    assert "(square)" in conflict["text"]
    assert any("empty" in item["text"] for item in of("missing_class"))
    assert (tmp_path / "check" / "contact-sheet.png").exists()


def test_check_strict_ends_with_7_and_lists_what_to_mend(messy, tmp_path, capsys):
    assert run(["check", str(messy), "--out", str(tmp_path / "check"), "-q", "--strict"]) == 7
    said = capsys.readouterr()
    assert re.search(r"^error: .* -- fix: ", said.err.strip().split("\n")[-1])
    for name in (*BAD, *ODD, "round/copy.jpg", "square/wrong.jpg"):
        assert name in said.out, name
    assert run(["check", str(messy), "-q", "--fix-list", "--out", str(tmp_path / "check")]) == 0
    assert BAD.keys() <= set(capsys.readouterr().out.split("\n"))


def test_training_stops_with_the_list_or_trains_without_them(messy, tmp_path, capsys, quick):
    out = tmp_path / "run"
    command = ["train", str(messy), *quick, "--out", str(out)]
    assert run(command) == 3
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert "class folder is empty" in last
    assert "--allow-empty" in last
    assert run([*command, "--allow-empty"]) == 3
    said = capsys.readouterr().err
    assert all(re.search(f"{name}: .*{reason}", said) for name, reason in BAD.items())
    assert said.strip().split("\n")[-1].startswith("error: 2 of 87 images cannot be used")
    assert not out.exists()

    assert run([*command, "--allow-empty", "--on-bad", "skip"]) == 0
    with (out / "skipped.csv").open(newline="") as file:
        rows = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert rows.keys() == BAD.keys()
    assert all(BAD[name] in reason for name, reason in rows.items())
    used = {name for names in json.loads((out / "split.json").read_text()).values() for name in names}
    assert len(used) == 85
    assert not used & BAD.keys()
    info = json.loads((out / "run.json").read_text())
    assert info["task"]["names"] == ["empty", "round", "square"]
    assert info["dataset"]["class_counts"]["train"][0] == 0


def test_leaving_files_out_is_always_the_same(messy, tmp_path, quick):
    for name in ("a", "b"):
        command = ["train", str(messy), *quick, "--allow-empty", "--on-bad", "skip", "--out", str(tmp_path / name)]
        assert run(command) == 0
    assert (tmp_path / "a" / "split.json").read_bytes() == (tmp_path / "b" / "split.json").read_bytes()
    assert (tmp_path / "a" / "skipped.csv").read_bytes() == (tmp_path / "b" / "skipped.csv").read_bytes()
