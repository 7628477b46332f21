"""Batches: what is in them, that nothing but seed and epoch decides it, and what happens when files vanish."""

import gc
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.data.augment import STRENGTHS, Flip, Pipeline
from striate.data.geometry import Geometry
from striate.data.loader import Loader
from striate.data.sample import Dataset
from striate.data.sources.images import ArrayImages, FileImages
from striate.data.store import open_store
from striate.data.target import Angle, Boxes, Label, Mask, Number, Ragged, Tags

QUIET = Progress("quiet")
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
COUNT = 65


def values(batch: torch.Tensor | Ragged) -> torch.Tensor:
    return batch.values if isinstance(batch, Ragged) else batch


def same(one: torch.Tensor | Ragged, other: torch.Tensor | Ragged) -> bool:
    is_alike = not isinstance(one, Ragged) or one.lengths == other.lengths
    return is_alike and torch.equal(values(one), values(other))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def make_dataset(count: int = COUNT, side: int = 24) -> Dataset:
    rng = np.random.default_rng(0)
    targets = {
        "label": Label(rng.integers(0, 3, count), ("a", "b", "c")),
        "tags": Tags(rng.integers(0, 2, (count, 4)).astype(np.uint8), tuple("wxyz")),
        "weight": Number(rng.random((count, 2)).astype(np.float32), ("kg", "cm")),
        "angle": Angle(rng.uniform(0, 360, (count, 1)).astype(np.float32), ("angle",)),
        "mask": Mask.of(rng.integers(0, 3, (count, side, side)), ("sky", "cat", "dog")),
        "box": Boxes.of([[[2, 4, 12, 20]]] * count),
    }
    images = ArrayImages(rng.integers(0, 256, (count, side, side, 3), np.uint8))
    splits = {"train": np.arange(count), "val": np.arange(0, count, 3), "test": np.empty(0, np.intp)}
    return Dataset("test", "nowhere", images, tuple(map(str, range(count))), targets, splits, 3)


def make_loader(dataset: Dataset | None = None, split="train", size_px: int = 24, **options) -> Loader:
    dataset = dataset or make_dataset()
    store = options.pop("store", None) or open_store(dataset, Geometry((size_px, size_px)), QUIET)
    return Loader(store, dataset, split, **{"mean": MEAN, "std": STD, "batch_size": 16, **options})


def epoch_of(loader: Loader, epoch: int = 0, start: int = 0) -> dict[int, torch.Tensor]:
    return {
        int(index): image
        for batch in loader.batches(epoch, start)
        for index, image in zip(batch.index, batch.images, strict=True)
    }


STRONG = {"pipeline": Pipeline(STRENGTHS["strong"]), "shuffle": True, "seed": 3}


def test_a_batch_holds_normalised_pictures_and_every_target_in_its_type():
    dataset = make_dataset()
    batches = list(make_loader(dataset).batches(0))
    assert [len(batch) for batch in batches] == [16, 16, 16, 17]
    first = batches[0]
    assert first.images.dtype == torch.float32 and first.images.shape == (16, 3, 24, 24)
    assert first.images.is_contiguous(memory_format=torch.channels_last)
    expected = (dataset.images.array[:16] / 255 - MEAN) / STD
    np.testing.assert_allclose(first.images.permute(0, 2, 3, 1), expected, rtol=1e-5, atol=1e-5)
    assert first.targets["box"].lengths == (1,) * 16
    received = {name: values(batch) for name, batch in first.targets.items()}
    kinds = {name: (tensor.dtype, tuple(tensor.shape[1:])) for name, tensor in received.items()}
    assert kinds == {
        "label": (torch.int64, ()),
        "tags": (torch.float32, (4,)),
        "weight": (torch.float64, (2,)),
        "angle": (torch.float64, (1,)),
        "mask": (torch.int64, (24, 24)),
        "box": (torch.float32, (4,)),
    }
    for name in ("label", "tags", "weight", "angle"):
        np.testing.assert_allclose(first.targets[name], dataset.targets[name].values[first.index], rtol=1e-4)
    np.testing.assert_array_equal(first.targets["mask"], [dataset.targets["mask"].read(index) for index in range(16)])
    np.testing.assert_array_equal(first.targets["box"].values, [[2, 4, 12, 20]] * 16)


def test_only_the_named_targets_come():
    batch = next(make_loader(targets=["angle"]).batches(0))
    assert list(batch.targets) == ["angle"]


def test_targets_move_with_a_flip():
    dataset = make_dataset()
    loader = make_loader(dataset, pipeline=Pipeline([Flip(horizontal=1, vertical=0)]))
    batch = next(loader.batches(0))
    np.testing.assert_array_equal(
        batch.targets["mask"], [dataset.targets["mask"].read(index)[:, ::-1] for index in range(16)]
    )
    np.testing.assert_allclose(batch.targets["box"].values, np.tile([12, 4, 22, 20], (16, 1)), atol=1e-4)
    expected = (180 - dataset.targets["angle"].values[:16]) % 360
    np.testing.assert_allclose(batch.targets["angle"], expected, atol=1e-2)
    np.testing.assert_array_equal(batch.targets["weight"], dataset.targets["weight"].values[:16])


def test_boxes_and_masks_follow_the_geometry():
    loader = make_loader(size_px=12)
    batch = next(loader.batches(0))
    np.testing.assert_allclose(batch.targets["box"].values, np.tile([1, 2, 6, 10], (16, 1)), atol=1e-4)
    assert batch.targets["mask"].shape == (16, 12, 12)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_threads_and_prefetch_do_not_change_a_bit(threads, ahead):
    reference = list(make_loader(**STRONG, threads=1, ahead=0).batches(1))
    got = list(make_loader(**STRONG, threads=threads, ahead=ahead).batches(1))
    for one, other in zip(reference, got, strict=True):
        np.testing.assert_array_equal(one.index, other.index)
        assert torch.equal(one.images, other.images)
        assert all(same(one.targets[name], other.targets[name]) for name in one.targets)


def test_batch_size_order_and_split_do_not_change_what_a_sample_gets():
    whole = epoch_of(make_loader(**STRONG), 2)
    for other in (
        make_loader(**STRONG | {"batch_size": 7}),
        make_loader(**STRONG | {"shuffle": False}),
        make_loader(split=np.array([5, 60, 9]), **STRONG),
    ):
        assert all(torch.equal(image, whole[index]) for index, image in epoch_of(other, 2).items())


def test_every_epoch_and_seed_has_its_own_order_and_draws():
    loader = make_loader(**STRONG)
    first, second = epoch_of(loader, 0), epoch_of(loader, 1)
    assert list(first) != list(second) and sorted(first) == sorted(second) == list(range(COUNT))
    assert sum(torch.equal(first[i], second[i]) for i in first) == 0
    assert list(epoch_of(make_loader(**STRONG | {"seed": 4}))) != list(first)
    assert list(epoch_of(make_loader())) == list(range(COUNT))


def test_starting_in_the_middle_gives_the_rest_and_decodes_nothing_else(monkeypatch):
    dataset = make_dataset()
    store = open_store(dataset, Geometry((20, 20)), QUIET, max_bytes=0)
    loader = make_loader(dataset, store=store, **STRONG)
    whole = list(loader.batches(5))
    read, original = [], ArrayImages.read
    monkeypatch.setattr(
        ArrayImages, "read", lambda self, i, short_side_px=None: (read.append(i), original(self, i, short_side_px))[1]
    )
    rest = list(loader.batches(5, start=2))
    assert len(rest) == len(loader) - 2
    assert all(torch.equal(one.images, other.images) for one, other in zip(whole[2:], rest, strict=True))
    assert set(read) == {int(index) for batch in rest for index in batch.index}
    assert list(loader.batches(5, start=len(loader))) == []


@pytest.mark.parametrize(
    ("count", "size", "drop_last", "sizes"),
    [
        (65, 64, False, [65]),
        (65, 64, True, [64]),
        (64, 64, False, [64]),
        (66, 64, False, [64, 2]),
        (66, 64, True, [64]),
        (5, 64, False, [5]),
        (5, 64, True, [5]),
        (1, 64, False, [1]),
        (5, 2, False, [2, 3]),
        (3, 1, False, [1, 2]),
    ],
)
def test_a_last_batch_of_one_joins_the_one_before(count, size, drop_last, sizes):
    loader = make_loader(make_dataset(count), batch_size=size, drop_last=drop_last)
    assert [len(batch) for batch in loader.batches(0)] == sizes and len(loader) == len(sizes)


def test_batch_norm_trains_on_every_batch_of_65_pictures():
    norm = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(4), torch.nn.BatchNorm1d(4))
    for batch in make_loader(batch_size=64).batches(0):
        assert torch.isfinite(norm(batch.images)).all()


def test_balanced_sampling_draws_every_class_equally_often():
    dataset = make_dataset(600)
    labels = np.repeat([0, 1, 2], [540, 45, 15])
    dataset.targets["label"] = target = Label(labels, ("a", "b", "c"))
    indices = dataset.splits["train"]
    loader = make_loader(dataset, weights=target.weights(indices), pipeline=Pipeline(STRENGTHS["strong"]))
    orders = [loader.order(epoch) for epoch in range(10)]
    shares = np.bincount(labels[np.concatenate(orders)]) / 6000
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
    assert (orders[0] != orders[1]).any() and (orders[0] == loader.order(0)).all()
    seen: dict[int, list[torch.Tensor]] = {}
    for batch in loader.batches(0):
        for index, image in zip(batch.index, batch.images, strict=True):
            seen.setdefault(int(index), []).append(image)
    twice = next(images for images in seen.values() if len(images) > 1)
    assert not torch.equal(twice[0], twice[1])


def test_rare_tags_weigh_more():
    tags = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], np.uint8)
    np.testing.assert_allclose(Tags(tags, ("a", "b")).weights(np.arange(4)), [1 / 3, 1 / 3, 1, 1 / 3])


def test_an_empty_split_is_refused():
    with pytest.raises(DataError, match="test"):
        make_loader(split="test")


def test_batches_stay_as_they_are_while_later_ones_are_made():
    loader = make_loader(**STRONG)
    kept = list(loader.batches(0))
    copies = [batch.images.clone() for batch in loader.batches(0)]
    list(loader.batches(1))
    assert all(torch.equal(batch.images, copy) for batch, copy in zip(kept, copies, strict=True))


def test_a_loop_that_stops_early_can_start_again():
    loader = make_loader(**STRONG)
    first = next(loader.batches(0)).images
    gc.collect()
    assert torch.equal(next(iter(loader.batches(0))).images, first)


# --- files that vanish while they are streamed ----------------------------------------------------------------------


def streamed(tmp_path: Path, count: int) -> tuple[Dataset, Loader]:
    for number in range(count):
        Image.new("RGB", (16, 16), (number % 256, 0, 0)).save(tmp_path / f"{number}.bmp")
    names = tuple(f"{number}.bmp" for number in range(count))
    targets = {"label": Label(np.arange(count), names)}
    dataset = Dataset("test", "x", FileImages(tmp_path, names, 3), names, targets, {"train": np.arange(count)}, 3)
    store = open_store(dataset, Geometry((16, 16)), QUIET, max_bytes=0)
    return dataset, make_loader(dataset, store=store, batch_size=50, pipeline=Pipeline(STRENGTHS["light"]))


def test_one_file_lost_in_the_middle_of_an_epoch_is_skipped_and_counted(tmp_path):
    _, loader = streamed(tmp_path, 200)
    (tmp_path / "120.bmp").unlink()
    batches = list(loader.batches(0))
    assert [len(batch) for batch in batches] == [50, 50, 49, 50]
    assert list(loader.lost) == [120] and "120.bmp" in loader.lost[120]
    for batch in batches:
        np.testing.assert_array_equal(batch.targets["label"], batch.index)


def test_more_than_one_in_a_hundred_lost_stops_with_their_names(tmp_path):
    _, loader = streamed(tmp_path, 200)
    for number in (20, 120, 121):
        (tmp_path / f"{number}.bmp").write_bytes(b"gone")
    with pytest.raises(DataError, match="2 more") as caught:
        list(loader.batches(0))
    details = caught.value.details
    assert [name in text for name, text in zip(("20.bmp", "120.bmp", "121.bmp"), details, strict=True)] == [True] * 3


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_memory_does_not_grow_with_epochs():
    dataset = make_dataset(10_000, side=4)
    loader = make_loader(dataset, size_px=4, targets=["label"], batch_size=500, pipeline=Pipeline(STRENGTHS["light"]))

    def resident_mb() -> float:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

    for epoch in range(2):
        sum(len(batch) for batch in loader.batches(epoch))
    before = resident_mb()
    for epoch in range(2, 6):
        sum(len(batch) for batch in loader.batches(epoch))
    assert resident_mb() < before * 1.04


@pytest.mark.parametrize("free_bytes", [10**9, 0])
def test_the_code_for_gpus_makes_the_same_batches(free_bytes, monkeypatch):
    """Run on the CPU: the resident store (it fits) and the uploaded batch (it does not)."""
    loader = make_loader(**STRONG)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_bytes, free_bytes))
    resident = loader.store.on_device("cpu")
    assert (resident is not None) == (free_bytes > 0)
    for batch in loader.batches(0):
        draws = loader.pipeline.draw(COUNT, loader.seed, 0)[batch.index]
        squares = np.stack([loader.store.image(index) for index in batch.index])
        plan = loader._plan(batch.index, draws, loader.store.means(batch.index, squares))
        other = loader._on_device(squares if resident is None else resident, batch.index, plan)
        difference = (batch.images - other).abs() * 255 * torch.tensor(STD)[:, None, None]
        assert difference.max() <= 2 and difference.mean() < 0.5


@pytest.mark.gpu
def test_a_gpu_loader_delivers_what_the_cpu_loader_does():
    dataset = make_dataset()
    ours = make_loader(dataset, **STRONG)
    gpu = make_loader(dataset, **STRONG, device="cuda")
    for one, other in zip(ours.batches(0), gpu.batches(0), strict=True):
        np.testing.assert_array_equal(one.index, other.index)
        assert other.images.device.type == "cuda" and other.images.is_contiguous(memory_format=torch.channels_last)
        difference = (one.images - other.images.cpu()).abs() * 255 * torch.tensor(STD)[:, None, None]
        assert difference.max() <= 2
        for name in one.targets:
            assert torch.allclose(values(one.targets[name]).float(), values(other.targets[name]).cpu().float())
