"""Every network, small enough for a test."""

from typing import Any

import pytest

from striate.model.zoo.detectors import ENTRIES

DETECTORS = tuple(ENTRIES)  # which give lists, see test_detectors.py

# What makes a network small enough for a test, and sizes it works on.
TINY = {
    "bipyramid": ({"width": 4}, (16, 32)),
    "airbench": ({"width": 4}, (16, 28)),
    "mlp": ({"width": 8}, (8, 16)),
    "neocognitron": ({"width": 0.1}, (28, 33)),
    "lenet5": ({}, (32, 36)),
    "lenet5_dense": ({"width": 0.5}, (32, 36)),
    "alexnet": ({"width": 0.05}, (64, 80)),
    **{f"vgg{depth}{norm}": ({"width": 0.05}, (32, 40)) for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    "googlenet": ({"width": 0.1}, (32, 64)),
    "inception_v2": ({"width": 0.1}, (32, 64)),
    "inception_v3": ({"width": 0.1}, (75, 96)),
    "inception_resnet_v2": ({"width": 0.1, "depth": [2, 3, 2]}, (75, 96)),
    **dict.fromkeys(("squeezenet1_0", "squeezenet1_1"), ({"width": 0.25}, (32, 64))),
    **dict.fromkeys(
        ("densenet121", "densenet169", "densenet201", "densenet_cifar"), ({"growth": 4, "depth": [2, 3]}, (33, 64))
    ),
    "xception": ({"width": 0.05}, (64, 96)),
    "xception_small": ({"width": 0.1}, (32, 64)),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), ({"width": 4}, (33, 64))),
    **{f"resnetv2_{layers}": ({"width": 4, "depth": [1, 2, 1, 1]}, (33, 64)) for layers in (50, 101, 152)},
    **{f"wide_resnet{layers}_2": ({"width": 4, "depth": [1, 2, 1, 1]}, (33, 64)) for layers in (50, 101)},
    **{f"resnext{name}": ({"width": 16, "depth": [1, 2, 1, 1]}, (33, 64)) for name in ("50_32x4d", "101_32x8d")},
    **{f"resnet{layers}": ({"width": 4, "depth": [2, 2, 2]}, (32, 33)) for layers in (20, 32, 44, 56, 110)},
    **{f"mobilenet{name}": ({"width": 0.1}, (33, 64)) for name in ("v1_100", "_v2", "_v3_small", "_v3_large")},
    **{f"mobilenet{name}_cifar": ({"width": 0.1}, (32, 33)) for name in ("v1", "_v2")},
    **{f"mnasnet{name}": ({"width": 0.1}, (33, 64)) for name in ("0_5", "0_75", "1_0", "1_3")},
    **{f"efficientnet_b{number}": ({"width": 0.1, "depth": 0.3}, (33, 64)) for number in range(8)},
    **{f"nasneta{name}": ({"width": 4, "depth": 1, "stem": 4}, (33, 64)) for name in ("large", "mobile")},
    **{
        f"convnext_{name}": ({"width": 4, "depth": [1, 1, 2, 1]}, (33, 64))
        for name in ("tiny", "small", "base", "large")
    },
    "vit_b_16": ({"width": 12, "depth": 2, "expand": 1.0}, (32, 64)),
    **dict.fromkeys(
        ("unet", "unet_3d", "encoder_decoder", "segnet", "segnet_nearest"), ({"width": 4, "depth": 2}, (33, 64))
    ),
    **dict.fromkeys(("fcn32s", "fcn16s", "fcn8s", "fpn", "linknet"), ({"width": 4, "depth": 3}, (33, 64))),
    "deeplabv3plus": ({"width": 2, "depth": 3, "output_stride": 4}, (33, 64)),
    **{
        f"{name}_resnet{layers}": ({"width": 4, "depth": [1, 2, 1, 1], "output_stride": 8}, (33, 64))
        for name in ("fcn", "deeplabv3")
        for layers in (50, 101)
    },
    "lraspp_mobilenet_v3_large": ({"width": 0.1}, (33, 64)),
    "vit_cifar": ({"width": 12, "depth": 2}, (32, 40)),
    **{f"residual_unet{way}": ({"width": 4, "depth": 2}, (33, 64)) for way in ("", "_transposed", "_resize")},
    **dict.fromkeys(("fcn_1d", "resnet_1d", "rnn", "lstm", "gru"), ({"width": 4}, (16, 33))),
    "tcn": ({"width": 4, "depth": 2}, (16, 33)),
    "transformer_1d": ({"width": 4, "depth": 2}, (16, 24)),
    **dict.fromkeys(DETECTORS, ({"width": 8, "encoder": {"name": "mobilenet_v2", "width": 0.1}}, (33, 64))),
    "rcnn": ({"encoder": {"name": "mobilenet_v2", "width": 0.1}}, (33, 64)),
    **{f"autoencoder{size}": ({"width": 4, "depth": 2, "latent": 8}, (33, 64)) for size in ("", "_32", "_512")},
}


@pytest.fixture(scope="session")
def tiny() -> dict[str, tuple[dict[str, Any], tuple[int, int]]]:
    """Network -> options that make it small, and two sizes that it works on."""
    return TINY
