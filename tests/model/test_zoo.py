"""Every network of the zoo: trains at two sizes, travels, and equals its published original."""

import pytest
import torch
from torch.nn import functional as F
from zoo_families import marked

from striate.base import torchvision as tv
from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.build import assemble
from striate.model.weights import copy_by_order, to_bytes

PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}


@pytest.mark.parametrize("name", marked(name for name in zoo.names() if not zoo.blueprint(name).ends))
def test_every_network_trains_and_travels(name: str, tiny, tmp_path) -> None:
    given, sizes = tiny[name]
    for channels, size in zip((1, 3), sizes, strict=True):
        network = zoo.build(name, classes=["a", "b", "c"], channels=channels, size=size, seed=0, **given)
        trained = [value for value in network.parameters() if value.requires_grad]
        optimiser = torch.optim.SGD(trained, lr=1e-3)
        x = torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(0))
        for _ in range(2):
            outputs = network(x, auxiliary=True).values()
            vectors = [y.flatten(2).mean(2) if y.ndim == 4 else y for y in outputs]
            loss = sum(F.cross_entropy(y, torch.tensor([0, 1, 2, 0])) for y in vectors)
            loss.backward()
            assert all(value.grad is not None and value.grad.isfinite().all() for value in trained)
            optimiser.step()
            optimiser.zero_grad()
        path = tmp_path / f"{size}.safetensors"
        path.write_bytes(to_bytes(network))
        copy = zoo.build(name, classes=3, channels=channels, size=size, weights=path, **given).eval()
        assert torch.equal(copy(x), network.eval()(x))
        assert copy(x[:1]).shape in {(1, 3), (1, 3, size, size)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    network = assemble(zoo.blueprint(name), channels=3, outputs=1000, size_hw=(224, 224))
    assert sum(value.numel() for value in network.parameters()) == PUBLISHED[name]


def equal_to_torchvision(name: str, sizes: tuple[int, ...]) -> None:
    """Copy torchvision's random weights by order and shape; compare logits and the first layer's gradient."""
    torch.manual_seed(0)
    reference = getattr(tv.load("torchvision.models"), name)().eval()
    network = zoo.build(name, classes=1000, size=sizes[0], seed=0).eval()
    with torch.no_grad():  # away from the values every normalisation starts with
        for value in (*reference.parameters(), *reference.buffers()):
            if value.dtype.is_floating_point and value.ndim == 1:
                value.add_(torch.rand_like(value) * 0.1)
    copy_by_order(network, reference.state_dict())
    for size in sizes:
        x = torch.randn(2, 3, size, size)
        ours, theirs = network(x), reference(x)
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
        first = next(network.parameters()), next(reference.parameters())
        gradients = [
            torch.autograd.grad(y.square().mean(), value)[0] for y, value in zip((ours, theirs), first, strict=True)
        ]
        assert (gradients[0] - gradients[1]).abs().max() <= 1e-4 * gradients[1].abs().max()


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_logits_equal_torchvision(name: str) -> None:
    equal_to_torchvision(name, (64, 97))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet34", "resnet101", "resnet152"])
def test_logits_equal_torchvision_for_the_large(name: str) -> None:
    equal_to_torchvision(name, (64, 97))


def test_options_change_the_network() -> None:
    blueprint = zoo.blueprint("bipyramid", width=8, depth=2, head="pool", dense=0, norm="batch", dropout=0.5)
    assert [(row.block, row.width) for row in blueprint.rows] == [
        ("conv", 8),
        ("max_pool", 0),
        ("normalise", 0),
        ("conv", 16),
        ("max_pool", 0),
        ("normalise", 0),
        ("global_pool", 0),
        ("dropout", 0),
        ("linear", 0),
    ]
    network = zoo.build("bipyramid", classes=2, size=32, head="pool", norm="group", activation="gelu", seed=0).eval()
    assert network(torch.zeros(1, 3, 50, 40)).shape == (1, 2)
    conv = zoo.build("bipyramid", classes=2, size=32, norm="batch").rows["conv1"]
    assert conv.conv.bias is None and zoo.build("bipyramid", classes=2, size=32).rows["conv1"].conv.bias is not None
    rates = [part.drop_path for part in zoo.build("resnet18", classes=2, size=64, drop_path=0.7).rows["stage4"]]
    assert [rate.rate for rate in rates] == pytest.approx([0.6, 0.7])


def test_unknown_names_and_options_are_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError) as caught:
        zoo.blueprint("resnt152")
    assert "resnet152" in caught.value.fix
    with pytest.raises(SettingsError) as caught:
        zoo.build("bipyramid", classes=2, widht=3)
    assert "'width'" in caught.value.fix
    with pytest.raises(SettingsError, match="head"):
        zoo.blueprint("bipyramid", head="polo")
    assert zoo.options("resnet18")["width"] == 64 and "name" not in zoo.options("resnet18")
