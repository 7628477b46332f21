"""Weights of any origin: what fits is taken, what differs is adapted by a stated rule, what went where is reported."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from striate.base import torchvision as tv
from striate.base.errors import ModelError
from striate.model import published, zoo
from striate.model.adapt import channels_to, positions_to
from striate.model.network import Network
from striate.model.published import PRESETS, Preset
from striate.model.weights import copy_by_order, load, to_bytes

WIDTH = {"width": 0.1}


def reference(name: str = "mobilenet_v2", **options) -> nn.Module:
    torch.manual_seed(0)
    network = tv.load("torchvision.models").get_model(name, **options)
    with torch.no_grad():
        for value in network.buffers():
            if value.dtype.is_floating_point:
                value.add_(torch.rand_like(value) * 0.1)
    return network.eval()


def small(**options) -> Network:
    return zoo.build("mobilenet_v2", **{"classes": 1000, "size": 32, "seed": 0, **WIDTH, **options})


@pytest.fixture(scope="module")
def narrow() -> nn.Module:
    return reference(width_mult=0.1)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def save_npz(path, state, prefix: str = "") -> None:
    np.savez(path, **{prefix + name: value.numpy() for name, value in state.items()})


def save_safetensors(path, state, prefix: str = "") -> None:
    save_file({prefix + name: value.contiguous() for name, value in state.items()}, path)


def save_pth(path, state, prefix: str = "") -> None:
    torch.save({"epoch": 3, "state_dict": {prefix + name: value for name, value in state.items()}}, path)


@pytest.mark.parametrize(
    ("name", "prefix"), [("w.npz", ""), ("w.npz", "module."), ("w.npz", "_orig_mod.module."), ("w.pth", "module.")]
)
def test_torchvision_s_weights_are_taken_in_their_order(name, prefix, narrow, images, tmp_path) -> None:
    path, save = tmp_path / name, save_npz if name.endswith("npz") else save_pth
    save(path, narrow.state_dict(), prefix)
    network = small().eval()
    found = load(network, path)
    torch.testing.assert_close(network(images), narrow(images), rtol=1e-4, atol=1e-6)
    assert len(found.matched) == 262 and not found.reshaped and not found.missing and not found.unused
    assert found.matched["rows.stem.conv.weight"] == "features.0.0.weight"
    assert str(found) == f"{path}: 262 tensors matched" and found.to_json()["preset"] is None


def test_old_torch_format_is_read(narrow, images, tmp_path) -> None:
    path = tmp_path / "weights.th"
    torch.save(narrow.state_dict(), path, _use_new_zipfile_serialization=False)
    network = small().eval()
    load(network, path)
    torch.testing.assert_close(network(images), narrow(images), rtol=1e-4, atol=1e-6)


def test_safetensors_that_sort_by_name_are_put_in_torchvision_s_order(narrow, images, tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, narrow.state_dict())
    network = small().eval()
    load(network, path)
    torch.testing.assert_close(network(images), narrow(images), rtol=1e-4, atol=1e-6)
    save_safetensors(path, {name.replace("features", "layers"): value for name, value in narrow.state_dict().items()})
    with pytest.raises(ModelError, match="tensors missing, one is"):  # no order, no known name
        load(network, path)


def test_own_file_of_a_compiled_network_is_taken_by_name(tmp_path) -> None:
    one, other = small(classes=4), small(classes=4, seed=1)
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, one.state_dict(), "_orig_mod.")
    found = load(other, path)
    assert all(name == there for name, there in found.matched.items())
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_first_layer_adapts_so_that_equal_channels_give_the_same_answer(channels, narrow, images, tmp_path) -> None:
    path = tmp_path / "weights.npz"
    save_npz(path, narrow.state_dict())
    network = small(channels=channels).eval()
    found = load(network, path)
    grey = images[:, :1]
    expected = narrow(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(network(grey.expand(-1, channels, -1, -1)), expected, rtol=1e-4, atol=1e-6)
    assert found.reshaped == {"rows.stem.conv.weight": f"3 input channels to {channels}"}


def test_more_channels_keep_the_colours_apart() -> None:
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    more = channels_to(weight, 4)
    torch.testing.assert_close(more[:, :3], weight * 0.75)
    torch.testing.assert_close(more[:, 3], weight.mean(1) * 0.75)


def test_head_for_other_classes_is_refused_unless_reset(narrow, tmp_path) -> None:
    path = tmp_path / "weights.npz"
    save_npz(path, narrow.state_dict())
    network = small(classes=10)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load(network, path)
    assert "outputs.linear.weight is 1000x1280, the network's is 10x1280" in caught.value.what
    assert "1000 outputs" in caught.value.fix and "reset_head=True" in caught.value.fix
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())  # nothing half done
    found = load(network, path, reset_head=True)
    assert found.missing == ("rows.outputs.linear.weight", "rows.outputs.linear.bias")
    assert "fresh: rows.outputs.linear.weight" in str(found)
    for name, value in network.state_dict().items():
        changed = not name.startswith("rows.outputs") and "weight" in name and value.ndim == 4
        assert torch.equal(value, before[name]) != changed or value.ndim < 2


def test_weights_of_another_network_are_refused_with_the_first_tensor(narrow, tmp_path) -> None:
    path = tmp_path / "weights.npz"
    save_npz(path, narrow.state_dict())
    with pytest.raises(ModelError) as caught:
        load(small(width=1.0), path)
    expected = "tensor rows.stem.conv.weight is 8x3x3x3, the network's is 32x3x3x3 (from features.0.0.weight)"
    assert caught.value.what == expected
    with pytest.raises(ModelError, match=r"stem.conv.weight"):
        zoo.build("resnet18", classes=1000, size=32, weights=path)
    state = dict(narrow.state_dict())
    del state["classifier.1.bias"]
    save_npz(path, state)
    with pytest.raises(ModelError, match="262 tensors here, 261 there"):
        load(small(), path)


def test_numbers_that_are_no_weights_are_refused(narrow, tmp_path) -> None:
    path = tmp_path / "weights.npz"
    state = dict(narrow.state_dict())
    state["features.0.0.weight"] = state["features.0.0.weight"].mul(100).to(torch.int8)
    save_npz(path, state)
    with pytest.raises(ModelError) as caught:
        load(small(), path)
    assert "is 8x3x3x3 torch.int8, the network's is 8x3x3x3" in caught.value.what


def test_half_precision_becomes_single(narrow, images, tmp_path) -> None:
    path = tmp_path / "weights.npz"
    save_npz(path, {name: value.half() if value.ndim == 4 else value for name, value in narrow.state_dict().items()})
    network = small().eval()
    load(network, path)
    assert network.rows["stem"].conv.weight.dtype == torch.float32
    torch.testing.assert_close(network(images), narrow(images), rtol=0.05, atol=0.05)


def test_a_transformer_s_positions_follow_the_size_of_its_map(tmp_path) -> None:
    options = {"classes": 3, "width": 12, "depth": 1}
    one, path = zoo.build("vit_cifar", size=32, **options), tmp_path / "weights.npz"
    save_npz(path, {f"their.{name}": value for name, value in one.state_dict().items()})
    found = load(zoo.build("vit_cifar", size=48, **options), path)
    assert found.reshaped == {"rows.tokens.positions": "65 positions to 145"}
    with pytest.raises(ModelError, match="patches"):  # there is no class token
        load(zoo.build("vit_cifar", size=48, head="pool", **options), path)
    flat = torch.ones(1, 17, 2)
    torch.testing.assert_close(positions_to(flat, 26, (5, 5)), torch.ones(1, 26, 2))
    ramp = torch.linspace(-1, 1, 8).view(1, 8, 1, 1).expand(1, 8, 8, 1).reshape(1, 64, 1)
    moved = positions_to(ramp, 256, (16, 16)).view(16, 16)
    assert (moved.diff(dim=0) > -1e-6).all() and moved.diff(dim=1).abs().max() < 1e-6


def test_dimensions_of_one_come_and_go() -> None:
    network = zoo.build("mlp", classes=3, size=2, depth=0, channels=1)
    state = {"w": torch.randn(3, 4, 1, 1), "b": torch.randn(3)}
    copy_by_order(network, state)
    assert torch.equal(network.rows["outputs"].linear.weight, state["w"].flatten(1))


def test_published_weights_come_from_torch_s_cache(images, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    theirs, found = reference("squeezenet1_1"), published.find("squeezenet1_1")
    path = tmp_path / "hub" / "checkpoints" / found.url.rsplit("/", 1)[-1]
    path.parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), path)
    network = zoo.build("squeezenet1_1", classes=1000, size=64, weights="imagenet").eval()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(x), theirs(x), rtol=1e-4, atol=1e-6)
    other = zoo.build("squeezenet1_1", classes=["a", "b"], channels=1, size=64)
    loaded = load(other, "imagenet")
    assert other(x[:, :1]).shape == (2, 2)
    assert loaded.source == "torchvision SqueezeNet1_1_Weights.IMAGENET1K_V1" and loaded.preset == found.preset
    assert len(loaded.missing) == 2 and len(loaded.reshaped) == 1


def test_weights_that_cannot_be_fetched_are_said_in_one_line(tmp_path, monkeypatch) -> None:
    def fail(*args, **kwargs):
        raise OSError("<urlopen error no route to host>")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(ModelError) as caught:
        zoo.build("resnet18", classes=2, size=32, weights="imagenet")
    assert "cannot fetch the weights of resnet18" in caught.value.what and "checkpoints" in caught.value.fix
    assert caught.value.where.endswith(".pth") and len(caught.value.line) <= 240


def test_timm_s_weights_come_from_the_model_hub(tmp_path, monkeypatch) -> None:
    timm = pytest.importorskip("timm")
    hub = pytest.importorskip("huggingface_hub")
    torch.manual_seed(0)
    theirs = timm.create_model("mobilenetv1_100").eval()
    path = tmp_path / "model.safetensors"
    save_safetensors(path, theirs.state_dict())
    asked = []
    monkeypatch.setattr(hub, "hf_hub_download", lambda *args: asked.append(args) or str(path))
    network = zoo.build("mobilenetv1_100", classes=1000, size=64, weights="imagenet").eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(x), theirs(x), rtol=1e-4, atol=1e-6)
    assert asked[0][0].startswith("timm/mobilenetv1_100") and asked[0][1] == "model.safetensors"

    def fail(*args):
        raise ConnectionError("offline")

    monkeypatch.setattr(hub, "hf_hub_download", fail)
    with pytest.raises(ModelError, match="cannot fetch the weights of mobilenetv1_100"):
        zoo.build("mobilenetv1_100", classes=2, size=32, weights="imagenet")


@pytest.mark.parametrize("name", ["bipyramid", "resnet20", "resnetv2_152"])
def test_networks_that_nobody_publishes_are_said(name: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(ModelError, match=f"no ImageNet weights of {name!r}"):
        published.find(name)


def test_presets_are_those_of_the_publishers() -> None:
    found = published.find("resnet50")
    assert found.preset == Preset(size=224, resize=232)
    assert found.scores == {"top1": 80.858, "top5": 95.434} and len(found.classes) == 1000
    pytest.importorskip("timm")
    nasnet = published.find("nasnetalarge")
    assert nasnet.preset == Preset((0.5,) * 3, (0.5,) * 3, 331, 363)
    assert PRESETS["tensorflow"].options == {"padding": "tensorflow"}
    assert published.find("mobilenet_v2").preset.normal(3) == (PRESETS["torchvision"].mean, PRESETS["torchvision"].std)
    assert published.find("mobilenet_v2").preset.normal(1)[0] == pytest.approx((0.449,), abs=1e-3)


def test_auxiliary_heads_are_left_out_of_a_network_without_them(tmp_path) -> None:
    torch.manual_seed(0)
    theirs = tv.load("torchvision.models").get_model("googlenet", init_weights=True, num_classes=5).eval()
    path = tmp_path / "weights.npz"
    save_npz(path, theirs.state_dict())
    network = zoo.build("googlenet", classes=5, size=64, aux=False, seed=0).eval()
    found = load(network, path)
    assert found.unused and all(name.startswith("aux") for name in found.unused)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(x), theirs(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_presets_of_networks_that_rescale_their_input_themselves(name: str) -> None:
    theirs = tv.load("torchvision.models").get_model(name, init_weights=False, transform_input=True)
    how = tv.load("torchvision.models").get_model_weights(name).DEFAULT.transforms()
    image = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (how.mean, how.std))
    seen = theirs._transform_input((image - mean) / std)
    preset = published.find(name).preset
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (preset.mean, preset.std))
    torch.testing.assert_close((image - mean) / std, seen, rtol=1e-5, atol=1e-5)


def test_names_of_classes_are_unique() -> None:
    assert len(set(published.classes())) == 1000


def test_own_weights_still_travel(tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(to_bytes(small(classes=3)))
    found = load(small(classes=3, seed=5), path)
    assert not found.missing and not found.unused and found.source == str(path)
