"""A detector's file ends in candidates; what numpy leaves of them are the run's boxes, and the script has the same."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.base.errors import ModelError
from striate.export import boxes, bundle
from striate.export.graph import Answering, require_fixed
from striate.export.onnx_file import Session, write_onnx
from striate.model import zoo
from striate.model.build import build
from striate.task.detect.detect import Detect

NAMES = ("cat", "dog", "fox")


def made(detector, seed=0):
    """A network with a detector's ends whose classes are sure of some places."""
    task = Detect("box", NAMES, detector)
    plan = task.head.extended(zoo.blueprint("bipyramid", width=8, depth=3), channels=3, size_hw=(64, 64))
    network = build(plan, channels=3, outputs=task.head.outputs, size_hw=(64, 64), seed=seed).eval()
    return task, network


@pytest.mark.parametrize("detector", ["one_stage", "retinanet", "fcos"])
def test_numpy_leaves_the_boxes_that_the_run_answers(detector):
    task, network = made(detector)
    images = 3 * torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        outputs = network(images)
        outputs[0] = outputs[0] + 4 * torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(2))
        wanted = task.decode(outputs).values.numpy()
        found = task.head.reading.candidates(outputs)
    given = boxes.rows_of(task, [found.boxes.numpy(), found.scores.numpy(), found.labels.numpy()])
    np.testing.assert_allclose(given[0], wanted, atol=1e-4)
    assert np.isfinite(wanted).any()
    assert boxes.compare_boxes([wanted], given).holds
    moved = given[0].copy()
    moved[2, 0, 3] += 9  # a side of one box of one image
    agreement = boxes.compare_boxes([wanted], [moved])
    assert not agreement.holds and agreement.equal == pytest.approx(0.75)
    assert not boxes.compare_boxes([wanted], [np.where(np.arange(wanted.shape[1])[:, None] < 1, np.nan, wanted)]).holds


def test_a_network_that_is_sure_of_nothing_is_held_to_its_best_box():
    wanted = np.array([[[0, 0.011, 2, 2, 9, 9], [1, 0.004, 1, 1, 5, 5]]])
    faint, moved = wanted.copy(), wanted.copy()
    faint[0, 1, 2:] += 3  # far below the best one
    moved[0, 0, 2:] += 3
    assert boxes.compare_boxes([wanted], [faint]).holds
    assert not boxes.compare_boxes([wanted], [moved]).holds


def test_the_file_gives_the_candidates_of_any_number_of_images(tmp_path):
    task, network = made("one_stage")
    module = Answering(network, task).eval()
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert module.names(images) == boxes.NAMES
    write_onnx(module, images[:2], tmp_path / "a.onnx", boxes.NAMES, {})
    with torch.inference_mode():
        wanted = [task.decode(network(images)).values.numpy()]
    assert boxes.compare_boxes(wanted, boxes.rows_of(task, Session(tmp_path / "a.onnx")(images.numpy()))).holds


def test_the_script_has_the_same_suppression():
    task, _ = made("one_stage")
    script = bundle.script_of(task)
    compile(script, "predict_onnx.py", "exec")
    start = script.index("def suppress(")
    space = {"np": np}
    exec(script[start : script.index("for path in sys.argv")], space)
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 40, (50, 2))
    some = np.concatenate([corner, corner + rng.uniform(5, 20, (50, 2))], 1)
    scores, labels = rng.random(50), rng.integers(0, 2, 50)
    rows = space["suppress"](some, scores, labels, 0.3, 100)
    assert 0 < len(rows) < 50
    for label in (0, 1):
        kept = torch.tensor(rows[rows[:, 0] == label, 2:])
        ious = tv.load("torchvision.ops").box_iou(kept, kept)
        assert float((ious - torch.eye(len(ious))).max()) <= 0.3 + 1e-5


@pytest.mark.parametrize("kind", ["rcnn", "fast_rcnn", "mask_rcnn", "keypoint_rcnn"])
def test_a_detector_that_chooses_what_it_looks_at_is_refused_in_a_line(kind):
    run = SimpleNamespace(task=Detect("box", ("a",), kind))
    with pytest.raises(ModelError, match=f"other programs cannot run {kind}") as caught:
        require_fixed(run)
    assert caught.value.fix == "answer with striate predict or striate serve" and "..." not in str(caught.value)
    require_fixed(SimpleNamespace(task=Detect("box", ("a",), "one_stage")))
