"""What names in a weights file say: prefixes are passed over, kinds must agree, numbers that are none are named."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from striate.base import torchvision as tv
from striate.base.errors import ModelError
from striate.cli.app import run
from striate.model import zoo
from striate.model.network import Network
from striate.model.weights import import_file, load


def small(**options) -> Network:
    return zoo.build("mobilenet_v2", **{"classes": 1000, "size": 32, "seed": 0, "width": 0.1, **options})


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    torch.manual_seed(0)
    network = tv.load("torchvision.models").get_model("mobilenet_v2", width_mult=0.1)
    for value in network.buffers():
        if value.dtype.is_floating_point:
            value.add_(torch.rand_like(value) * 0.1)
    return network.eval()


def equal(network: Network, reference: nn.Module) -> bool:
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.allclose(network.eval()(images), reference.eval()(images), rtol=1e-4, atol=1e-6)


PREFIXES = ["model.", "module.", "_orig_mod.", "backbone.", "net.", "module.encoder.", "student.trunk.0."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_that_all_names_share_is_passed_over(prefix, theirs, tmp_path) -> None:
    path = tmp_path / "weights.safetensors"  # sorted by name: without the right names there is no order
    save_file({prefix + name: value.contiguous() for name, value in theirs.state_dict().items()}, path)
    network = small()
    assert len(load(network, path).matched) == 262 and equal(network, theirs)


@pytest.mark.parametrize("prefix", ["", *PREFIXES])
def test_own_names_are_found_below_a_prefix(prefix, tmp_path) -> None:
    path, one, other = tmp_path / "weights.safetensors", small(classes=4), small(classes=4, seed=1)
    save_file({prefix + name: value.contiguous() for name, value in one.state_dict().items()}, path)
    found = load(other, path)
    assert all(name == there for name, there in found.matched.items()) and equal(other, one)


def test_outputs_are_read_below_a_prefix(theirs, tmp_path) -> None:
    state, source, out = small(classes=9, width=1.0).state_dict(), tmp_path / "in.safetensors", tmp_path / "out"
    save_file({f"model.{name}": value.contiguous() for name, value in state.items()}, source)
    import_file(source, "mobilenet_v2", out.with_suffix(".safetensors"))
    assert zoo.build("mobilenet_v2", classes=9, size=32, weights=out.with_suffix(".safetensors")).outputs == 9


def norms(*words: str, separator: str = ".") -> dict[str, Tensor]:
    """The tensors of a `mlp` with batch norm, in torch's order, under other last words."""
    network = zoo.build("mlp", classes=3, size=4, depth=1, width=8, norm="batch", channels=1, seed=0)
    names = dict(zip(("weight", "bias", "running_mean", "running_var"), words, strict=True))
    state = {name: value for name, value in network.state_dict().items() if "tracked" not in name}
    return {
        f"layer{index}{separator}{names[name.rsplit('.', 1)[-1]]}": value + 0.5
        for index, (name, value) in enumerate(state.items())
    }


def mlp() -> Network:
    return zoo.build("mlp", classes=3, size=4, depth=1, width=8, norm="batch", channels=1, seed=1)


@pytest.mark.parametrize(
    "words",
    [
        ("weight", "bias", "running_mean", "running_var"),
        ("gamma", "beta", "moving_mean", "moving_variance"),
        ("kernel", "bias", "moving_mean", "moving_var"),
        ("w", "b", "mean", "var"),  # no known last word: order and shape decide
    ],
)
@pytest.mark.parametrize("separator", [".", "/", "_"])
def test_words_of_other_frameworks_agree(words, separator, tmp_path) -> None:
    np.savez(tmp_path / "w.npz", **{name: value.numpy() for name, value in norms(*words, separator=separator).items()})
    network = mlp()
    load(network, tmp_path / "w.npz")
    values = [value for name, value in network.state_dict().items() if "tracked" not in name]
    assert all(map(torch.equal, values, norms(*words).values()))


@pytest.mark.parametrize(
    "words",
    [
        ("running_mean", "bias", "weight", "running_var"),
        ("weight", "running_mean", "bias", "running_var"),
        ("gamma", "beta", "moving_variance", "moving_mean"),
        ("bias", "weight", "running_mean", "running_var"),
    ],
)
def test_names_that_say_otherwise_than_the_order_are_refused(words, tmp_path) -> None:
    path, network = tmp_path / "w.npz", mlp()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    np.savez(path, **{name: value.numpy() for name, value in norms(*words).items()})
    with pytest.raises(ModelError, match="would go into rows") as caught:
        load(network, path)
    assert caught.value.exit_code == 4 and len(caught.value.line) <= 240
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e39])
def test_numbers_that_are_not_finite_are_named(value, tmp_path) -> None:
    path, state = tmp_path / "w.npz", {name: one.double().numpy() for name, one in mlp().state_dict().items()}
    name = next(name for name in state if name.endswith("running_var"))
    state[name] = state[name].copy()
    state[name][2] = value  # 1e39 is finite as a double only
    state = {key: one for key, one in state.items() if "tracked" not in key}
    np.savez(path, **{key.replace("rows", "theirs"): one for key, one in state.items()})
    with pytest.raises(ModelError, match="1 of 8 numbers that are not finite") as caught:
        load(mlp(), path)
    assert name.replace("rows", "theirs") in caught.value.what and caught.value.exit_code == 4


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("checkpoint.tar", "Best.PTH.TAR")]


@pytest.mark.parametrize("name", ["model_best.pth.tar", *SLOW])
def test_torch_files_called_tar_are_read(name, tmp_path) -> None:
    state, path = zoo.build("mlp", classes=7, size=64, seed=0).state_dict(), tmp_path / name
    torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    words = ["import-weights", str(path), "--model", "mlp", "--out", str(tmp_path / "out.safetensors"), "--json"]
    assert run(words) == 0
    network = zoo.build("mlp", classes=7, size=64, seed=1, weights=tmp_path / "out.safetensors")
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_a_kind_of_file_that_is_not_read_says_what_is(tmp_path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"\x89HDF\r\n")
    with pytest.raises(ModelError, match=r"'\.h5'") as caught:
        load(mlp(), path)
    assert ".safetensors, .npz, .pth" in caught.value.fix
