"""Checkpoints: whole or not at all, checked before they are believed."""

import errno

import pytest
import torch

from striate.base import files
from striate.base.errors import ModelError, ResourceError
from striate.engine import checkpoint
from striate.engine.optim import OPTIMISERS, build


def state(step: int) -> checkpoint.State:
    weights = {"a": torch.full((3, 2), float(step)), "b": torch.tensor(step)}
    return checkpoint.State({"step": step, "note": "x"}, {"weights": weights, "state": {"rng": torch.arange(5)}})


def test_newest_state_comes_back_bit_equal_and_two_are_kept(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, state(step))
    found = checkpoint.load(tmp_path)
    assert found.document["step"] == 3
    assert torch.equal(found.tensors["weights"]["a"], state(3).tensors["weights"]["a"])
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000002", "step-00000003"]
    assert (tmp_path / "latest").read_text() == "step-00000003\n"


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "no sums"])
def test_a_damaged_one_is_named_and_the_one_before_is_taken(tmp_path, damage, capsys):
    for step in (1, 2):
        checkpoint.save(tmp_path, state(step))
    member = tmp_path / "step-00000002" / "weights.safetensors"
    content = bytearray(member.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        member.write_bytes(content)
    elif damage == "cut":
        member.write_bytes(content[:-8])
    elif damage == "missing":
        member.unlink()
    else:
        (tmp_path / "step-00000002" / "SHA256SUMS").unlink()
    assert checkpoint.load(tmp_path).document["step"] == 1
    said = capsys.readouterr().err
    assert "step-00000002" in said
    assert damage == "no sums" or "weights.safetensors" in said


def test_nothing_complete_is_one_clear_error(tmp_path):
    with pytest.raises(ModelError, match="no checkpoint"):
        checkpoint.load(tmp_path)


def test_a_failure_at_any_write_leaves_the_old_one_and_no_rest(tmp_path):
    checkpoint.save(tmp_path, state(1))
    steps: list[str] = []
    with files.faults(lambda step, path: steps.append(step)):
        checkpoint.save(tmp_path / "probe", state(2))
    assert len(steps) > 8
    for fail_at in range(len(steps) - 3):  # the last three write the pointer, when the state is already whole
        seen = iter(range(10_000))

        def plan(step, path, seen=seen, fail_at=fail_at):
            if next(seen) >= fail_at:
                raise OSError(errno.ENOSPC, "No space left on device")

        with files.faults(plan), pytest.raises(ResourceError, match="bytes needed"):
            checkpoint.save(tmp_path, state(2))
        assert checkpoint.load(tmp_path).document["step"] == 1
        assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]


def test_one_failure_is_tried_again(tmp_path):
    failures = iter([True])

    def plan(step, path):
        if next(failures, False):
            raise OSError(errno.ENOSPC, "No space left on device")

    with files.faults(plan):
        checkpoint.save(tmp_path, state(5))
    assert checkpoint.load(tmp_path).document["step"] == 5


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path):
    checkpoint.save(tmp_path, state(1))
    half = tmp_path / ".step-00000002.999.tmp"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    (tmp_path / ".latest.999.tmp").write_text("step-0")
    checkpoint.save(tmp_path, state(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step-00000001", "step-00000003"]


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_an_optimiser_goes_on_bit_equal(name):
    def network():
        torch.manual_seed(1)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(36, 2)
        )
        return model.to(memory_format=torch.channels_last)  # whose moments lie in memory unlike in a file

    def steps(model, optimiser, count, first):
        for step in range(first, first + count):
            x = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(step))
            optimiser.zero_grad()
            model(x).square().mean().backward()
            optimiser.step()

    whole, halves = network(), network()
    one = build(whole, name, lr=0.01, momentum=0.9, weight_decay=0.1)
    steps(whole, one, 6, 0)
    two = build(halves, name, lr=0.01, momentum=0.9, weight_decay=0.1)
    steps(halves, two, 3, 0)
    tensors = checkpoint.pack_optimiser(two)
    three = build(halves, name, lr=0.01, momentum=0.9, weight_decay=0.1)
    checkpoint.unpack_optimiser(three, tensors)
    steps(halves, three, 3, 3)
    for a, b in zip(whole.parameters(), halves.parameters(), strict=True):
        assert torch.equal(a, b)
