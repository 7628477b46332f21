"""Three ways to learn an angle, held against plain numpy; settings of a task are the task's own."""

import numpy as np
import pytest
import torch

from striate.base.errors import SettingsError
from striate.data import open_dataset
from striate.data.sample import Batch
from striate.run.recipe import named
from striate.task import fit_task, from_json

TRUTH = np.array([[0.0], [5.0], [179.0], [181.0], [359.9], [10.0]])


def task_of(angles: str):
    data = open_dataset("toy:shapes?n=40&size=16")
    return fit_task(data.targets, np.arange(40), target="angle", options={"angles": angles})


def losses_of(task, outputs):
    images = torch.zeros(len(TRUTH), 1, 2, 2)
    return task.losses(outputs, Batch(images, {"angle": torch.from_numpy(TRUTH)}, torch.arange(len(TRUTH)))).numpy()


def test_sectors_are_a_classification_into_36():
    task, rng = task_of("classes"), np.random.default_rng(0)
    outputs = rng.normal(size=(len(TRUTH), 36)).astype(np.float32)
    sector = [0, 0, 17, 18, 35, 1]
    shares = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    expected = -np.log(shares[np.arange(len(sector)), sector])
    assert losses_of(task, torch.from_numpy(outputs)) == pytest.approx(expected, rel=1e-5)
    given = task.decode(torch.from_numpy(outputs)).values.numpy()
    assert given[:, 0].tolist() == [10 * best + 5 for best in outputs.argmax(1)]
    assert task.num_outputs == 36
    assert set(task.loss(torch.from_numpy(outputs), batch_of(TRUTH))) == {"cross_entropy"}


def batch_of(truth):
    return Batch(torch.zeros(len(truth), 1, 2, 2), {"angle": torch.from_numpy(truth)}, torch.arange(len(truth)))


def test_a_plain_angle_has_its_seam_at_180():
    task = task_of("plain")
    data = open_dataset("toy:shapes?n=40&size=16").target("angle").values.astype(np.float64)
    turned = np.where(data > 180, data - 360, data)
    assert task.mean == pytest.approx([turned.mean()], abs=1e-9)
    assert task.std == pytest.approx([turned.std()], abs=1e-9)
    outputs = np.linspace(-2, 2, len(TRUTH))[:, None]
    given = task.decode(torch.from_numpy(outputs)).values.numpy()
    assert given == pytest.approx((outputs * turned.std() + turned.mean()) % 360)
    true = np.where(TRUTH >= 180, TRUTH - 360, TRUTH)
    expected = ((outputs - (true - turned.mean()) / turned.std()) ** 2)[:, 0]
    assert losses_of(task, torch.from_numpy(outputs)) == pytest.approx(expected, rel=1e-5)


def test_what_is_decoded_of_the_truth_is_the_truth():
    for angles, most in (("sine-cosine", 1e-4), ("plain", 1e-4), ("classes", 5.0)):
        task = task_of(angles)
        radians = np.deg2rad(TRUTH)
        signed = np.where(TRUTH >= 180, TRUTH - 360, TRUTH)
        outputs = {
            "sine-cosine": lambda radians=radians: np.concatenate([np.sin(radians), np.cos(radians)], 1),
            "plain": lambda task=task, signed=signed: (signed - task.mean) / task.std,
            "classes": lambda: np.eye(36)[(TRUTH[:, 0] // 10).astype(int)],
        }[angles]()
        error = np.abs(task.decode(torch.from_numpy(outputs)).values.numpy() - TRUTH)
        assert np.minimum(error, 360 - error).max() <= most, angles
        assert from_json(task.to_json()) == task


def test_a_setting_of_another_task_is_refused():
    data = open_dataset("toy:shapes?n=40&size=16")
    with pytest.raises(SettingsError, match="the task classify has no setting"):
        fit_task(data.targets, np.arange(40), target="label", options={"angles": "plain"})
    with pytest.raises(SettingsError, match=r"regress has no setting.*did you mean task.angles"):
        fit_task(data.targets, np.arange(40), target="angle", options={"angle": "plain"})
    numbers = open_dataset("toy:shapes?n=40&size=16").targets["angle"].__class__.__base__
    with pytest.raises(SettingsError, match="no angles"):
        targets = {"height": numbers(np.arange(40.0)[:, None], ("height",), unit="m")}
        fit_task(targets, np.arange(40), options={"angles": "plain"})
    assert named("baseline").changed(["task.angles=plain"]).task == {"angles": "plain"}
