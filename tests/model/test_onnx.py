"""Every network of the zoo as an ONNX file, in ONNX Runtime."""

import numpy as np
import pytest
import torch

from striate.export.onnx_file import Session, write_onnx
from striate.model import zoo
from striate.model.build import build


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(zoo.ZOO))
def test_every_network_can_be_written(name, tiny, tmp_path):
    options, (size, _) = tiny[name]
    blueprint, size_hw = zoo.blueprint(name, **options), (size, size)
    network = build(blueprint, channels=3, outputs=5, size_hw=size_hw).eval()
    images = torch.randn(3, 3, *size_hw, generator=torch.Generator().manual_seed(0))
    wanted = network(images)
    several = wanted if isinstance(wanted, list) else [wanted]
    write_onnx(network, images[:2], tmp_path / "a.onnx", [f"out{number}" for number in range(len(several))], {})
    for mine, other in zip(several, Session(tmp_path / "a.onnx")(images.numpy()), strict=True):
        limit = 1e-3 * max(1.0, float(mine.detach().abs().max()))
        assert np.abs(mine.detach().numpy() - other).max() <= limit
