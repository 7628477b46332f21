"""Convolution arithmetic against PyTorch: sizes, contributors and values for random settings in 1-D, 2-D and 3-D."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from striate.base.errors import SettingsError
from striate.nn import arithmetic as a
from striate.nn import arithmetic_values as v

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
UNPOOL = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}
LONGEST = {1: 14, 2: 8, 3: 5}


def tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values))


def draw(rng, axes, low, high):
    return tuple(int(number) for number in rng.integers(low, high + 1, axes))


def draw_conv(rng):
    """Random settings of a convolution: channels, groups, size, kernel, stride, padding, dilation."""
    axes, groups = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    channels, outputs = (groups * int(number) for number in rng.integers(1, 3, 2))
    size = draw(rng, axes, 1, LONGEST[axes])
    return channels, outputs, groups, size, *(draw(rng, axes, *limits) for limits in ((1, 4), (1, 3), (0, 3), (1, 3)))


def settings(seed, count, drawn):
    """Yield `count` settings that PyTorch accepts, with what it gives; what it refuses must be refused here."""
    rng = np.random.default_rng(seed)
    done = refused = 0
    while done < count:
        ours, theirs = drawn(rng)
        try:
            expected = theirs()
        except RuntimeError as problem:
            refused += 1
            if "kT:" not in str(problem):  # limits that PyTorch has for 3-D pooling only
                with pytest.raises(SettingsError):
                    ours()
            continue
        done += 1
        yield ours(), expected
    assert refused < 3 * count


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
def test_conv_equals_pytorch_700_times():
    def drawn(rng):
        channels, outputs, groups, size, kernel, stride, padding, dilation = draw_conv(rng)
        image = rng.normal(size=(channels, *size))
        weight, bias = rng.normal(size=(outputs, channels // groups, *kernel)), rng.normal(size=outputs)
        word = ("same", "valid")[rng.integers(2)] if rng.random() < 0.2 else ""
        stride = (1,) * len(size) if word == "same" else stride
        options = {"stride": stride, "padding": word or padding, "dilation": dilation}

        def ours():
            found = a.windows(size, kernel, **options)
            return a.conv_size(size, found), v.conv(image, weight, found, groups=groups, bias=bias)

        def theirs():
            run = CONV[len(size)]
            return run(tensor(image)[None], tensor(weight), tensor(bias), groups=groups, **options)[0].numpy()

        return ours, theirs

    for (size, values), expected in settings(0, 700, drawn):
        assert size == expected.shape[1:]
        np.testing.assert_allclose(values, expected, atol=1e-9)


def test_transposed_conv_equals_pytorch_500_times():
    def drawn(rng):
        channels, outputs, groups, size, kernel, stride, padding, dilation = draw_conv(rng)
        extra = draw(rng, len(size), 0, 2)
        image = rng.normal(size=(channels, *size))
        weight, bias = rng.normal(size=(channels, outputs // groups, *kernel)), rng.normal(size=outputs)

        def ours():
            found = a.windows(size, kernel, stride=stride, padding=padding, dilation=dilation)
            values = v.transposed(image, weight, found, groups=groups, output_padding=extra, bias=bias)
            return a.transposed_size(size, found, extra), values

        def theirs():
            run = TRANSPOSED[len(size)]
            arrays = tensor(image)[None], tensor(weight), tensor(bias)
            result = run(*arrays, stride, padding, extra, groups, dilation)[0].numpy()
            if not result.size:
                raise RuntimeError("PyTorch lets some empty outputs through")
            return result

        return ours, theirs

    for (size, values), expected in settings(1, 500, drawn):
        assert size == expected.shape[1:]
        np.testing.assert_allclose(values, expected, atol=1e-9)


def draw_pool(rng):
    axes = int(rng.integers(1, 4))
    size, kernel, stride = draw(rng, axes, 1, LONGEST[axes] + 2), draw(rng, axes, 1, 4), draw(rng, axes, 1, 4)
    return size, kernel, stride, draw(rng, axes, 0, 2), bool(rng.integers(2)), rng.normal(size=(2, *size))


def test_max_pool_and_its_positions_equal_pytorch_300_times():
    def drawn(rng):
        size, kernel, stride, padding, ceil, image = draw_pool(rng)
        dilation = draw(rng, len(size), 1, 2)

        def ours():
            found = a.windows(size, kernel, stride=stride, padding=padding, dilation=dilation)
            return a.pool_size(size, found, ceil=ceil), *v.max_pool(image, found, ceil=ceil)

        def theirs():
            run = MAX[len(size)]
            found = run(tensor(image)[None], kernel, stride, padding, dilation, ceil_mode=ceil, return_indices=True)
            values, positions = (one[0].numpy() for one in found)
            is_padding_long = any(one > width // 2 for one, width in zip(padding, kernel, strict=True))
            if is_padding_long or not np.isfinite(values).all():
                raise RuntimeError("PyTorch lets long padding through in 1-D, and windows that hold padding only")
            return values, positions

        return ours, theirs

    for (size, values, positions), expected in settings(2, 300, drawn):
        assert size == expected[0].shape[1:]
        np.testing.assert_array_equal(values, expected[0])
        np.testing.assert_array_equal(positions, expected[1])


def test_avg_pool_equals_pytorch_300_times():
    def drawn(rng):
        size, kernel, stride, padding, ceil, image = draw_pool(rng)
        count = bool(rng.integers(2))

        def ours():
            found = a.windows(size, kernel, stride=stride, padding=padding)
            return a.pool_size(size, found, ceil=ceil), v.avg_pool(image, found, ceil=ceil, count_padding=count)

        def theirs():
            options = {"ceil_mode": ceil, "count_include_pad": count}
            return AVG[len(size)](tensor(image)[None], kernel, stride, padding, **options)[0].numpy()

        return ours, theirs

    for (size, values), expected in settings(3, 300, drawn):
        assert size == expected.shape[1:]
        np.testing.assert_allclose(values, expected, atol=1e-12)


def test_unpool_equals_pytorch_200_times():
    rng = np.random.default_rng(4)
    for _ in range(200):
        axes = int(rng.integers(1, 4))
        kernel = draw(rng, axes, 1, 4)
        stride = tuple(int(rng.integers(1, width + 1)) for width in kernel)
        padding = tuple(int(rng.integers(0, (width - 1) // 2 + 1)) for width in kernel)
        size = draw(rng, axes, 1, 3)
        found = a.windows(size, kernel, stride=stride, padding=padding)
        large = a.unpool_size(size, found)
        assert a.pool_size(large, found) == size
        values, positions = v.max_pool(rng.normal(size=(2, *large)), found)
        arrays = tensor(values)[None], tensor(positions)[None]
        expected = UNPOOL[axes](*arrays, kernel, stride, padding)[0].numpy()
        assert large == expected.shape[1:]
        np.testing.assert_array_equal(v.unpool(values, positions, large), expected)
        factors = draw(rng, axes, 1, 3)
        nearest = F.interpolate(tensor(values)[None], scale_factor=[float(one) for one in factors], mode="nearest")
        np.testing.assert_array_equal(v.unpool_nearest(values, factors), nearest[0].numpy())


def draw_map(rng):
    axes = int(rng.integers(1, 4))
    size = draw(rng, axes, 2, LONGEST[axes] - 1)
    limits = ((1, 3), (1, 3), (0, 2), (1, 2))
    kernel, stride, padding, dilation = (draw(rng, axes, *limit) for limit in limits)
    return size, kernel, {"stride": stride, "padding": padding, "dilation": dilation}


def test_contributors_are_where_gradients_arrive():
    rng, done = np.random.default_rng(5), 0
    while done < 60:
        size, kernel, options = draw_map(rng)
        found = a.windows(size, kernel, **options)
        try:
            made = a.conv_size(size, found)
        except SettingsError:
            continue
        done += 1
        image = torch.ones(1, 1, *size, requires_grad=True)
        result = CONV[len(size)](image, torch.ones(1, 1, *kernel), **options)
        place = tuple(int(rng.integers(0, length)) for length in made)
        (grad,) = torch.autograd.grad(result[0, 0][place], image, retain_graph=True)
        assert a.contributors(place, size, found) == [tuple(at) for at in grad[0, 0].nonzero().tolist()]
        (total,) = torch.autograd.grad(result.sum(), image)
        grids = [a.uses(*axis) for axis in zip(size, made, found, strict=True)]
        assert math.prod(len(grid) for grid in grids) == total.numel()
        for at in np.ndindex(size):
            fed = [out for out in np.ndindex(made) if at in a.contributors(out, size, found)]
            assert a.receivers(at, made, found) == fed
            assert len(fed) == total[0, 0][at] == math.prod(grid[one] for grid, one in zip(grids, at, strict=True))


def test_roles_swap_in_a_transposed_conv():
    size, kernel, options = (3, 4), (3, 2), {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2)}
    found = a.windows(size, kernel, **options)
    made = a.transposed_size(size, found, (1, 0))
    image = torch.ones(1, 1, *size, requires_grad=True)
    result = F.conv_transpose2d(image, torch.ones(1, 1, *kernel), output_padding=(1, 0), **options)
    for place in np.ndindex(made):
        (grad,) = torch.autograd.grad(result[0, 0][place], image, retain_graph=True)
        assert a.receivers(place, size, found) == [tuple(at) for at in grad[0, 0].nonzero().tolist()]
    for place in np.ndindex(size):
        takers = [out for out in np.ndindex(made) if place in a.receivers(out, size, found)]
        assert a.contributors(place, made, found) == takers


def test_terms_add_up_to_the_output():
    rng = np.random.default_rng(6)
    image, kernel = rng.normal(size=(4, 5, 6)), rng.normal(size=(6, 2, 3, 2))
    found = a.windows((5, 6), (3, 2), stride=2, padding=1, dilation=(1, 2))
    values = v.conv(image, kernel, found, groups=2)
    for place in np.ndindex(values.shape):
        products = v.terms(image, kernel, found, place, groups=2)
        assert sum(one.value * one.weight for one in products) == pytest.approx(values[place])
        inside = [one.position[1:] for one in products if one.position is not None]
        assert inside == 2 * a.contributors(place[1:], (5, 6), found)
        assert {one.position[0] // 2 for one in products if one.position is not None} <= {place[0] // 3}


def test_transposed_terms_add_up_to_the_output():
    rng = np.random.default_rng(10)
    image, kernel = rng.normal(size=(4, 3, 4)), rng.normal(size=(4, 3, 3, 2))
    found = a.windows((3, 4), (3, 2), stride=2, padding=1, dilation=(1, 2))
    values = v.transposed(image, kernel, found, groups=2, output_padding=1)
    for place in np.ndindex(values.shape):
        products = v.transposed_terms(image, kernel, found, place, groups=2)
        assert sum(one.value * one.weight for one in products) == pytest.approx(values[place])


def test_a_flipped_kernel_is_the_convolution_of_mathematics():
    rng = np.random.default_rng(7)
    signal, kernel = rng.normal(size=9), rng.normal(size=4)
    ours = v.conv(signal[None], v.flip(kernel[None, None]), a.windows((9,), 4))
    np.testing.assert_allclose(ours[0], np.convolve(signal, kernel, "valid"))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 7])
def test_same_gives_one_output_a_stride(kernel, stride):
    for length in range(1, 20):
        found = a.windows((length,), kernel, stride=stride, padding="same")
        assert a.conv_size((length,), found) == (math.ceil(length / stride),)
        assert found[0].after - found[0].before in {0, 1}


def test_the_receptive_field_of_a_stack_is_where_gradients_arrive():
    rng = np.random.default_rng(8)
    for _ in range(40):
        layers = [a.Window(*map(int, rng.integers(1, 4, 2)), dilation=int(rng.integers(1, 3))) for _ in range(3)]
        image = torch.ones(1, 1, 140, requires_grad=True)
        result = image
        for layer in layers:
            result = F.conv1d(result, torch.ones(1, 1, layer.kernel), stride=layer.stride, dilation=layer.dilation)
        whole = a.receptive(layers)
        assert (whole.stride * (result.shape[-1] - 1) + whole.kernel) <= 140
        for unit in (0, result.shape[-1] - 1):
            (grad,) = torch.autograd.grad(result[0, 0, unit], image, retain_graph=True)
            touched = grad.flatten().nonzero()
            assert (int(touched.min()), int(touched.max())) == (whole.taps(unit)[0], whole.taps(unit)[-1])


def test_formulas_are_true():
    rng, checked = np.random.default_rng(9), 0
    for _ in range(400):
        kind = ("conv", "transposed", "pool", "unpool")[rng.integers(4)]
        length, kernel, stride = (int(number) for number in rng.integers(1, 9, 3))
        dilation = int(rng.integers(1, 3)) if kind != "unpool" else 1
        padding, ceil = (int(rng.integers(3)), int(rng.integers(3))), kind == "pool" and bool(rng.integers(2))
        try:
            text = a.formula(kind, length, a.Window(kernel, stride, *padding, dilation), ceil=ceil)
        except SettingsError:
            continue
        left, size = text.replace("(the last window would start behind the input)", "").rsplit(" = ", 1)
        assert eval(left, {"floor": math.floor, "ceil": math.ceil}) == int(size)  # noqa: S307 - our own text
        checked += 1
    assert checked > 200


def test_sharing_weights_saves_what_the_literature_counts():
    found = a.windows((227, 227), 11, stride=4)
    made = a.conv_size((227, 227), found)
    cost = a.parameters(3, 96, found, (227, 227), made)
    assert made == (55, 55)
    assert cost["shared"] == (34_848, 96)
    assert cost["shared"].total == 34_944
    assert cost["unshared"].total == 55 * 55 * 96 * (11 * 11 * 3 + 1) == 105_705_600
    assert cost["dense"].weights == 227 * 227 * 3 * 55 * 55 * 96


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_parameters_are_those_of_pytorch(groups):
    layers = {
        "conv": torch.nn.Conv2d(8, 12, (3, 5), groups=groups),
        "transposed": torch.nn.ConvTranspose2d(8, 12, (3, 5), groups=groups),
    }
    found = a.windows((9, 9), (3, 5))
    for kind, layer in layers.items():
        made = (a.conv_size if kind == "conv" else a.transposed_size)((9, 9), found)
        places = 81 if kind == "transposed" else 0
        cost = a.parameters(8, 12, found, (9, 9), made, groups=groups, places=places)
        assert cost["shared"].total == sum(one.numel() for one in layer.parameters())
        dense = torch.nn.Linear(8 * 81, 12 * math.prod(made), device="meta")
        assert cost["dense"].total == sum(one.numel() for one in dense.parameters())
        assert cost["unshared"].weights == layer.weight.numel() * (places or math.prod(made))


BAD = {
    "kernel 7 is larger than the padded input of 5": lambda: a.conv_size((5,), a.windows((5,), 7)),
    "kernel 3 with dilation 4 spans 9 and is larger than the padded input of 7": lambda: a.conv_size(
        (5,), a.windows((5,), 3, padding=1, dilation=4)
    ),
    "groups 2 does not divide channels 3": lambda: a.check_groups(3, 4, 2),
    "groups 4 does not divide outputs 6": lambda: a.check_groups(8, 6, 4),
    "output padding 2 is not below 2": lambda: a.transposed_size((5,), a.windows((5,), 3, stride=2), 2),
    "cuts off all 3 outputs": lambda: a.transposed_size((1,), a.windows((1,), 3, padding=2)),
    "padding 2 is more than half": lambda: a.pool_size((5,), a.windows((5,), 3, padding=2)),
    "stride is 0": lambda: a.Window(3, stride=0),
    "padding is -1": lambda: a.windows((5,), 3, padding=-1),
    "padding 'full'": lambda: a.windows((5,), 3, padding="full"),
    "kernel has 3 numbers, the input has 2 axes": lambda: a.windows((5, 5), (1, 2, 3)),
    "input 0x5": lambda: a.conv_size((0, 5), a.windows((0, 5), 1)),
    "unpooling has no dilation": lambda: a.unpool_size((2,), a.windows((2,), 2, dilation=2)),
    "average pooling has no dilation": lambda: v.avg_pool(np.ones((1, 5)), a.windows((5,), 2, dilation=2)),
    "padding only": lambda: v.max_pool(np.ones((1, 1)), a.windows((1,), 2, padding=1, dilation=2)),
    "position 8 is not in an output of 4": lambda: v.unpool(np.ones((1, 1)), np.array([[8]]), (4,)),
    "kernel is (1, 2, 3)": lambda: v.conv(np.ones((1, 5)), np.ones((1, 2, 3)), a.windows((5,), 3)),
}


@pytest.mark.parametrize("words", BAD)
def test_settings_that_cannot_work_are_refused_in_three_parts(words):
    with pytest.raises(SettingsError) as caught:
        BAD[words]()
    assert words in caught.value.what
    assert caught.value.where
    assert caught.value.fix


def test_the_fix_of_a_large_kernel_works():
    with pytest.raises(SettingsError, match="2 more padding"):
        a.conv_size((5,), a.windows((5,), 7))
    assert a.conv_size((5,), a.windows((5,), 7, padding=1)) == (1,)
