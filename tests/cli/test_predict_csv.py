"""`striate predict --csv`: read back by csv.DictReader, it says what --json says."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from striate.cli.app import run
from striate.predict.table import write_table


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(300):  # more than a chunk
        Image.fromarray(np.full((16, 20, 3), number % 256, np.uint8)).save(folder / f"{number:03}.png")
    return folder


def test_the_table_says_what_the_document_says(finished, photos, tmp_path, capsys):
    table = tmp_path / "out" / "new.csv"
    capsys.readouterr()
    assert run(["predict", str(finished), str(photos), "--csv", str(table), "--json", "--threads", "1"]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = rows_of(table)
    assert document["csv"] == str(table)
    assert [row["id"] for row in rows] == [one["id"] for one in document["predictions"]]
    assert len(rows) == 300
    for row, one in zip(rows, document["predictions"], strict=True):
        assert [row["prediction"]] == one["prediction"]
        given = {name: float(row[f"p:{name}"]) for name in one["probabilities"]}
        assert given == pytest.approx(one["probabilities"], rel=1e-5)


def test_a_table_without_things_has_its_columns(tmp_path):
    path = tmp_path / "a.csv"
    write_table(path, [{"id": "a.png", "things": []}, {"id": "b.png", "things": []}])
    assert path.read_text() == "id,label,score,xmin,ymin,xmax,ymax\n"
    write_table(path, [])
    assert path.read_text() == "id\n"


def test_numbers_maps_boxes_tags_and_formulas(tmp_path):
    path = tmp_path / "a.csv"
    write_table(path, [{"id": "=x.png", "values": {"dx": -3.25, "a,b": 1e-9}}])
    assert rows_of(path) == [{"id": "'=x.png", "dx": "-3.25", "a,b": "1e-09"}]
    write_table(path, [{"id": "m.png", "size_hw": [3, 4], "shares": {"sky": 0.25, "sea": 0.75}}])
    assert rows_of(path) == [
        {"id": "m.png", "height": "3", "width": "4", "share:sky": "0.25", "share:sea": "0.75"},
    ]
    box = {
        "id": "b\udcff.png",
        "box": [1, 2, 3.5, 4],
        "prediction": ["a|b", "c"],
        "probabilities": {"a|b": 1, "c": 0.5},
    }
    write_table(path, [box])
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    assert text == "id,prediction,p:a|b,p:c,xmin,ymin,xmax,ymax\nb\udcff.png,a\\|b|c,1,0.5,1,2,3.5,4\n"


def test_no_image_leaves_a_table_without_rows(tmp_path):
    write_table(tmp_path / "a.csv", [])
    assert rows_of(tmp_path / "a.csv") == []


def test_images_in_which_nothing_was_found_leave_the_columns_of_things(tmp_path):
    table = tmp_path / "found.csv"
    thing = {"name": "a", "score": 0.5, "box": [1, 2, 3, 4], "points": [[5, 6, 1.0]]}
    write_table(table, [{"id": "a.png", "things": [thing]}], ["nose"])
    header = table.read_text().splitlines()[0]
    write_table(table, [{"id": "a.png", "things": []}, {"id": "b.png", "things": []}], ["nose"])
    assert table.read_text() == header + "\n"
    assert header == "id,label,score,xmin,ymin,xmax,ymax,x_nose,y_nose"
