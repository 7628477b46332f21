"""Time series in .ts files: read, split, brought to one length, kept with 16 bits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from striate.api import study_ladder
from striate.base.errors import DataError, SettingsError
from striate.base.progress import Progress
from striate.base.size import size_setting
from striate.data import open_dataset
from striate.data.check.check import check
from striate.data.evaluation import open_to_evaluate
from striate.data.geometry import Geometry
from striate.data.loader import Loader
from striate.data.store import open_store, statistics
from striate.run.prepare import prepare, suited
from striate.run.recipe import Recipe, named

HEADER = "#by hand\n@problemName Hand\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n"
RNG = np.random.default_rng(0)


def write(path: Path, lines: list[str], header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "\n".join(lines) + "\n")
    return path


def line_of(case: np.ndarray, label: str) -> str:
    """A case (L, D) as a line, each number with all its digits."""
    return ":".join([",".join(repr(float(value)) for value in column) for column in case.T] + [label])


def pair(folder: Path, *, num: int = 20, dims: int = 1, lengths: tuple[int, ...] = (12,)) -> list[np.ndarray]:
    """A training and a test file of `num` cases each; their values."""
    cases = [RNG.normal(size=(lengths[n % len(lengths)], dims)).astype(np.float32) for n in range(2 * num)]
    lines = [line_of(case, "ab"[n % 2]) for n, case in enumerate(cases)]
    write(folder / "Hand_TRAIN.ts", lines[:num])
    write(folder / "Hand_TEST.ts", lines[num:])
    return cases


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(path)
    return str(caught.value)


def test_a_pair_of_files_is_train_and_test_and_val_comes_from_train(tmp_path):
    pair(tmp_path / "Hand", dims=2)
    dataset = open_dataset(tmp_path / "Hand", seed=1)
    assert {name: len(part) for name, part in dataset.splits.items()} == {"train": 16, "val": 4, "test": 20}
    assert (dataset.name, dataset.channels, dataset.classes) == ("Hand", 2, ("a", "b"))
    assert dataset.ids[0] == "Hand_TRAIN/1" and dataset.ids[20] == "Hand_TEST/1"
    assert set(dataset.splits["test"]) == set(range(20, 40))
    assert dataset.target().values.tolist() == [0, 1] * 20


def test_levels_hold_the_values_to_a_65000th_of_the_training_range(tmp_path):
    cases = pair(tmp_path, dims=3)
    dataset = open_dataset(tmp_path)
    train = np.concatenate([cases[index] for index in dataset.splits["train"]])
    low, high = train.min(0).astype(np.float64), train.max(0).astype(np.float64)
    for index in dataset.splits["test"]:
        levels = dataset.images.read_samples(int(index), None, 16)
        assert levels.shape == (1, 12, 3) and levels.dtype == np.uint16
        values = levels[0] / 65535 * 2 * (high - low) + low - (high - low) / 2
        inside = np.clip(cases[index], low - (high - low) / 2, high + (high - low) / 2)
        np.testing.assert_allclose(values, inside, atol=float((high - low).max()) / 60000)


def test_validation_and_test_series_do_not_set_the_levels(tmp_path):
    cases = pair(tmp_path)
    before = open_dataset(tmp_path).options["ranges"]
    val = int(open_dataset(tmp_path).splits["val"][0])
    for name, at in (("TRAIN", val), ("TEST", 3)):
        lines = (tmp_path / f"Hand_{name}.ts").read_text().splitlines()
        place = len(HEADER.splitlines()) + at
        lines[place] = line_of(cases[at] * 1000, lines[place][-1])
        (tmp_path / f"Hand_{name}.ts").write_text("\n".join(lines))
    assert open_dataset(tmp_path).options["ranges"] == before


def test_series_of_other_lengths_are_brought_to_the_longest_linearly_in_time(tmp_path):
    ramps = [np.linspace(0, 1, length, dtype=np.float32)[:, None] for length in (8, 16) * 10]
    lines = [line_of(case, "ab"[n % 2]) for n, case in enumerate(ramps)]
    write(tmp_path / "R_TRAIN.ts", lines)
    write(tmp_path / "R_TEST.ts", [line_of(np.linspace(0, 1, 40, dtype=np.float32)[:, None], "a")])
    dataset = open_dataset(tmp_path)
    assert dataset.usual.size_hw == (1, 16)
    assert "8 to 40 samples long, brought to 16" in dataset.notes[0]
    store = open_store(dataset, Geometry((1, 16), "squash", 1.0, 1, 16))
    short = store.image(0)[0, :, 0].astype(float)
    places = (np.arange(16) + 0.5) / 2 - 0.5  # of the 16 new samples among the 8
    np.testing.assert_allclose(short, np.interp(places, np.arange(8), dataset.images.read_samples(0, None, 16)[0, :, 0]), atol=1)  # fmt: skip  # noqa: E501
    long = store.image(20)[0, 2:-2, 0].astype(float)
    np.testing.assert_allclose(np.diff(long), np.diff(long).mean(), rtol=0.02)  # a ramp stays a ramp


def test_a_batch_is_the_series_with_mean_0_and_deviation_1(tmp_path):
    cases = pair(tmp_path, dims=2)
    dataset = open_dataset(tmp_path)
    store = open_store(dataset, Geometry((1, 12), "squash", 1.0, 2, 16))
    train = dataset.splits["train"]
    mean, std = statistics(store, train)
    loader = Loader(store, dataset, train, targets=("label",), mean=mean, std=std, batch_size=16, seed=0)
    batch = next(iter(loader.batches(0)))
    whole = np.stack([cases[index] for index in train]).astype(np.float64)
    wanted = (whole - whole.mean((0, 1))) / whole.std((0, 1))
    assert batch.images.shape == (16, 2, 1, 12)
    np.testing.assert_allclose(batch.images[:, :, 0].numpy().transpose(0, 2, 1), wanted, atol=2e-3)


def test_one_file_is_divided_and_says_what_lies_beside_it(tmp_path):
    pair(tmp_path, num=40)
    dataset = open_dataset(tmp_path / "Hand_TRAIN.ts")
    assert sum(map(len, dataset.splits.values())) == 40 and set(dataset.splits) == {"train", "val", "test"}
    assert dataset.readings[0].is_doubtful and "Hand_TEST.ts" in dataset.readings[0].text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,2,?,4:a", "missing value"),
        ("1,2,x,4:a", "'x' is no number"),
        ("1,2,nan,4:a", "a missing value (nan)"),
        ("1,2,,4:a", "a missing value in dimension 1"),
        ("1,2,3,4", "without class"),
        ("1,2,3,4:", "without class"),
        (":a", "no sample in dimension 1"),
        ("1e39,2:a", "1e39 is too large for 32 bits"),
        ("1,2,3,4:c", "class 'c' is not among"),
        ("1,2,3:4,5,6:a", "2 dimensions, the others have 1"),
    ],
)
def test_a_line_that_cannot_be_is_named(tmp_path, line, said):
    path = write(tmp_path / "Bad_TRAIN.ts", ["1,2,3,4:a", line, "4,3,2,1:b"])
    assert said in refused(tmp_path)
    assert f"{path}:8" in refused(tmp_path)


def test_dimensions_of_different_lengths_are_refused(tmp_path):
    path = write(tmp_path / "Bad.ts", ["1,2,3:4,5:a"])
    assert "different lengths (3, 2)" in refused(path) and f"{path}:7" in refused(path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace("@timeStamps false", "@timeStamps true"), "time stamps"),
        (HEADER.replace("@classLabel true a b", "@classLabel false"), "no classes"),
        (HEADER.replace("@data\n", ""), "before @data"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, header, said):
    assert said in refused(write(tmp_path / "Bad.ts", ["1,2,3,4:a"], header))


def test_a_folder_of_several_sets_asks_for_one(tmp_path):
    for name in ("A_TRAIN", "B_TRAIN"):
        write(tmp_path / f"{name}.ts", ["1,2,3:a"])
    assert "several sets" in refused(tmp_path)
    write(tmp_path / "C" / "C_TEST.ts", ["1,2,3:a"])
    assert "no training series" in refused(tmp_path / "C")


def test_typescript_is_no_series(tmp_path):
    (tmp_path / "page.ts").write_text("export const x = 1\n")
    assert "not a dataset" in refused(tmp_path / "page.ts")


def test_flips_and_turns_are_left_out_unless_named(tmp_path):
    pair(tmp_path)
    dataset = open_dataset(tmp_path)
    kinds = {op.kind for op in suited(named("augmented"), dataset, 16, ("label",)).ops}
    assert kinds == {"shift", "brightness", "contrast"}
    asked = Recipe().changed(['augment=["flip"]'])
    assert [op.kind for op in suited(asked, dataset, 16, ("label",)).ops] == ["flip"]


def test_a_check_finds_copies_but_nothing_odd_about_the_form(tmp_path):
    cases = pair(tmp_path)
    lines = (tmp_path / "Hand_TEST.ts").read_text() + line_of(cases[0], "a") + "\n"
    (tmp_path / "Hand_TEST.ts").write_text(lines)
    found = check(open_dataset(tmp_path))
    kinds = {one.kind for one in found.items}
    assert "duplicate_leak" in kinds and not kinds & {"tiny", "long", "unchecked", "near_duplicate"}


def test_a_run_is_evaluated_by_the_ranges_of_its_own_training_series(tmp_path):
    pair(tmp_path / "run")
    ranges = open_dataset(tmp_path / "run").options["ranges"]
    cases = pair(tmp_path / "new")
    (tmp_path / "new" / "Hand_TRAIN.ts").unlink()
    found = open_to_evaluate(str(tmp_path / "new"), "label", "label", ("a", "b"), {"ranges": ranges})
    assert found.images.ranges_text == ranges
    low, high = map(float, ranges.split(".."))
    wanted = np.rint(((cases[20] - low) / (high - low)).clip(0, 1) * 65535)
    np.testing.assert_allclose(found.images.read_samples(0, None, 16)[0], wanted, atol=1)


def test_a_size_of_height_1_is_a_length():
    assert size_setting("1x150") == "1x150" and size_setting("1x4000") == "1x4000"
    for odd in ("1x4", "2x150", "1x9000", "150x1"):
        with pytest.raises(ValueError, match="size is 1x8|each side"):
            size_setting(odd)
    with pytest.raises(SettingsError):
        Recipe().changed(["data.size=1x4"])


def test_few_series_make_small_batches(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    pair(tmp_path / "data", num=100)
    quiet = Progress("quiet")
    ready = prepare(open_dataset(tmp_path / "data"), Recipe(), target=None, device=torch.device("cpu"), progress=quiet)
    assert ready.batch_size == 8  # a tenth of 82 training series
    assert (ready.geometry.size_hw, ready.geometry.fit, ready.geometry.depth) == ((1, 12), "squash", 16)


def plan(where, **options):
    quiet, short = Progress("quiet"), ["train.epochs=1"]
    lines = study_ladder(str(where), {}, changes=short, seeds=2, folds=None, dry_run=True, progress=quiet, **options)
    return "\n".join(lines)


def test_the_study_of_series_compares_networks_for_series(tmp_path):
    pair(tmp_path)
    text = plan(tmp_path)
    networks = ("mlp", "rnn", "lstm", "gru", "tcn", "transformer_1d", "fcn_1d", "resnet_1d")
    assert all(f"{name}" in text for name in networks) and "bipyramid" not in text, text


def test_the_study_of_one_network_for_series_is_the_classic_one(tmp_path):
    pair(tmp_path)
    text = plan(tmp_path, model="gru")
    assert text.count("gru") >= 3 and "augmented" in text and "resnet_1d" not in text, text


def test_the_toy_of_order_is_named_after_what_comes_first():
    data = open_dataset("toy:order?n=40&length=80&noise=0&seed=3")
    assert (data.usual.form, data.classes, data.channels) == ("series", ("bump-first", "burst-first"), 1)
    for values, truth in zip(data.images.values, data.target().values, strict=True):
        sums, steps = np.abs(values[1:, 0] + values[:-1, 0]), np.abs(np.diff(values[:, 0]))
        bump, burst = int(sums.argmax()), int(steps.argmax())  # fast waves cancel in a sum of neighbours
        assert (bump > burst) == bool(truth) and 18 <= abs(bump - burst) <= 32
    again, other = (open_dataset(f"toy:order?n=40&length=80&noise=0&seed={seed}") for seed in (3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(data.images.values, again.images.values, strict=True))
    assert not np.array_equal(data.images.values[0], other.images.values[0])


@pytest.mark.filterwarnings("error")
def test_a_number_too_large_for_32_bits_is_refused_in_one_line(tmp_path):
    path = write(tmp_path / "Hand_TRAIN.ts", ["1,2,3:a", "1,1e39,3:b"])
    with pytest.raises(DataError, match="1e39 is too large for 32 bits in dimension 1"):
        open_dataset(path)
