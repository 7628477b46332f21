"""Each issue on a network made to have it, and on none that does not."""

import torch
from torch import nn

from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.model.issues import Issue, examine

HEAD = (Row("global_pool"), Row("linear"))


def found(*rows: Row, size: int = 32) -> list[Issue]:
    return list(examine(Blueprint("x", (*rows, *HEAD)), size_hw=(size, size), outputs=5)[1])


def test_a_clean_network_has_none() -> None:
    after = {"norm": "batch", "activation": "relu"}
    assert found(Row("conv", 8, stride=2, options=after), Row("basic", 8, repeat=2), Row("max_pool", stride=2)) == []
    assert found(Row("bottleneck", 16, stride=2), Row("inverted", 16), Row("dense", 4, repeat=2)) == []


def test_a_window_larger_than_its_map() -> None:
    issue, _ = found(Row("max_pool", stride=16, options={"kernel": 16}), Row("conv", 4, options={"kernel": 5}))
    assert (issue.kind, issue.row, issue.is_note) == ("window", "conv1", False)
    assert "5x5 on a map of 2x2: 16 of its 25 weights" in issue.text
    notes = found(Row("max_pool", stride=16, options={"kernel": 16}), Row("conv", 4))
    assert [(issue.kind, issue.is_note) for issue in notes] == [("window", True), ("field", True)]


def test_weights_that_meet_only_padding_have_no_gradient() -> None:
    rows = (Row("max_pool", stride=16, options={"kernel": 16}), Row("conv", 4, options={"kernel": 5}))
    network = build(Blueprint("x", (*rows, *HEAD)), channels=3, outputs=5, size_hw=(32, 32), seed=0)
    network(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    gradient = network.rows["conv1"].conv.weight.grad.abs().sum((0, 1))
    assert int((gradient == 0).sum()) == 16


def test_pixels_that_no_window_reads() -> None:
    (issue,) = found(Row("conv", 4), Row("conv", 8, stride=2, options={"kernel": 1}))
    assert (issue.kind, issue.row) == ("skipped", "conv2")
    assert "73%" in issue.text or "74%" in issue.text  # of 31x31 pixels between the first and the last, 16x16 are read
    shared = found(
        Row("conv", 4, name="stem"),
        Row("conv", 8, stride=2, inputs=("stem",), options={"kernel": 1}, name="short"),
        Row("conv", 8, stride=2, inputs=("stem",), name="long"),
        Row("add", inputs=("short", "long")),
    )
    assert shared == []  # what the shortcut steps over, the other way reads


def test_biases_before_batch_normalisation() -> None:
    given = {"bias": True, "norm": "batch", "activation": "relu"}
    (issue,) = found(Row("conv", 8, options=given))
    assert (issue.kind, issue.row, issue.is_note) == ("bias", "conv1", True)
    assert issue.text.startswith("8 biases")
    assert found(Row("conv", 8, options=given | {"norm": "group"})) == []
    assert found(Row("conv", 8, options=given | {"norm": "none"})) == []


def test_a_field_larger_than_the_image() -> None:
    rows = [Row("conv", 4, options={"kernel": 9}) for _ in range(4)]
    assert found(*rows, size=33) == []
    (issue,) = found(*rows, size=32)
    assert (issue.kind, issue.row) == ("field", "conv4") and "33x33" in issue.text


def test_a_dead_end_and_its_parameters() -> None:
    rows = (Row("conv", 4, name="stem"), Row("conv", 6, name="lost"), Row("conv", 8, name="used", inputs=("stem",)))
    dead, unused = found(*rows)
    assert (dead.kind, dead.row) == ("dead end", "lost")
    assert (unused.kind, unused.row) == ("unused", "lost") and unused.text.startswith("222 parameters")


def test_parameters_of_any_module_that_no_output_needs() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x).relu()

    network = Half()
    (issue,) = examine(network, size_hw=(16, 16))[1]
    assert (issue.kind, issue.row) == ("unused", "idle") and issue.text.startswith("112 parameters")
    network.idle.requires_grad_(False)
    assert examine(network, size_hw=(16, 16))[1] == ()
    assert all(value.device.type == "cpu" for value in network.parameters()) and network.training


def test_outputs_that_cannot_be_negative_are_named():
    rows = (Row("conv", 4), Row("global_pool"), Row("linear"))
    defaults = {"activation": "relu"}
    clipped = [
        issue
        for issue in examine(Blueprint("a", rows, defaults=defaults), size_hw=(8, 8))[1]
        if issue.kind == "outputs"
    ]
    assert [(issue.row, issue.is_note) for issue in clipped] == [("linear1", False)] and "ReLU" in clipped[0].text
    free = (*rows[:2], Row("linear", options={"activation": "none"}))
    issues = examine(Blueprint("b", free, defaults=defaults), size_hw=(8, 8))[1]
    assert not [issue for issue in issues if issue.kind == "outputs"]
