"""The narrator on runs of maps: classes that are missed, and what a poor score is."""

import pytest

from striate.diagnose.reading import Reading
from striate.diagnose.rules import missed_classes
from striate.diagnose.symptoms import underfitting
from striate.run.recipe import named


def segmented(*changes: str, ious: tuple[float, ...] = (0.9, 0.7, 0.02), score: float = 0.54) -> Reading:
    """Return a run on masks with these IoU of its classes on validation, and this mean."""
    pixels = (9000, 900, 100)
    rows = [
        {"name": name, "iou": iou, "pixels": count}
        for name, iou, count in zip(("road", "car", "pole"), ious, pixels, strict=True)
    ]
    recipe = named("baseline").changed(list(changes)).model_dump(mode="json")
    info = {"recipe": recipe, "recipe_name": "baseline", "task": {"monitor": "mean_iou", "target": "mask"}, "seed": 0}
    data = {"dataset": {"where": "streets/", "options": {}}, "model": {"name": "bipyramid", "blueprint": {"rows": []}}}
    scores = {"train": {"mean_iou": score}, "val": {"mean_iou": score, "per_class": rows}}
    return Reading(info | data, [{"epoch": 1}] * 9, scores)


def test_a_class_of_pixels_that_is_hardly_found_is_named_and_weighed() -> None:
    remark = missed_classes(segmented())
    assert remark is not None
    assert remark.evidence == "Hardly found on validation: pole (IoU 2.0%, 1.0% of the pixels)."
    assert remark.command.endswith("--set task.class_weights=median")
    weighed = missed_classes(segmented("task.class_weights=inverse"))
    assert weighed is not None and "--size" in weighed.next and not weighed.command


@pytest.mark.parametrize(("ious", "score"), [((0.9, 0.7, 0.06), 0.55), ((0.3, 0.0, 0.0), 0.09)])
def test_no_class_is_missed_where_each_is_found_or_little_is_learned(ious: tuple[float, ...], score: float) -> None:
    assert missed_classes(segmented(ious=ious, score=score)) is None


@pytest.mark.parametrize(("score", "is_told"), [(0.73, True), (0.75, False)])
def test_underfitting_of_maps_is_judged_as_the_dice_that_goes_with_it(score: float, is_told: bool) -> None:
    assert (underfitting(segmented(score=score)) is not None) == is_told


@pytest.mark.parametrize(("error", "is_told"), [(0.0, False), (0.2, True)])
def test_nothing_is_underfitted_where_the_best_possible_score_is_reached(error: float, is_told: bool) -> None:
    words = {"key": "steps", "name": "levels off", "direction": "min", "form": "number", "unit": "", "possible": [0, 4]}
    info = segmented().info | {"task": {"monitor": "steps", "target": "label", "metric_words": words}}
    history = [{"epoch": epoch, "train": {"loss": 1.0}} for epoch in range(9)]
    reading = Reading(info, history, {"train": {"steps": error, "loss": 0.9}, "val": {"steps": error}})
    assert (underfitting(reading) is not None) == is_told


@pytest.mark.parametrize(("gain", "is_told"), [(-0.9, True), (0.1, False)])
def test_a_network_below_a_simple_method_is_not_healthy(gain: float, is_told: bool) -> None:
    words = {"key": "psnr", "name": "PSNR", "direction": "max", "form": "number", "unit": "dB", "possible": [None, 100]}
    info = segmented().info | {"task": {"monitor": "psnr", "target": "image", "metric_words": words}}
    val = {"psnr": 24.2, "psnr_gain": gain, "baselines": [{"name": "grey", "psnr": 25.1}]}
    history = [{"epoch": epoch, "train": {"loss": 1 / epoch}} for epoch in range(1, 20)]
    remark = underfitting(Reading(info, history, {"train": {"psnr": 25.0, "loss": 0.01}, "val": val}))
    assert (remark is not None) == is_told
    if remark:
        assert remark.evidence == "PSNR is 24.2 dB on validation, 0.900 dB below the best simple method (grey)."
