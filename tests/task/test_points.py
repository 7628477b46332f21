"""Named points: losses, places and scores by brute force, and the way of a point from a table through all of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from striate.base.errors import DataError, SettingsError
from striate.base.rundir import RunDir
from striate.cli.app import run as command
from striate.data import open_dataset
from striate.data.geometry import Geometry
from striate.data.originals import Originals
from striate.data.sample import Batch
from striate.data.target import Points, Ragged
from striate.data.target.palette import colour_of
from striate.evaluate.layout import Spots
from striate.evaluate.predictions import Predictions, read, write
from striate.evaluate.views import MAX_VIEWS, Averaged, view, view_of
from striate.export.bundle import script_of
from striate.metric import Answers
from striate.metric.mask_matches import SIZE
from striate.metric.points import POINT_ERROR, constant, pck
from striate.model import zoo
from striate.predict import Predictor
from striate.task import fit_task, from_json
from striate.task.points.ways import Direct, HeatMaps

TOY = "toy:shapes?points=corners,centre&n=60&size=32&clutter=0&noise=0.02"
NAMES = ("left", "right", "nose")


def answers_at_random(seed=0, num=200, missing=0.3):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(40, 200, (num, 2))
    truth = rng.uniform(0, 1, (num, 3, 2)) * sizes[:, None, ::-1]
    truth[rng.random((num, 3)) < missing] = np.nan
    values = np.nan_to_num(truth) + rng.normal(0, 6, truth.shape)
    return Answers(truth, values, np.zeros(num), None, {SIZE: sizes})


def by_hand(answers, tolerance, of, weights):
    """Mean error and PCK, one point after the other."""
    off, hits, known, scored = 0.0, 0.0, 0.0, 0.0
    for truth, values, size, weight in zip(answers.truth, answers.values, answers.records[SIZE], weights, strict=True):
        marked = [point for point in range(3) if not np.isnan(truth[point, 0])]
        sides = [truth[marked, axis].max() - truth[marked, axis].min() for axis in (0, 1)] if marked else [0]
        length = max(size) if of == "image" else max(sides)
        for point in marked:
            distance = float(np.sqrt(((truth[point] - values[point]) ** 2).sum()))
            off, known = off + weight * distance, known + weight
            if of == "image" or len(marked) > 1:
                hits, scored = hits + weight * (distance <= tolerance * length), scored + weight
    return off / known, hits / scored


@pytest.mark.parametrize("of", ["image", "points"])
def test_scores_are_those_of_plain_loops(of):
    answers, metric = answers_at_random(), pck(0.05, of)
    error, share = by_hand(answers, 0.05, of, np.ones(200))
    assert POINT_ERROR.score(POINT_ERROR.records(answers)) == pytest.approx(error)
    assert metric.score(metric.records(answers)) == pytest.approx(share)
    weights = np.random.default_rng(1).multinomial(200, np.full(200, 1 / 200), size=2).astype(float)
    expected = [by_hand(answers, 0.05, of, row) for row in weights]
    assert POINT_ERROR.value(POINT_ERROR.records(answers), weights) == pytest.approx([one[0] for one in expected])
    assert metric.value(metric.records(answers), weights) == pytest.approx([one[1] for one in expected])
    for one in (POINT_ERROR, metric):
        records = one.records(answers)
        assert one.contribution(records) == pytest.approx(one.jackknife(records), abs=1e-4)
    assert POINT_ERROR.score(POINT_ERROR.records(answers_at_random(missing=1.1))) is None


def test_the_constant_answer_is_the_mean_place_of_each_point():
    answers = answers_at_random(num=50)
    shares = answers.truth / answers.records[SIZE][:, None, ::-1]
    values = np.nanmean(shares, axis=0) * answers.records[SIZE][:, None, ::-1]
    off = np.sqrt(((values - answers.truth) ** 2).sum(2))
    assert constant((POINT_ERROR,), answers)["point_error"] == pytest.approx(np.nanmean(off))


def batch_of(rng, num=5, side=(24, 32), missing=(1, 2)):
    """Random points in pixels; point 1 of image 2 is not marked, and image 4 has no set at all."""
    xy = rng.uniform(0, 1, (num - 1, 3, 2)).astype(np.float32) * [side[1], side[0]]
    visible = np.full((num - 1, 3), 2)
    visible[missing[1], missing[0]] = 0
    fields = {"visible": torch.from_numpy(visible), "row": torch.arange(num - 1)}
    lengths = (*(1 for _ in range(num - 1)), 0)
    ragged = Ragged(torch.from_numpy(xy.astype(np.float32)), lengths, fields)
    return Batch(torch.zeros(num, 3, *side), {"points": ragged}, np.arange(num)), xy, visible


def task_of(**options):
    target = Points.of(np.random.default_rng(0).uniform(0, 30, (8, 1, 3, 2)), None, NAMES, [(0, 1)])
    return fit_task({"points": target}, np.arange(8), name="points", options=options)


def test_what_is_not_marked_does_not_count():
    rng, task = np.random.default_rng(0), task_of()
    batch, xy, visible = batch_of(rng)
    outputs = torch.from_numpy(rng.normal(size=(5, 6)).astype(np.float32))
    wanted = (xy / [32, 24] - 0.5) / 0.25
    given = outputs.numpy()[:4].reshape(4, 2, 3).transpose(0, 2, 1)
    off = np.abs(given - wanted)
    of_each = np.where(off < 0.1, off**2 / 0.2, off - 0.05).mean(2)
    assert task.loss(outputs, batch)["smooth_l1"].item() == pytest.approx(of_each[visible > 0].mean(), rel=1e-5)
    places = np.clip(0.5 + 0.25 * given, 0, 1) * [32, 24]
    distance = np.sqrt(((places - xy) ** 2).sum(2))
    expected = [distance[row][visible[row] > 0].mean() / 32 for row in range(4)] + [0]
    assert task.losses(outputs, batch).numpy() == pytest.approx(expected, rel=1e-4)
    scores = task.summarise(task.add(task.tally(outputs, batch), task.tally(outputs, batch)))
    assert scores["point_error"] == pytest.approx(distance[visible > 0].mean(), rel=1e-4)
    assert scores["pck"] == pytest.approx((distance[visible > 0] <= 0.05 * 32).mean())
    outputs[2, 1] = outputs[2, 4] = 1e6  # the point that is not marked
    assert task.losses(outputs, batch).numpy() == pytest.approx(expected, rel=1e-4)
    assert from_json(task.to_json()) == task


def test_epochs_are_scored_as_evaluations_are():
    rng, task = np.random.default_rng(3), task_of(tolerance_of="points", tolerance=0.3)
    batch, xy, visible = batch_of(rng)
    outputs = torch.from_numpy(rng.normal(size=(5, 6)).astype(np.float32))
    truth = np.full((5, 3, 2), np.nan)
    truth[:4] = np.where(visible[..., None] > 0, xy, np.nan)
    values = task.decode(outputs).values.numpy() * [32, 24]
    answers = Answers(truth, values, np.zeros(5), None, {SIZE: np.array([[24, 32]] * 5)})
    scores = task.summarise(task.tally(outputs, batch))
    for metric in task.metrics[:2]:
        assert scores[metric.key] == pytest.approx(metric.score(metric.records(answers)), rel=1e-4)


def test_a_heat_map_learns_a_bell_and_its_place_lies_between_pixels():
    rng, way = np.random.default_rng(0), HeatMaps(0.05)
    places = torch.from_numpy(rng.uniform(0.1, 0.9, (6, 2, 2)).astype(np.float32))
    height, width, spread = 20, 40, 0.05 * 40
    y, x = np.mgrid[:height, :width] + 0.5
    bells = np.empty((6, 2, height, width))
    for row, point in np.ndindex(6, 2):
        u, v = places[row, point].numpy() * [width, height]
        bell = np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * spread**2))
        bells[row, point] = bell / bell.sum()
    outputs = torch.from_numpy(rng.normal(size=bells.shape).astype(np.float32))
    logs = F.log_softmax(outputs.flatten(2), 2).view(outputs.shape).numpy()
    assert way.losses(outputs, places).numpy() == pytest.approx(-(bells * logs).sum((2, 3)), rel=1e-4)
    perfect = torch.from_numpy(np.log(bells + 1e-12).astype(np.float32))
    off_px = (way.places(perfect) - places) * torch.tensor([width, height])
    inner = (places > 0.35) & (places < 0.65)  # a border cuts no bell off there
    assert off_px[inner].abs().max() < 0.05
    assert off_px.abs().max() < 1
    other = torch.zeros(1, 1, height, width)
    other[0, 0, 5, 30], other[0, 0, 15, 3] = 30.0, 29.0
    assert (way.places(other)[0, 0] * torch.tensor([width, height])).tolist() == pytest.approx([30.5, 5.5], abs=0.01)


@pytest.mark.parametrize(
    ("network", "head", "way"),
    [
        ("bipyramid", "auto", "direct"),
        ("unet", "auto", "heatmap"),
        ("", "auto", "direct"),
        ("resnet18", "heatmap", "heatmap"),
        ("unet", "direct", "direct"),
    ],
)
def test_the_kind_of_output_chooses_the_head(network, head, way):
    target = Points.of(np.random.default_rng(0).uniform(0, 30, (8, 1, 3, 2)), None, NAMES)
    task = fit_task({"points": target}, np.arange(8), name="points", network=network, options={"head": head})
    assert task.way_name == way
    assert task.head.outputs == (6 if way == "direct" else 3)


@pytest.mark.filterwarnings("ignore")
def test_a_head_is_not_solved_for_points(tmp_path, capsys):
    weights = tmp_path / "weights.safetensors"
    save_file(zoo.build("mobilenet_v2", classes=5).state_dict(), weights)
    words = ["train", TOY, "--task", "points", "--recipe", "features", "--model", "mobilenet_v2", "--quiet"]
    assert command([*words, "--weights", str(weights), "--out", str(tmp_path / "run")]) == 2
    assert "a head is solved for one answer an image, not for points: transfer.head" in capsys.readouterr().err


def test_points_that_cannot_be_learnt():
    two = Points.of([[[[1, 2]], [[3, 4]]], [[[1, 2]]]], names=("a",))
    with pytest.raises(DataError, match="1 of 2 images has several sets of points"):
        fit_task({"points": two}, np.arange(2))
    never = Points.of([[[[1, 2], [3, 4]]]] * 2, [[[2, 0]], [[2, 2]]], names=("a", "b"))
    with pytest.raises(DataError, match="b is not marked in any training image"):
        fit_task({"points": never}, np.arange(1))
    one = Points.of([[[[1, 2]]]] * 2, names=("a",))
    with pytest.raises(SettingsError, match="one point has no box around it"):
        fit_task({"points": one}, np.arange(2), options={"tolerance_of": "points"})


@pytest.mark.parametrize("fit", ["letterbox", "squash", "crop"])
def test_places_return_to_the_images_own_pixels(fit):
    """Points of the network's view, found by the geometry's matrix, are placed where they were, to half a pixel."""
    rng, task, geometry = np.random.default_rng(0), task_of(), Geometry((48, 40), fit, margin=1.15)
    sizes = [(60, 90), (33, 70), (81, 20), (48, 40)]
    target = Points.of([rng.uniform(0.3, 0.7, (1, 3, 2)) * [width, height] for height, width in sizes], None, NAMES)
    seen = []
    for (height, width), xy in zip(sizes, target.xy, strict=True):
        matrix = geometry.matrix(height, width)
        stored = xy @ matrix[:, :2].T + matrix[:, 2]
        seen.append(stored / np.array(geometry.store_hw[::-1]))
    answers = Answers(np.array(seen), np.array(seen), np.zeros(4), None, {SIZE: np.array([[48, 40]] * 4)})
    found = task.placed(answers, Originals(target, geometry, sizes.__getitem__), np.arange(4))
    assert np.abs(found.values - target.xy).max() < 0.5
    assert np.abs(found.truth - target.xy).max() < 1e-4
    assert found.records[SIZE].tolist() == [list(size) for size in sizes]


def own_table(folder, num=24):
    """Images of 80 x 60 with a white disc, whose middle is the one point; the last image has none."""
    rng, lines = np.random.default_rng(0), ["path,x_disc,y_disc,x_left_edge,y_left_edge"]
    y, x = np.mgrid[:60, :80] + 0.5
    for index in range(num):
        u, v = rng.uniform(12, 68), rng.uniform(12, 48)
        pixels = np.where(((x - u) ** 2 + (y - v) ** 2 < 100)[..., None], 255, rng.integers(0, 60, (60, 80, 3)))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:02d}.png")
        lines.append(
            f"{index:02d}.png,{u:.3f},{v:.3f},{u - 10:.3f},{v:.3f}" if index < num - 1 else f"{index:02d}.png,,,,"
        )
    (folder / "points.csv").write_text("\n".join(lines))
    return folder / "points.csv"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model", "way"), [("mlp", "direct"), ("unet", "heatmap")])
def test_points_go_all_the_way(tmp_path, capsys, model, way):
    data, out = own_table(tmp_path), tmp_path / "run"
    small = ["--set", "model.width=4", "--set", "model.depth=1"] if model == "unet" else []
    words = ["train", str(data), "--model", model, "--epochs", "1", "--size", "16", "--threads", "1", "--quiet", *small]
    assert command([*words, "--set", "train.precision=float32", "--out", str(out)]) == 0
    run = RunDir(out)
    info, scores = run.info(), run.scores()["test"]
    assert (info["task"]["name"], info["task"]["way_name"], info["input"]["fit"]) == ("points", way, "letterbox")
    table = read(run.predictions, info["task"])["test"]
    off = np.sqrt(((table.values - table.truth) ** 2).sum(2))
    assert scores["point_error"] == pytest.approx(np.nanmean(off))
    assert scores["pck"] == pytest.approx((off[~np.isnan(off)] <= 4).mean())
    assert scores["intervals"].keys() >= {"point_error", "pck"}
    assert [row["name"] for row in scores["per_point"]] == ["disc", "left_edge"]
    assert scores["constant"]["point_error"] > 0
    dataset = open_dataset(data)
    index = dataset.ids.index(table.ids[0])
    assert table.truth[0] == pytest.approx(dataset.target().xy[index], abs=1e-3)
    name = tmp_path / table.ids[0]
    prediction = Predictor.load(run)([name])[0]
    assert np.array(prediction.points) == pytest.approx(table.values[0], abs=0.5)
    report = (out / "report.html").read_text()
    assert "a point is off by" in report
    assert "Point by point" in report
    capsys.readouterr()
    again, drawn = tmp_path / "found.csv", tmp_path / "drawn"
    assert command(["predict", str(out), str(name), "--json", "--csv", str(again), "--draw", str(drawn)]) == 0
    document = json.loads(capsys.readouterr().out)["predictions"][0]
    assert document["points"]["disc"] == pytest.approx(prediction.points[0])
    assert again.read_text().splitlines()[0] == "id,x_disc,y_disc,x_left_edge,y_left_edge"
    pixels, plain = np.asarray(Image.open(drawn / f"{name.stem}-points.png")), np.asarray(Image.open(name))
    for at, (x, y) in enumerate(prediction.points):
        assert pixels[min(59, int(y)), min(79, int(x))].tolist() in [list(colour_of(one)) for one in (at, at + 1)]
    assert (pixels != plain).any(2).sum() < 60
    assert command(["evaluate", str(out), str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["point_error"] > 0
    assert command(["explain", str(out), str(name), "--quiet"]) == 0
    attack = ["--adversarial", "--images", "4", "--steps", "1", "--eps", "1", "--json"]
    capsys.readouterr()
    assert command(["evaluate", str(out), "--split", "val", *attack]) == 0
    plain = json.loads(capsys.readouterr().out)["attacks"][0]["scores"]["point_error"]
    assert plain > 0.02 * run.scores()["val"]["constant"]["point_error"]
    assert plain == pytest.approx(run.scores()["val"]["point_error"], rel=0.01)


def test_direct_places():
    assert Direct().places(torch.zeros(1, 4)).tolist() == [[[0.5, 0.5], [0.5, 0.5]]]


@pytest.mark.parametrize("fit", ["letterbox", "squash", "crop"])
def test_the_program_beside_an_onnx_file_places_points_as_the_predictor_does(fit):
    """Its own way back, taken out of its text, against that of the geometry."""
    script, names = script_of(task_of()), {"np": np}
    begin, end = script.index("def frame("), script.index("for path in sys.argv")
    code = "\n\n".join(part for part in script[begin:end].split("\n\n\n") if part.startswith(("def frame", "def own")))
    geometry = Geometry((48, 40), fit, margin=1.15)
    names["config"] = {"store_hw": list(geometry.store_hw), "fit": fit}
    exec(compile(code, "predict_onnx.py", "exec"), names)
    shares = np.random.default_rng(0).uniform(0, 1, (9, 2))
    for height, width in [(60, 90), (33, 70), (81, 20)]:
        expected = geometry.way_back(height, width).inner_points(shares * [40, 48])
        given = names["own"](shares, Image.new("RGB", (width, height)))
        assert given == pytest.approx(expected, abs=1e-6)


def test_a_table_reads_as_it_was_written_and_an_ensemble_has_the_mean_places(tmp_path):
    answers, layout = answers_at_random(num=20), Spots(NAMES)
    write(tmp_path / "predictions.csv", {"test": Predictions.of(layout, [f"{at:02d}" for at in range(20)], answers)})
    again = read(tmp_path / "predictions.csv", {"kind": "points", "names": list(NAMES)})["test"]
    np.testing.assert_array_equal(again.truth, answers.truth)
    np.testing.assert_array_equal(again.values, answers.values)
    np.testing.assert_array_equal(again.records[SIZE], answers.records[SIZE])
    assert POINT_ERROR.score(POINT_ERROR.records(again)) == POINT_ERROR.score(POINT_ERROR.records(answers))
    mean = layout.combined([answers, replace(answers, values=answers.values + 2)])
    assert mean.values == pytest.approx(answers.values + 1)
    off = np.sqrt(((mean.values - mean.truth) ** 2).sum(2))
    expected = [row[~np.isnan(row)].mean() if not np.isnan(row).all() else 0 for row in off]
    assert mean.losses == pytest.approx(expected / answers.records[SIZE].max(1))


class Ends(torch.nn.Module):
    """Says of the bright pixels which lies furthest left and right, and where the middle of both is."""

    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, images):
        found = []
        for image in images[:, 0]:
            y, x = (image > 0.5).nonzero().T + 0.5
            ends = torch.stack([torch.stack([x[at], y[at]]) for at in (x.argmin(), x.argmax())])
            found.append(torch.cat([ends, ends.mean(0, keepdim=True)]))
        places = torch.stack(found)
        height, width = images.shape[2:]
        if isinstance(self.way, Direct):
            return ((places / torch.tensor([width, height]) - 0.5) * 4).transpose(1, 2).flatten(1)
        maps = torch.zeros(len(images), 3, height, width)
        for image, row in enumerate(places):
            for point, (across, down) in enumerate(row.long().tolist()):
                maps[image, point, down, across] = 60.0
        return maps


@pytest.mark.parametrize("head", ["direct", "heatmap"])
def test_views_agree_where_the_network_sees_left_as_left(head):
    """Moved and mirrored views say the same of each point once they are undone and the pair has changed places."""
    points = Points.of([[[[1, 1], [2, 2], [3, 3]]]] * 4, None, NAMES, [(0, 1)])
    task = fit_task({"points": points}, np.arange(4), name="points", options={"head": head})
    assert from_json(json.loads(json.dumps(task.to_json()))).pairs is not None
    images, rng = torch.zeros(4, 1, 40, 56), np.random.default_rng(0)
    for image in images:
        image[0, rng.integers(8, 32), rng.integers(8, 24)] = image[0, rng.integers(8, 32), rng.integers(30, 48)] = 1
    network = Ends(task.way)
    wanted = task.decode(network(images)).values
    for number in range(1, MAX_VIEWS):
        seen = network(view(images, number))
        found = task.decode(task.undo_view(seen, view_of(number, (40, 56))).nan_to_num(-60)).values
        torch.testing.assert_close(found[:, :2], wanted[:, :2], atol=1e-5, rtol=0)
        assert not torch.allclose(task.decode(seen).values[:, :2], wanted[:, :2], atol=1e-3)
    merged = task.decode(Averaged(network, task, MAX_VIEWS)(images)).values
    torch.testing.assert_close(merged[:, :2], wanted[:, :2], atol=1e-5, rtol=0)
    assert from_json({**task.to_json(), "pairs": None}).undo_view(network(images), view_of(1, (40, 56))) is not None


def test_the_mean_of_views_is_that_of_places_or_of_probabilities():
    rng = torch.Generator().manual_seed(0)
    two = torch.randn(2, 3, 6, generator=rng)
    torch.testing.assert_close(Direct().merge(two), two.mean(0))
    maps = torch.randn(2, 3, 2, 5, 7, generator=rng)
    logs = maps.flatten(3).log_softmax(3).view_as(maps)
    found = HeatMaps(0.02).merge(logs).flatten(2).softmax(2)
    torch.testing.assert_close(found, maps.flatten(3).softmax(3).mean(0))
