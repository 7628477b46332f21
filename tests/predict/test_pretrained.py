"""Published networks name real photos as their publishers say they do."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from striate.base.errors import ModelError, SettingsError
from striate.model import published, zoo
from striate.model.published import PRESETS, Preset
from striate.model.weights import load as load_weights
from striate.predict.pretrained import Pretrained, best, load


@pytest.fixture(scope="module")
def weights(real_data: Path) -> Path:
    path = real_data / "weights"
    if not (path / "reference_logits.npz").is_file():
        pytest.skip("no published weights here")
    return path


@pytest.fixture(scope="module")
def mobilenet(weights: Path) -> Pretrained:
    return load("imagenet:mobilenet_v2", weights / "mobilenet_v2_imagenet.npz", preset="tensorflow")


@pytest.fixture(scope="module")
def squeezenet(weights: Path) -> Pretrained:
    return load("squeezenet1_0", weights / "squeezenet1_0_imagenet.npz")


@pytest.mark.parametrize(("name", "tensors"), [("mobilenet_v2", 262), ("squeezenet1_0", 52)])
def test_logits_of_published_weights_are_the_reference_s(name, tensors, weights, request) -> None:
    predictor = request.getfixturevalue(name.split("_")[0].rstrip("1"))
    reference = np.load(weights / "reference_logits.npz")
    ours = predictor.outputs(list(reference["input_rgb_uint8"])).numpy()
    assert np.abs(ours - reference[name]).max() <= 1e-4 * np.abs(reference[name]).max()
    assert len(predictor.loaded.matched) == tensors and not predictor.loaded.unused


def test_pictures_are_prepared_as_in_the_reference(mobilenet, weights, real_data) -> None:
    reference = np.load(weights / "reference_logits.npz")
    for file, pixels in zip(reference["files"], reference["input_rgb_uint8"], strict=True):
        np.testing.assert_array_equal(mobilenet.fitted(real_data / "imagenet_samples" / str(file)), pixels)


def test_without_tensorflow_s_padding_the_logits_differ(mobilenet, weights) -> None:
    reference = np.load(weights / "reference_logits.npz")
    preset = Preset((0.5,) * 3, (0.5,) * 3)
    other = load("mobilenet_v2", weights / "mobilenet_v2_imagenet.npz", preset=preset)
    ours = other.outputs(list(reference["input_rgb_uint8"])).numpy()
    assert np.abs(ours - reference["mobilenet_v2"]).max() > 1


def test_photos_get_names(mobilenet, real_data) -> None:
    files = [real_data / "imagenet_samples" / "val" / name for name in (
        "n01514668/n01514668_cock.JPEG", "n01494475/n01494475_hammerhead.JPEG")]  # fmt: skip
    cock, hammerhead = mobilenet(files)
    assert best(cock, 1)[0][0] == "hen" or "cock" in [name for name, _ in best(cock, 5)]
    assert [name for name, _ in best(hammerhead, 3)] == ["swimming trunks", "sarong", "barracouta"]
    chances = [chance for _, chance in best(hammerhead, 5)]
    assert chances == sorted(chances, reverse=True) and hammerhead.names == ("swimming trunks",)
    assert sum((hammerhead.probabilities or {}).values()) == pytest.approx(1, abs=1e-4)


def right_of(predictor: Pretrained, folder: Path, rows: list[dict[str, str]]) -> tuple[float, float]:
    """Percent of images whose class is the best, and among the best five."""
    names, hits = predictor.task.names, np.zeros(2)
    for row, found in zip(rows, predictor([folder / row["file"] for row in rows]), strict=True):
        places = [name for name, _ in best(found, 5)]
        truth = names[int(row["class_index"])]
        hits += (places[0] == truth, truth in places)
    return tuple(100 * hits / len(rows))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "top1", "top5"), [("mobilenet", 86.3, 97.0), ("squeezenet", 62.3, 85.0)])
def test_accuracy_on_300_photos_is_the_published_one(name, top1, top5, real_data, request) -> None:
    folder = real_data / "imagenet_samples"
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = right_of(request.getfixturevalue(name), folder, rows)
    assert found == pytest.approx((top1, top5), abs=0.5)


def test_published_weights_bring_their_preparation_and_names(weights, monkeypatch) -> None:
    monkeypatch.setattr(published, "fetch", lambda found: weights / "squeezenet1_0_imagenet.npz")
    predictor = load("imagenet:squeezenet1_0")
    assert predictor.loaded.source == "torchvision SqueezeNet1_0_Weights.IMAGENET1K_V1"
    assert predictor.preset == PRESETS["torchvision"] and predictor.task.names[:2] == ("tench", "goldfish")
    with pytest.raises(ModelError, match="another number of classes than 2"):
        load("imagenet:squeezenet1_0", names=["a", "b"])


def test_resnet_20_names_97_of_100_exact_cifar_pictures(weights, real_data) -> None:
    reference = np.load(weights / "reference_logits_resnet20_cifar10.npz")
    names = [str(name) for name in reference["classes"]]
    predictor = load("resnet20", weights / "resnet20-12fca82f.th", preset="cifar", names=names)
    files = [real_data / str(file) for file in reference["files"]]
    found = predictor(files)
    assert sum(one.names == (file.parent.name,) for one, file in zip(found, files, strict=True)) == 97
    logits = predictor.outputs([predictor.fitted(file) for file in files]).numpy()
    assert np.abs(logits - reference["logits"]).max() <= 1e-4 * np.abs(reference["logits"]).max()


def test_published_weights_serve_as_a_start_for_other_classes(weights) -> None:
    network = zoo.build("mobilenet_v2", classes=["cat", "dog"], channels=1, size=96, seed=0, padding="tensorflow")
    found = load_weights(network, weights / "mobilenet_v2_imagenet.npz", reset_head=True)
    assert len(found.matched) == 260 and len(found.missing) == 2
    assert found.reshaped == {"rows.stem.conv.weight": "3 input channels to 1"}
    output: Tensor = network.eval()(torch.zeros(1, 1, 96, 96))
    assert output.shape == (1, 2) and output.isfinite().all()


def test_grey_and_small_pictures_are_taken(tmp_path) -> None:
    network = zoo.build("mobilenet_v2", classes=3, size=32, seed=0, width=0.1)
    loaded = load_weights(network, _saved(network, tmp_path))
    predictor = Pretrained(network, ["a", "b", "c"], Preset(size=32, resize=36), loaded)
    grey = np.random.default_rng(0).integers(0, 256, (7, 90), np.uint8)
    assert predictor.fitted(grey).shape == (32, 32, 3)
    assert predictor([grey, np.repeat(grey[:, :, None], 3, 2)])[0].probabilities is not None
    same = np.random.default_rng(0).integers(0, 256, (36, 50, 3), np.uint8)
    np.testing.assert_array_equal(predictor.fitted(same), same[2:34, 9:41])


def _saved(network, folder: Path) -> Path:
    from striate.model.weights import to_bytes

    path = folder / "weights.safetensors"
    path.write_bytes(to_bytes(network))
    return path


def test_wrong_names_are_refused(tmp_path) -> None:
    with pytest.raises(SettingsError) as caught:
        load("imagenet:mobilenetv2")
    assert "mobilenet_v2" in caught.value.fix
    with pytest.raises(SettingsError, match="unknown preset"):
        load("mobilenet_v2", tmp_path / "w.npz", preset="tensorflwo")
    with pytest.raises(ModelError, match="no such file"):
        load("mobilenet_v2", tmp_path / "w.npz", preset=PRESETS["tensorflow"])
