"""docs/architectures.md: its code runs, its table is the computed one."""

import re
from pathlib import Path

import torch
from torch import nn

from striate.model.blocks import blocks_table, render_blocks
from striate.model.blueprint import Blueprint
from striate.model.build import assemble
from striate.nn.blocks import BLOCKS

PAGE = (Path(__file__).parents[2] / "docs" / "architectures.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_code_runs(capsys) -> None:
    code = fenced("python")
    assert len(code) >= 7
    exec(compile("\n".join(code), "architectures.md", "exec"), {})
    assert "stage3" in capsys.readouterr().out


def test_the_file_is_a_network(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(fenced("toml")[0], encoding="utf-8")
    network = assemble(Blueprint.from_toml(path), channels=3, outputs=5, size_hw=(32, 32))
    assert network.shapes["linear1"] == (5,)


def test_the_table_of_blocks_is_the_computed_one() -> None:
    assert render_blocks() in PAGE


def test_costs_of_blocks_equal_a_count_of_the_modules() -> None:
    rows = {one.name: one for one in blocks_table()}
    assert rows["basic"].parameters == 2 * (9 * 64 * 64 + 2 * 64) and rows["basic"].parameter_ratio == 2
    assert rows["separable"].macs == (9 * 64 + 64 * 64) * 56 * 56
    block = BLOCKS["inverted"](64, 64)
    assert rows["inverted"].parameters == sum(value.numel() for value in block.parameters())
    macs: list[int] = []
    for part in block.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda layer, _, y: macs.append(layer.weight[0].numel() * y[0].numel()))
    block(torch.zeros(1, 64, 56, 56))
    assert rows["inverted"].macs == sum(macs)
