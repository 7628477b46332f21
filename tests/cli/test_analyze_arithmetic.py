"""`analyze conv|transposed|pool|unpool`: what is typed, what is shown, and mistakes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from striate.base.errors import SettingsError
from striate.base.files import to_json
from striate.cli.arithmetic import KINDS, show

SHOWN = """\
convolution: 5 x 5 (1 channel) -> 3 x 3 (1 channel)
kernel 3, stride 2, padding 1, dilation 1
torch.nn.Conv2d(1, 1, kernel_size=3, stride=2, padding=1)

size
  floor((i + 2p - d(k - 1) - 1) / s) + 1
  floor((5 + 2*1 - 1*(3 - 1) - 1) / 2) + 1 = 3  (each axis)

values: the input is the numbers 1 to 25
  the kernel is Sobel x: the slope from left to right; it is not flipped, and the bias is 0

  input            kernel     output
   1  2  3  4  5   -1  0  1    11   6 -17
   6  7  8  9 10   -2  0  2    48   8 -56
  11 12 13 14 15   -1  0  1    61   6 -67
  16 17 18 19 20
  21 22 23 24 25

  output (1, 1) = 8, the sum of 9 products input * kernel:
      7*(-1) + 8*0 + 9*1
    + 12*(-2) + 13*0 + 14*2
    + 17*(-1) + 18*0 + 19*1

parameters                            weights  biases  total
  shared: one kernel for all places         9       1     10
  unshared: a kernel for each place        81       9     90
  dense: every input to every output      225       9    234

contributors
  each output takes 9 inputs, padding included: 3 x 3
  neighbouring windows share 1 of 3 taps along each axis
  each input feeds 1 to 4 outputs of one channel

  outputs of each input
  1 2 1 2 1
  2 4 2 4 2
  1 2 1 2 1
  2 4 2 4 2
  1 2 1 2 1"""


def test_the_whole_answer():
    document, text = show("conv", input="5x5", kernel="3", stride="2", padding="1")
    assert text == SHOWN
    assert document["output"]["size"] == (3, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", ["6", "6x7", "4x5x6"])
def test_every_kind_shows_text_and_a_document(kind, size):
    document, text = show(kind, input=size, kernel="3" if kind == "conv" else "2")
    assert json.loads(to_json(document))["kind"] == kind
    assert text.isascii()
    assert max(len(line) for line in text.split("\n")) <= 110
    assert document["sizes"][0] in text
    assert not any(line != line.rstrip() for line in text.split("\n"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_usual_example(kind):
    document, text = show(kind)
    assert document["example"] is not None
    assert "output" in text


def test_padded_products_are_marked():
    _, text = show("conv", input="2x2", kernel="3", padding="1")
    assert "      1*(-1) + 2*0 + pad*1\n    + 3*(-2) + 4*0 + pad*2\n    + pad*(-1) + pad*0 + pad*1\n" in text


def test_pooling_says_its_mean_and_its_maximum():
    _, text = show("pool", input="4x4", mode="avg")
    assert "output (1, 1) = 9.25 = (3 + 14 + 4 + 16) / 4" in text
    _, text = show("pool", input="4x4")
    assert "output (1, 1) = 16, the largest of 3, 14, 4, 16" in text


def test_numbers_an_axis_words_and_channels():
    document, _ = show("conv", input="7X9", kernel="3x5", stride="2x1", padding="same", channels=4, outputs=8, groups=2)
    assert document["output"] == {"channels": 8, "size": (4, 9)}
    assert document["settings"]["padding"] == [[1, 1], [2, 2]]
    assert show("conv", padding="valid")[0]["output"]["size"] == (3, 3)
    assert show("transposed", stride="2", output_padding="1x0")[0]["output"]["size"] == (8, 7)


def test_inputs_that_no_window_reaches_are_counted():
    document, text = show("conv", input="6x8", kernel="2", stride="3")
    assert document["contributors"]["without"] == [2, 2]  # inputs 2 and 5 along both axes
    assert "unused inputs: 2 on axis 0, 2 on axis 1" in text


MISTAKES = {
    "is no size": {"input": "5 by 5"},
    "out of range": {"input": "0x5"},
    "the input has 4 axes": {"input": "5x5x5x5"},
    "stride has 3 numbers, the input has 2 axes": {"stride": "1x2x3"},
    "kernel 7 is larger than the padded input of 5": {"kernel": "7"},
    "groups 2 does not divide channels 3": {"channels": 3, "groups": 2, "outputs": 4},
    "conv has no --output-padding": {"output_padding": "1"},
    "conv has no --ceil": {"ceil": True},
    "-1 is out of range": {"channels": -1},
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_refused_in_three_parts(words):
    with pytest.raises(SettingsError) as caught:
        show("conv", **MISTAKES[words])
    assert words in caught.value.what
    assert caught.value.where
    assert caught.value.fix


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("pool", {"groups": 2}, "pool has no --groups"),
        ("pool", {"padding": "same"}, "pool has no same padding"),
        ("pool", {"padding": "2"}, "more than half the pooling kernel 2"),
        ("unpool", {"dilation": "2"}, "unpool has no --dilation"),
        ("transposed", {"output_padding": "1"}, "output padding 1 is not below 1"),
        ("resnet", {}, "unknown layer 'resnet'"),
    ],
)
def test_mistakes_of_a_kind(kind, options, words):
    with pytest.raises(SettingsError, match=words):
        show(kind, **options)


def test_no_torch_is_needed():
    code = "import sys; from striate.cli.arithmetic import show; show('conv'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_own_numbers_are_typed_or_read(tmp_path):
    typed, _ = show("conv", values="1 0 2; 0 1 1; 3 0 1", weights="1, 0; 0, -1")
    assert np.array_equal(typed["example"]["output"], [[0, -1], [0, 0]])  # by hand: 1-1, 0-1; 0-0, 1-1
    (tmp_path / "x.csv").write_text("\ufeff1,0,2\n0,1,1\n3,0,1\n")
    np.save(tmp_path / "k.npy", np.array([[1.0, 0], [0, -1]]))
    read, _ = show("conv", values=str(tmp_path / "x.csv"), weights=str(tmp_path / "k.npy"))
    assert to_json(read) == to_json(typed)
    one, text = show("pool", values="3 1 2 5", kernel="2")
    assert np.array_equal(one["example"]["output"], [3, 5]) and "the input is your own" in text
    np.save(tmp_path / "two.npy", np.arange(18.0).reshape(2, 3, 3))
    two, _ = show("conv", values=str(tmp_path / "two.npy"), channels=2, weights="1 1 1; 1 1 1; 1 1 1")
    assert np.asarray(two["example"]["output"]).item() == sum(range(18))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"values": "1 2; 3"}, "rows of 2, 1 numbers"),
        ({"values": "1 x"}, "x is neither a number nor a file"),
        ({"values": "1 nan"}, "not finite"),
        ({"values": ";"}, "rows of none"),
        ({"values": "gone.npy"}, "no .npy array"),
        ({"values": "1 2; 3 4", "input": "5x5"}, "2 x 2 numbers"),
        ({"weights": "1 2 3; 4 5 6", "kernel": "3"}, "2 x 3 numbers"),
        ({"values": "1 2 3", "weights": "1 2; 3 4"}, "axes"),
    ],
)
def test_numbers_that_are_none(options, words):
    with pytest.raises(SettingsError, match=words):
        show("conv", **options)


def test_a_maximum_counts_no_padding():
    with pytest.raises(SettingsError, match="only a mean"):
        show("pool", count_padding=False)
    assert "count_include_pad=False" in show("pool", mode="avg", count_padding=False)[0]["code"]


def test_arrays_that_are_no_numbers_or_too_many(tmp_path):
    np.save(tmp_path / "texts.npy", np.array(["a", "b"]))
    np.save(tmp_path / "many.npy", np.zeros((200, 200)))
    for name, words in (("texts", "no numbers"), ("many", "40,000 numbers on 2 axes")):
        with pytest.raises(SettingsError, match=words):
            show("conv", values=str(tmp_path / f"{name}.npy"))
