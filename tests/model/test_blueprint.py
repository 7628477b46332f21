"""Blueprints: plain data that travels and refuses what cannot be meant."""

import subprocess
import sys

import pytest

from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.blueprint import Blueprint, Row

BRANCHED = Blueprint(
    "branched",
    (
        Row("conv", 8, stride=2, options={"kernel": (3, 5), "norm": {"kind": "batch", "eps": 0.001}}),
        Row("conv", 4, inputs=("conv1",), name="left"),
        Row("basic", 4, repeat=2, inputs=("conv1",), each={"drop_path": (0.0, 0.1)}, name="right"),
        Row("concat", inputs=("left", "right")),
        Row("global_pool"),
        Row("linear"),
    ),
    paper="none",
    size=32,
    defaults={"activation": "relu"},
    head="global_pool1",
)


@pytest.mark.parametrize("blueprint", [BRANCHED, *(zoo.blueprint(name) for name in zoo.names())], ids=lambda b: b.name)
def test_json_there_and_back_is_the_same_blueprint(blueprint: Blueprint) -> None:
    import json

    text = json.dumps(blueprint.to_json())
    assert Blueprint.from_json(json.loads(text)) == blueprint


def test_toml_file_gives_the_same_blueprint(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'defaults = {activation = "relu"}\n'
        '[[rows]]\nblock = "conv"\nwidth = 8\noptions = {kernel = [3, 5]}\n'
        '[[rows]]\nblock = "global_pool"\n[[rows]]\nblock = "linear"\n'
    )
    rows = (Row("conv", 8, options={"kernel": (3, 5)}), Row("global_pool"), Row("linear"))
    assert Blueprint.from_toml(path) == Blueprint("mine", rows, defaults={"activation": "relu"})


@pytest.mark.parametrize("text", ["rows = [", "rows = 3", '[[rows]]\nblok = "conv"', "[[rows]]\nwidth = 3", ""])
def test_toml_file_that_is_no_blueprint_is_refused_by_its_name(tmp_path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"mine\.toml"):
        Blueprint.from_toml(path)
    with pytest.raises(SettingsError, match=r"missing\.toml"):
        Blueprint.from_toml(tmp_path / "missing.toml")


def test_unknown_key_names_the_nearest() -> None:
    table = {"name": "x", "rows": [{"block": "conv", "widht": 8}]}
    with pytest.raises(SettingsError) as caught:
        Blueprint.from_json(table)
    assert "width" in caught.value.fix and "row 0" in caught.value.where


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((Row("conv", 8, inputs=("nowhere",)),), "is no row"),
        ((Row("conv", 8, inputs=("late",)), Row("conv", 8, name="late")), "comes after"),
        ((Row("conv", 8, name="a"), Row("conv", 8, name="a")), "twice"),
        ((Row("conv", 8, name="a.b"),), "letters"),
        ((Row("conv", 8, name="image"),), "twice"),
        ((), "at least one row"),
        (("conv",), "Row objects"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(rows, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Blueprint("x", rows)


@pytest.mark.parametrize(
    "arguments",
    [{"width": "64"}, {"width": -1}, {"repeat": 0}, {"stride": 0}, {"each": {"drop_path": (0.1,)}, "repeat": 2}],
)
def test_row_with_an_impossible_value_is_refused(arguments) -> None:
    with pytest.raises(SettingsError):
        Row("conv", **{"width": 8, **arguments})


def test_rows_without_a_name_get_numbers_that_are_free() -> None:
    rows = (Row("conv", 8), Row("conv", 8, name="conv1"), Row("conv", 8))
    assert Blueprint("x", rows).names == ("conv2", "conv1", "conv3")


def test_sources_and_sides() -> None:
    rows = (
        Row("conv", 8, name="a"),
        Row("conv", 8, name="b"),
        Row("linear", inputs=("a",), name="side"),
        Row("conv", 8, inputs=("b",), name="c"),
    )
    blueprint = Blueprint("x", rows)
    assert blueprint.sources == {"a": ("image",), "b": ("a",), "side": ("a",), "c": ("b",)}
    assert blueprint.auxiliary_heads == ("side",)


def test_listing_the_zoo_loads_no_torch() -> None:
    code = (
        "import sys, striate.model.blueprint, striate.model.zoo as zoo\n"
        "for name in zoo.names(): zoo.blueprint(name)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_whole_number_is_a_number():
    rows = (Row("flatten"), Row("linear"))
    assert Blueprint("one", rows, aux_weight=1).aux_weight == 1.0
    with pytest.raises(SettingsError, match="aux_weight must be a number; got 'much'"):
        Blueprint("one", rows, aux_weight="much")
