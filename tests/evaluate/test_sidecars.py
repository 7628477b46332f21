"""What a row of predictions.csv cannot hold lies beside it: it comes back exactly, is sealed, and nothing is held."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from striate.base.errors import DamagedError, DataError, ModelError
from striate.base.rundir import RunDir
from striate.data.sample import Batch
from striate.evaluate.ensemble import combined
from striate.evaluate.layout import Answers, Maps, Objects, Rows, Sidecar
from striate.evaluate.layout.sidecar import digest, read_map, read_objects
from striate.evaluate.predictions import Predictions, read, write
from striate.evaluate.run import evaluate
from striate.metric import Metric
from striate.metric.metric import mean
from striate.task.defaults import Defaults
from striate.task.head import Map
from striate.task.protocol import Decoded

TASK = {"kind": "map", "names": ["sky", "bird"]}
RNG = np.random.default_rng(0)


def overlap(answers):
    """Return pixels right and pixels in all (N, 2)."""
    return np.stack([(answers.truth == answers.values).sum((1, 2)), np.full(len(answers.truth), 16)], 1)


def shares(records, weights):
    return (weights @ records[:, 0]) / (weights @ records[:, 1])


@dataclass(frozen=True)
class Quadrants(Defaults):
    name: ClassVar[str] = "quadrants"
    metrics: ClassVar = (Metric("right", "right", record=overlap, value=shares),)

    @property
    def head(self):
        return Map(len(self.names))

    def losses(self, outputs, batch):
        loss = torch.nn.functional.cross_entropy(outputs, batch.targets[self.target].long(), reduction="none")
        return loss.mean((1, 2))

    def decode(self, outputs):
        return Decoded(outputs.argmax(1).to(torch.uint8))


class Loader:
    def __init__(self, truth, size):
        self.truth, self.size = truth, size

    def batches(self, epoch, start=0):
        for first in range(0, len(self.truth), self.size):
            rows = slice(first, first + self.size)
            truth = torch.from_numpy(self.truth[rows])
            yield Batch(truth[:, None].float(), {"part": truth}, np.arange(len(self.truth))[rows])


class Network(torch.nn.Module):
    """Says class 1 where the image is 1, but for the first row."""

    def forward(self, images):
        outputs = torch.cat([1 - images, images], 1)
        outputs[:, :, 0] = torch.tensor([1.0, 0.0])[None, :, None]
        return outputs


def maps(folder, split="test", num=10, size=3):
    truth = RNG.integers(0, 2, (num, 4, 4)).astype(np.uint8)
    task = Quadrants("part", ("sky", "bird"))
    return truth, evaluate(Network(), task, Loader(truth, size), Sidecar(folder, split) if folder else None)


def test_maps_come_back_exactly_with_their_records(tmp_path):
    truth, found = maps(tmp_path)
    ids = [f"=a,{n}.png" for n in range(9)] + ["caf\udce9.png"]
    write(tmp_path / "predictions.csv", {"test": Predictions.of(Maps(("sky", "bird")), ids, found)})
    table = read(tmp_path / "predictions.csv", TASK)["test"]
    expected = truth.copy()
    expected[:, 0] = 0
    assert table.ids == tuple(ids) and table.names == ("sky", "bird")
    assert all(np.array_equal(table.opened(row), expected[row]) for row in range(10))
    assert all(np.array_equal(table.true_map(row), truth[row]) for row in range(10))
    assert table.records["right"].tolist() == [[int((a == b).sum()), 16] for a, b in zip(truth, expected, strict=True)]
    assert np.array_equal(table.losses.astype(np.float32), found.losses)
    before = (tmp_path / "predictions.csv").read_bytes()
    write(tmp_path / "predictions.csv", {"test": table})
    assert (tmp_path / "predictions.csv").read_bytes() == before
    with PillowImage.open(tmp_path / "predictions" / "test" / "000003.png") as image:
        assert image.format == "PNG" and np.array_equal(np.array(image), expected[3])


def test_records_that_metrics_share_are_made_and_written_once(tmp_path, monkeypatch):
    calls = []

    def counted(answers):
        calls.append(len(answers))
        return overlap(answers)

    def all_right(records, weights):
        return mean((records[:, :1] == records[:, 1:]).astype(float), weights)

    share = Metric("share", "share right", record=counted, value=shares, record_name="pixels")
    whole = Metric("whole", "images all right", record=counted, value=all_right, record_name="pixels")
    monkeypatch.setattr(Quadrants, "metrics", (share, whole))
    truth, found = maps(tmp_path, num=6, size=3)
    assert calls == [3, 3]
    write(tmp_path / "predictions.csv", {"test": Predictions.of(Maps(("sky", "bird")), list("abcdef"), found)})
    table = read(tmp_path / "predictions.csv", TASK)["test"]
    assert set(table.records) == {"pixels"} and table.records["pixels"].shape == (6, 2)
    right = np.concatenate([np.zeros_like(truth[:, :1]), truth[:, 1:]], 1) == truth
    assert share.per_image(table).mean() == pytest.approx(right.mean())
    assert whole.score(whole.records(table)) == pytest.approx(right.all((1, 2)).mean()) and calls == [3, 3]
    task, batch = Quadrants("part", ("sky", "bird")), next(iter(Loader(truth, 6).batches(0)))
    rows = task.tally(Network()(batch.images), batch)
    assert rows.shape == (6, 1 + 1 + 2) and calls == [3, 3, 6]
    assert task.summarise(rows)["share"] == pytest.approx(right.mean())


def test_batches_do_not_matter_and_without_a_sidecar_nothing_is_written(tmp_path):
    global RNG
    tables = []
    for folder, size in ((tmp_path / "a", 3), (tmp_path / "b", 10), (None, 4)):
        RNG = np.random.default_rng(5)
        tables.append(maps(folder, size=size)[1])
    assert np.array_equal(tables[0].values, tables[1].values) and set(tables[2].values) == {""}
    for name in ("truth", "losses"):
        assert all(np.array_equal(getattr(tables[0], name), getattr(one, name)) for one in tables[1:])
    assert not (tmp_path / "predictions").exists()


def test_other_labels_are_noticed_without_opening_a_map(tmp_path):
    _, one = maps(tmp_path / "a")
    _, other = maps(tmp_path / "b")
    a, b = (Predictions.of(Maps(("sky", "bird")), list("abcdefghij"), found) for found in (one, other))
    assert a.difference(b) == "labels" and a.difference(a) is None
    with pytest.raises(DataError, match="probabilities of every pixel"):
        combined([a, a])


@pytest.mark.parametrize("values", [
    np.array([[0, 1], [254, 255]]), np.array([[0, 300], [1, 65535]]), np.array([[-1, 3]]), np.array([[1 << 20]]),
    RNG.normal(size=(3, 4, 5)).astype(np.float32), np.zeros((0, 3), np.int64),
])  # fmt: skip
def test_any_map_comes_back(tmp_path, values):
    (name,) = Sidecar(tmp_path, "val").add_maps(values[None])
    found = read_map(tmp_path, name)
    assert np.array_equal(found, values) and (values.dtype.kind != "f" or found.dtype == values.dtype)


def boxes(*counts):
    return [{"boxes_xyxy": RNG.random((n, 4)).astype(np.float32), "labels": RNG.integers(0, 9, n)} for n in counts]


def test_objects_of_any_number_come_back(tmp_path):
    sidecar, rows, given = Sidecar(tmp_path, "test"), Rows(), [boxes(3, 0), boxes(0), boxes(1, 7)]
    for some in given:
        losses = RNG.random(len(some)).astype(np.float32)
        records = {"hits": RNG.integers(0, 5, (len(some), 2)).astype(float)}
        rows.add(Objects(()).kept(Answers(some, some, losses, None, records), sidecar))
    sidecar.close()
    whole = rows.whole()
    write(tmp_path / "predictions.csv", {"test": Predictions.of(Objects(()), list("abcde"), whole)})
    table = read(tmp_path / "predictions.csv", {"kind": "objects"})["test"]
    assert table.values.tolist() == [3, 0, 0, 1, 7] and table.truth.tolist() == whole.truth.tolist()
    assert np.array_equal(table.records["hits"], whole.records["hits"])
    found = read_objects(tmp_path, "test")
    for one, expected in zip(found, [image for some in given for image in some], strict=True):
        assert all(
            np.array_equal(one[name], expected[name]) and one[name].dtype == expected[name].dtype for name in one
        )


@pytest.mark.parametrize("sizes", [[3], [1000, 24], [1000, 25, 1], [1024, 1024, 5], [3000, 2], [0, 4]])
def test_batches_of_any_size_are_gathered_in_order(sizes):
    rows, given = Rows(), [RNG.normal(size=(size, 2)) for size in sizes]
    for some in given:
        names = np.array([str(value) for value in some[:, 0]], np.str_)  # of another width each time
        rows.add(Answers(names, some, some[:, 1].astype(np.float32), None, {"own": some[:, :1]}))
    whole, expected = rows.whole(), np.concatenate(given)
    assert np.array_equal(whole.values, expected) and whole.truth.tolist() == [str(value) for value in expected[:, 0]]
    assert whole.losses.dtype == np.float32 and np.array_equal(whole.records["own"], expected[:, :1])


def test_a_digest_is_of_values_type_and_shape():
    a = np.arange(6, dtype=np.uint8)
    others = [a.astype(np.int64), a.reshape(2, 3), a[::-1], {"x": a}, {"y": a}]
    assert len({digest(one) for one in (a, *others)}) == 6 and digest(a) == digest(a.copy())


def sealed(folder):
    _, found = maps(folder)
    Sidecar(folder, "val").add_objects(boxes(1))
    write(folder / "predictions.csv", {"test": Predictions.of(Maps(("sky", "bird")), list("abcdefghij"), found)})
    RunDir(folder).seal()
    return read(folder / "predictions.csv", TASK)["test"]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "add"])
def test_a_damaged_map_is_refused_by_name(tmp_path, damage):
    table, path = sealed(tmp_path), tmp_path / "predictions" / "test" / "000002.png"
    assert table.opened(2).shape == (4, 4)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    elif damage == "add":
        (tmp_path / "predictions" / "test" / "000010.png").write_bytes(content)
    else:
        path.write_bytes(content if damage == "flip" else content[:20])
    name = "000010.png" if damage == "add" else path.name
    with pytest.raises(DamagedError) as problem:
        read_map(tmp_path, f"predictions/test/{name}")
    assert name in str(problem.value) and problem.value.fix
    assert table.opened(1).shape == (4, 4)


def test_without_checksums_a_broken_file_is_still_one_line(tmp_path):
    maps(tmp_path)
    path = tmp_path / "predictions" / "test" / "000000.png"
    for content in (b"", b"no image", path.read_bytes()[:40]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="cannot be read"):
            read_map(tmp_path, "predictions/test/000000.png")
    sidecar = Sidecar(tmp_path, "val")
    sidecar.add_objects(boxes(2, 3))
    sidecar.close()
    packed = tmp_path / "predictions" / "val.npz"
    whole = packed.read_bytes()
    for content in (b"", whole[:50], whole[: len(whole) // 2]):
        packed.write_bytes(content)
        with pytest.raises(ModelError, match="cannot be read"):
            read_objects(tmp_path, "val")
    np.savez(packed, offsets=np.array([0, 9]), labels=np.array([1, 2]))
    with pytest.raises(ModelError, match="do not fit"):
        read_objects(tmp_path, "val")
    np.savez(packed, offsets=np.array([0, 1]), labels=np.array([{"code": 1}], dtype=object))
    with pytest.raises(ModelError, match="cannot be read"):
        read_objects(tmp_path, "val")


@pytest.mark.parametrize("name", ["../secret.png", "predictions/../../secret.png", "/etc/passwd", "run.json"])
def test_a_row_names_no_file_of_another_folder(tmp_path, name):
    with pytest.raises(ModelError, match="another folder"):
        read_map(tmp_path, name)


@pytest.mark.parametrize("header", ["truth,file,loss,p:x", "truth,loss,file", "truth,file"])
def test_another_header_is_refused(tmp_path, header):
    (tmp_path / "predictions.csv").write_text(f"split,id,{header}\n")
    with pytest.raises(ModelError, match="header"):
        read(tmp_path / "predictions.csv", TASK)


def test_an_evaluation_removes_the_maps_of_the_one_before(tmp_path):
    maps(tmp_path, num=10)
    maps(tmp_path, num=4)
    names = [f"{number:06d}{end}.png" for number in range(4) for end in ("", "-truth")]
    assert {path.name for path in (tmp_path / "predictions" / "test").iterdir()} == set(names)


MEASURE = """
import re, sys, numpy as np, torch
sys.path.insert(0, sys.argv[2])
from test_sidecars import Loader, Quadrants
from striate.evaluate.layout import Sidecar
from striate.evaluate.run import evaluate
torch.set_num_threads(1)
class Wide(torch.nn.Module):
    def forward(self, images):
        return images.repeat(1, 21, 1, 1) * torch.arange(21.0)[:, None, None]
task, size = Quadrants("part", tuple(map(str, range(21)))), 256
class Images(Loader):
    def __init__(self, num):
        self.num = num
    def batches(self, epoch, start=0):
        for first in range(0, self.num, 8):
            truth = np.full((8, size, size), first % 21, np.uint8)
            yield next(iter(Loader(truth, 8).batches(0)))
from pathlib import Path
def memory(key):
    return int(re.search(key + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
start = memory("VmRSS")
for num in (24, 240):
    evaluate(Wide(), task, Images(num), Sidecar(Path(sys.argv[1]), "test"))
    print(memory("VmHWM") - start)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_outputs_of_a_split_are_never_held(tmp_path):
    """240 images x 21 classes x 256 x 256 are 1.3 GB of outputs; measured is the peak RSS above the start."""
    command = [sys.executable, "-c", MEASURE, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    few, many = map(float, done.stdout.split())
    assert 40 < few < 300  # at least a batch of 8 images, 44 MB
    assert many - few < 32  # 20 as it is; what leaves the heap in pieces grows by another 0.16 MB an image
    assert len(list((tmp_path / "predictions" / "test").glob("*[0-9].png"))) == 240
