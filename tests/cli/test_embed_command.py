"""`striate embed` and `striate activations` on a finished run, against numbers from plain hooks on its network."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from striate.cli.app import run
from striate.run.evaluate import open_split


def given(capsys, *arguments):
    capsys.readouterr()
    code = run([*map(str, arguments), "--threads", "1", "--quiet", "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out)


def test_the_map_has_a_row_an_image_and_lists_the_nearest(finished, capsys):
    found = given(capsys, "embed", finished, "--neighbours", "3")
    opened, taken, truth, index = open_split(finished), [], [], []
    last = [part for part in opened.network.modules() if isinstance(part, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda module, args: taken.append(args[0].clone()))
    with torch.no_grad():
        for batch in opened.prepared.loader("test").batches(0):
            opened.network.eval()(batch.images)
            truth += batch.targets["label"].tolist()
            index += batch.index.tolist()
    features = torch.cat(taken).double().numpy()
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :3]
    with open(found["neighbours"], newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    dataset = opened.prepared.dataset
    ids = [dataset.ids[one] for one in index]
    assert [row["id"] for row in rows] == ids
    assert [row["truth"] for row in rows] == [dataset.classes[one] for one in truth]
    assert [[row[f"nearest_{n}"] for n in (1, 2, 3)] for row in rows] == [[ids[i] for i in few] for few in nearest]
    agreement = np.mean([[truth[i] == truth[row] for i in few] for row, few in enumerate(nearest)])
    assert found["agreement"] == pytest.approx(agreement)
    assert found["num_features"] == features.shape[1]
    variances = np.linalg.svd(features - features.mean(0), compute_uv=False) ** 2
    assert found["explained"] == pytest.approx((variances[:2] / variances.sum()).tolist(), rel=1e-4)
    Image.open(found["map"]).verify()


def test_tsne_has_no_shares_of_variance_and_is_drawn_too(finished, capsys):
    pytest.importorskip("sklearn")
    found = given(capsys, "embed", finished, "--method", "tsne", "--images", "9")
    assert found["explained"] == []
    assert found["num_images"] == 9
    assert found["settings"]["perplexity"] == pytest.approx(8 / 3)
    Image.open(found["map"]).verify()


def test_a_map_of_numbers_has_no_classes(tmp_path, quick, capsys):
    folder = tmp_path / "run"
    options = ["--task", "regress", "--target", "angle", "--out", str(folder)]
    assert run(["train", "toy:shapes?n=80&size=16", *quick, *options]) == 0
    found = given(capsys, "embed", folder)
    assert found["agreement"] is None
    Image.open(found["map"]).verify()


def test_activations_are_told_row_by_row(finished, capsys):
    found = given(capsys, "activations", finished, "--images", "10")
    names = [row["name"] for row in found["rows"]]
    opened = open_split(finished)
    assert names == list(opened.network.blueprint.names)
    assert found["num_images"] == 10
    assert sum("relative" in row for row in found["rows"]) == sum("conv" in n or n == "outputs" for n in names)
    capsys.readouterr()
    assert run(["activations", str(finished), "--threads", "1", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2 : 2 + len(names)]] == names
    assert lines[-1] == found["reading"] or "|dL/dW|" in lines[-1]


@pytest.mark.parametrize(
    ("options", "line"),
    [(["--method", "magic"], "magic"), (["--layer", "cnv1"], "cnv1")],
)
def test_mistakes_end_in_one_line(finished, options, line, last_line):
    assert run(["embed", str(finished), *options, "--quiet"]) == 2
    assert line in last_line()
