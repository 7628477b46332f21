"""Torchvision's detectors by name: the same boxes and scores, also where its compiled operators do not load."""

import importlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

from striate.base import torchvision as tv
from striate.base.device import place
from striate.base.errors import ModelError, SettingsError
from striate.base.runs import run_text
from striate.cli.app import run
from striate.data.target.palette import colour_of
from striate.nn.boxes import has_compiled, provide
from striate.predict import detectors
from striate.predict.prediction import Prediction
from striate.predict.things import drawn
from striate.task.answer import Thing

SMALL = "ssdlite320_mobilenet_v3_large"


def models():
    provide()
    return tv.load("torchvision.models")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Torch's cache with a file of random weights under the name of the published ones."""
    home = tmp_path_factory.mktemp("torch")
    (home / "hub" / "checkpoints").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        yield home / "hub" / "checkpoints"


def published(name: str, cache) -> None:
    weights, generator = models().get_model_weights(name).DEFAULT, torch.Generator().manual_seed(0)
    path = cache / weights.url.rsplit("/", 1)[-1]
    if path.exists():
        return
    state = (
        models()
        .get_model(name, weights=None, weights_backbone=None, num_classes=len(weights.meta["categories"]))
        .state_dict()
    )
    for key, value in state.items():
        if value.is_floating_point() and value.ndim < 2 and "running_var" not in key:
            value.add_(0.3 * torch.randn(value.shape, generator=generator))  # scores that differ
    torch.save(state, path)


def photo(seed: int, size_hw: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size_hw[::-1], Image.Resampling.BICUBIC))


def shrunk(network: torch.nn.Module) -> torch.nn.Module:
    """The network with a small view, and all its detections however bad."""
    network.transform.min_size, network.transform.max_size = (96,), 128
    for part in (network, getattr(network, "roi_heads", None)):
        if hasattr(part, "score_thresh"):
            part.score_thresh = 0.0
    return network.eval()


def test_every_published_detector_is_known_to_torchvision():
    for name in detectors.NAMES:
        weights = models().get_model_weights(name).DEFAULT
        assert "coco" in weights.url and weights.meta["categories"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == SMALL else pytest.mark.slow) for name in detectors.NAMES]
)
def test_boxes_and_scores_are_torchvisions(name, cache):
    published(name, cache)
    detector = detectors.load(f"coco:{name}", min_score=0.0)
    reference = models().get_model(name, weights=models().get_model_weights(name).DEFAULT)
    reference = shrunk(place(reference, "cpu"))  # channels last, as every network here: rounding is the same
    shrunk(detector.network)
    photos = [photo(0, (60, 80)), photo(1, (90, 50))]
    with torch.inference_mode():
        expected = reference([torch.from_numpy(one.copy()).permute(2, 0, 1) / 255 for one in photos])
    names = detector.categories
    for prediction, theirs in zip(detector(photos), expected, strict=True):
        boxes, scores, labels = (theirs[key].tolist() for key in ("boxes", "scores", "labels"))
        rows = zip([names[label] for label in labels], scores, map(tuple, boxes), strict=True)
        expected_things = [row for row in rows if row[0] not in detectors.NO_CLASSES]
        assert [(one.name, one.score, one.box) for one in prediction.things] == expected_things
        assert expected_things
        if "masks" in theirs:
            assert prediction.things[0].mask.shape == theirs["masks"].shape[2:]


@pytest.mark.skipif(has_compiled(), reason="torchvision's compiled operators load here")
def test_ours_inside_torchvisions_detector_are_its_own_plain_python():
    """The same network with the operators that torchvision has in plain Python, and a loop for NMS."""
    backbones = importlib.import_module("torchvision.models.detection.backbone_utils")
    rcnn = importlib.import_module("torchvision.models.detection.faster_rcnn")
    provide()
    torch.manual_seed(0)
    backbone = backbones.resnet_fpn_backbone(backbone_name="resnet18", weights=None)
    network = rcnn.FasterRCNN(backbone, 5, min_size=96, box_score_thresh=0.05, rpn_pre_nms_top_n_test=200).eval()
    image = [torch.from_numpy(photo(2, (80, 96)).copy()).permute(2, 0, 1) / 255]
    boxes = importlib.import_module("torchvision.ops.boxes")
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        (ours,) = network(image)
        patch.setattr(boxes, "nms", looped)
        patch.setattr(importlib.import_module("torchvision.ops.poolers"), "roi_align", plain_align)
        (theirs,) = network(image)
    assert len(ours["boxes"]) > 5
    for key in ("labels", "scores", "boxes"):
        torch.testing.assert_close(ours[key], theirs[key], atol=1e-3, rtol=1e-4)


def plain_align(maps, rois, output_size, spatial_scale, sampling_ratio):
    align = importlib.import_module("torchvision.ops.roi_align")
    return align._roi_align.__wrapped__(maps, rois, spatial_scale, *output_size, sampling_ratio, False)


def looped(xyxy: torch.Tensor, scores: torch.Tensor, limit: float) -> torch.Tensor:
    iou, kept = tv.load("torchvision.ops").box_iou(xyxy, xyxy), []
    for row in scores.argsort(descending=True, stable=True).tolist():
        if not kept or iou[row, kept].max() <= limit:
            kept.append(row)
    return torch.tensor(kept, dtype=torch.int64)


def test_gradients_flow_through_torchvisions_operators():
    provide()
    maps = torch.rand(1, 2, 6, 6, requires_grad=True)
    ops, rois = tv.load("torchvision.ops"), [torch.tensor([[0.0, 0, 5, 5]])]
    for pooled in (ops.roi_align(maps, rois, 3), ops.roi_pool(maps, rois, 3)):
        pooled.sum().backward()
    assert float(maps.grad.sum()) == pytest.approx(2 * 9 * 2, abs=1e-4)


def test_a_local_file_draws_and_documents(cache, tmp_path, capsys):
    published(SMALL, cache)
    (weights,) = cache.glob("ssdlite*")
    Image.fromarray(photo(3, (64, 96))).save(tmp_path / "street.png")
    words = ["predict", f"coco:{SMALL}", str(tmp_path / "street.png"), "--weights", str(weights), "--min-score", "0.01"]
    assert run([*words, "--draw", str(tmp_path / "drawn"), "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)["predictions"]
    first = document["things"][0]
    assert {*first} == {"name", "score", "box"} and first["score"] >= document["things"][-1]["score"] >= 0.01
    left, top, right, bottom = first["box"]
    assert 0 <= left < right <= 96 and 0 <= top < bottom <= 64
    with Image.open(document["drawn"]["boxes"]) as drawn:
        assert drawn.size == (96, 64) and (np.asarray(drawn) != photo(3, (64, 96))).any()


def test_wrong_weights_and_names_are_refused(cache, tmp_path):
    with pytest.raises(SettingsError, match="unknown detector 'retinanet_resnet51_fpn'.*retinanet_resnet50_fpn"):
        detectors.load("coco:retinanet_resnet51_fpn")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="the weights are not ssdlite320"):
        detectors.load(SMALL, tmp_path / "other.pth")


def test_key_points_lie_above_the_boxes_and_texts_of_all_things_at_their_places():
    hidden = Thing("cat", 0.8, (40, 40, 90, 90), points=((45.5, 37.5, 1.0), (60.0, 88.5, 1.0)))
    over = Thing("cat", 0.9, (30, 40, 80, 90))
    found = drawn(np.full((120, 160, 3), 200, np.uint8), [over, hidden], ["cat"])
    for number, (x, y) in enumerate(((45, 37), (60, 88))):
        is_own = (found == colour_of(number)).all(2)
        assert is_own[y, x] and (found[y - 3 : y + 4, x - 3 : x + 4] == 255).all(2).sum() >= 8  # with a rim
    rows, columns = np.nonzero((found == colour_of(1)).all(2))
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((88.5, 60), abs=0.51)


def test_masks_and_key_points_are_drawn_and_written():
    mask = np.zeros((40, 40), bool)
    mask[20:30, 20:30] = True
    thing = Thing("cat", 0.9, (4, 4, 36, 36), mask, ((10.0, 30.0, 2.0), (15.0, 19.0, -1.0)))
    image = np.full((40, 40, 3), 200, np.uint8)
    found = drawn(image, [thing], ["dog", "cat"])
    colour = np.array(colour_of(1))
    np.testing.assert_array_equal(found[25, 25], np.rint((image[0, 0] + colour) / 2))  # half covered
    np.testing.assert_array_equal(found[30, 10], colour_of(0))  # a key point, and the other is not sure enough
    np.testing.assert_array_equal(found[19, 15], image[0, 0])
    assert (found[:4] == image[:4]).all(), "a text would hide half of so small an image"
    document = Prediction("a.jpg", ("dog", "cat"), things=(thing,)).to_json()["things"]
    points = [[10, 30, 2], [15, 19, -1]]
    runs = {"size": [40, 40], "counts": run_text([820, *[10, 30] * 9, 10, 410])}
    assert document == [
        {"name": "cat", "score": 0.9, "box": [4, 4, 36, 36], "mask_pixels": 100, "mask": runs, "points": points}
    ]
