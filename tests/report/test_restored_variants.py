"""The variants of a study of restoration, by the scores that they have, as means over their runs."""

from types import SimpleNamespace

from striate.report.tasks.restore import _compared


def answers(**scores):
    return SimpleNamespace(run=SimpleNamespace(scores={"test": scores}), split="test")


def test_each_variant_has_the_mean_of_its_runs_and_the_grid_where_it_is_measured():
    small = [answers(psnr=30.0, ssim=0.9, checkerboard=0.02), answers(psnr=32.0, ssim=0.9, checkerboard=0.04)]
    heads, rows = _compared({"resize": small, "subpixel": [answers(psnr=33.0, ssim=0.95)], "lost": []})
    assert heads == ["PSNR", "SSIM", "error in a grid of the scale"]
    assert rows == [("resize", ["31.0 dB", "0.900", "3.0%"]), ("subpixel", ["33.0 dB", "0.950", "n/a"])]
    assert _compared({"a": [answers(psnr=30.0)]}) == (["PSNR"], [("a", ["30.0 dB"])])
