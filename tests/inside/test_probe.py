"""The sum behind any cell is what the network stored, and its receptive field is the gradient's support."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trace_networks import NETWORKS, make

from striate.inside.probe import probe
from striate.inside.support import Supports, hull
from striate.inside.trace import map_shape, trace

NUM_PROBES = 100  # of each of six networks


def image_of(name: str) -> torch.Tensor:
    return torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def random_cells(found, count, rng):
    for _ in range(count):
        index = int(rng.integers(len(found.operations)))
        shape = map_shape(tuple(found.operations[index].output.shape))
        yield index, tuple(int(rng.integers(side)) for side in shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_random_cells_are_the_sum_of_their_terms(name):
    rng, found = np.random.default_rng(1), trace(make(name), image_of(name))
    for index, cell in random_cells(found, NUM_PROBES, rng):
        one = probe(found, index, cell)
        assert one.stored == float(found.maps(index)[cell])
        assert abs(one.difference) <= 1e-5 * max(abs(one.stored), 0.1 * one.scale), (one.operation, cell)
        for terms in one.terms:
            cells = terms.cells[terms.is_read]
            assert np.array_equal(found.maps(terms.parent)[tuple(cells.T)], terms.values[terms.is_read])
            assert (terms.cells[~terms.is_read] == -1).all()
            assert (terms.values[~terms.is_read] == 0).all()
        if one.how == "sum":
            total = sum((terms.products).sum() for terms in one.terms) + sum(one.added.values())
            assert total == pytest.approx(one.total, rel=1e-12, abs=1e-12)


def test_every_kind_of_operation_is_taken_apart_somewhere():
    found = {operation.kind for name in NETWORKS for operation in trace(make(name), image_of(name)).operations}
    assert {"conv", "conv_transpose", "max_pool", "avg_pool", "batch_norm", "linear", "add", "multiply"} <= found
    assert {"concat", "activation", "softmax", "mean", "resize", "pad", "reshape", "norm"} <= found


def test_the_terms_of_a_convolution_at_the_border_by_hand():
    conv = nn.Conv2d(1, 1, 3, padding=1)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(9.0).reshape(1, 1, 3, 3))
        conv.bias.fill_(0.5)
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    one = probe(trace(conv, image), 0, (0, 0, 0))
    terms = one.terms[0]
    assert terms.is_read[0].tolist() == [[False, False, False], [False, True, True], [False, True, True]]
    assert terms.products[0].tolist() == [[0, 0, 0], [0, 4 * 1, 5 * 2], [0, 7 * 3, 8 * 4]]
    assert one.added == {"bias": 0.5}
    assert one.total == one.stored == 67.5


def test_the_winner_of_a_maximum_is_the_first_of_the_largest():
    image = torch.tensor([[1.0, 5.0], [5.0, 2.0]])[None, None]
    one = probe(trace(nn.MaxPool2d(2), image), 0, (0, 0, 0))
    assert (one.how, one.terms[0].winner, one.total) == ("maximum", 1, 5.0)


def test_the_numbers_of_batch_norm():
    network = make("plain")
    found = trace(network, image_of("plain"))
    norm, one = network.body[1], probe(found, 1, (4, 3, 2))
    names = {"mean": "running_mean", "variance": "running_var", "gamma": "weight", "beta": "bias"}
    expected = {key: pytest.approx(getattr(norm, name)[4].item()) for key, name in names.items()}
    assert one.numbers == expected | {"eps": norm.eps}


def test_a_cell_that_is_not_there_is_refused():
    with pytest.raises(IndexError):
        probe(trace(nn.ReLU(), torch.zeros(1, 1, 2, 2)), 0, (0, 2, 0))


class Positive(torch.overrides.TorchFunctionMode):
    """The same operations, such that a gradient reaches all that is read: averages for maxima, no dead activations."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.__name__.strip("_")
        if name == "max_pool2d":
            size, stride, padding = kwargs.get("kernel_size", args[1]), kwargs.get("stride"), kwargs.get("padding", 0)
            stride, padding = (args[2], args[3]) if len(args) > 3 else (stride, padding)
            return F.avg_pool2d(args[0], size, stride, padding)
        if name == "softmax":
            return args[0] + args[0].sum(1, keepdim=True)
        if name in {"relu", "relu6", "hardtanh", "hardswish", "dropout", "gelu", "silu", "elu", "sigmoid", "tanh"}:
            return args[0] * 1.0
        return func(*args, **kwargs)


def supports_by_gradient(name, index, cells):
    """Hulls of the non-zero gradient of cells on the image, with positive random weights and image."""
    network = make(name).eval().double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(0.5, 1.5)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.zero_()
    image = torch.rand(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(9)) + 0.5
    image.requires_grad_()
    operations = trace(make(name), image_of(name)).operations
    with Positive():
        values = {-1: image}
        for one in operations:
            values[one.index] = rerun(one, [values[parent] for parent in one.parents], network)
    output = values[index].reshape(map_shape(tuple(values[index].shape)))
    return [torch.autograd.grad(output[cell], image, retain_graph=True)[0] for cell in cells]


def rerun(operation, inputs, network):
    """An operation with the weights of another network of the same make."""
    func, args, kwargs = operation.call
    state = network.state_dict(keep_vars=True)
    names = {id(value): operation.weight_names[key] for key, value in operation.weights.items()}

    def at(value):
        if type(value).__name__ == "Slot":
            return inputs[value.place]
        if isinstance(value, torch.Tensor):
            return state[names[id(value)]] if names.get(id(value)) else value.double()
        return type(value)(map(at, value)) if isinstance(value, tuple | list) else value

    given = {key: at(value) for key, value in kwargs.items() if key != "inplace"}
    name = func.__name__
    if name in {"add_", "__iadd__"}:
        return at(args[0]) + at(args[1])
    if name == "relu_":
        return at(args[0]) * 1.0
    result = func(*at(args), **given)
    return result[operation.part] if isinstance(result, tuple) else result


@pytest.mark.parametrize("name", NETWORKS)
def test_receptive_fields_are_the_support_of_the_gradient(name):
    rng, found = np.random.default_rng(2), trace(make(name), image_of(name))
    supports = Supports(found)
    for index in range(len(found.operations)):
        shape = map_shape(tuple(found.operations[index].output.shape))
        cells = [tuple(int(rng.integers(side)) for side in shape) for _ in range(2)]
        cells += [(0, 0, 0), tuple(side - 1 for side in shape)]
        for cell, slope in zip(cells, supports_by_gradient(name, index, cells), strict=True):
            assert supports.box(index, cell) == hull((slope[0] != 0).numpy()), (found.operations[index], cell)


def test_the_receptive_field_of_a_published_network():
    from striate.model import zoo

    network = zoo.build("resnet18", classes=5, size=64, seed=0)
    found = trace(network, torch.rand(1, 3, 64, 64))
    pool = next(one for one in found.operations if one.kind == "max_pool")
    assert Supports(found).box(pool.index, (0, 4, 5)) == (16 - 5, 20 - 5, 16 + 5, 20 + 5)  # 11 pixels, 4 apart
