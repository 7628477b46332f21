"""Weights of others become a file of ours: the same logits, and nothing else gets in."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.base.errors import ModelError, SettingsError
from striate.base.tensors import read_tensors
from striate.cli.app import run
from striate.data.decode import decode
from striate.model import zoo
from striate.model.published import PRESETS
from striate.model.weights import import_file


class Payload:
    """Code that a pickle would run."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


@pytest.fixture
def weights(real_data: Path) -> Path:
    path = real_data / "weights"
    if not path.is_dir():
        pytest.skip("no published weights here")
    return path


def notes(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])["__metadata__"]


def test_the_cifar_resnet_gives_its_logits_from_the_imported_file(weights, real_data, tmp_path, capsys) -> None:
    out = tmp_path / "resnet20.safetensors"
    words = [str(weights / "resnet20-12fca82f.th"), "--model", "resnet20", "--preset", "cifar", "--out", str(out)]
    assert run(["import-weights", *words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["matched"]), document["missing"], document["reshaped"]) == (97, [], {})
    assert notes(out) == {"model": "resnet20", "preset": "cifar"}
    network = zoo.build("resnet20", classes=10, size=32, weights=out).eval()
    reference = np.load(weights / "reference_logits_resnet20_cifar10.npz")
    pictures = np.stack([decode(real_data / str(file), channels=3) for file in reference["files"]])
    mean, std = (np.array(value) for value in PRESETS["cifar"].normal(3))
    images = torch.from_numpy(((pictures / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        logits = network(images).numpy()
    assert np.abs(logits - reference["logits"]).max() <= 1e-4 * np.abs(reference["logits"]).max()


def test_a_text_says_what_went_where(weights, tmp_path, capsys) -> None:
    out = tmp_path / "squeeze.safetensors"
    words = [str(weights / "squeezenet1_0_imagenet.npz"), "-m", "squeezenet1_0", "--channels", "1", "--out", str(out)]
    assert run(["import-weights", *words]) == 0
    text = capsys.readouterr().out
    assert "matched   52 tensors" in text and "missing   none" in text
    assert "reshaped  rows.conv1.conv.weight: 3 input channels to 1" in text
    assert zoo.build("squeezenet1_0", classes=1000, channels=1, weights=out).channels == 1


def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "mlp.pth"
    names = zoo.build("mlp", classes=7, size=64, seed=0).state_dict()
    torch.save({"state_dict": {f"module.{index}": value for index, value in enumerate(names.values())}}, path)
    return path


def test_outputs_are_read_from_the_last_tensor(tmp_path) -> None:
    out = tmp_path / "mlp.safetensors"
    found = import_file(tiny(tmp_path), "mlp", out)
    assert len(found.matched) == 6 and read_tensors(out)["rows.outputs.linear.bias"].shape == (7,)
    with pytest.raises(ModelError, match="outputs.linear.weight is 7x256, the network's is 5x256"):
        import_file(tiny(tmp_path), "mlp", tmp_path / "other.safetensors", outputs=5)
    assert not (tmp_path / "other.safetensors").exists()


def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path, capsys) -> None:
    out, canary = tmp_path / "out.safetensors", tmp_path / "canary"
    evil = tmp_path / "evil.pth"
    torch.save({"a": torch.zeros(2), "b": Payload(canary)}, evil)
    assert run(["import-weights", str(evil), "--model", "mlp", "--out", str(out)]) == 4
    assert "would run code" in capsys.readouterr().err
    assert run(["import-weights", str(tmp_path / "none.pth"), "--model", "mlp", "--out", str(out)]) == 4
    assert run(["import-weights", str(evil), "--model", "mlpp", "--out", str(out)]) == 2
    with pytest.raises(SettingsError, match="unknown preset"):
        import_file(tiny(tmp_path), "mlp", out, preset="keras")
    assert not out.exists() and not canary.exists()
