"""Study plans: every combination, or random draws, and how a wrong setting is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from striate.base.errors import SettingsError
from striate.run.recipe import named
from striate.studies.grid import expanded, plan_of
from striate.studies.plan import Variant, check_names, read_plan


@pytest.fixture
def plan(tmp_path: Path):
    """Write a plan and return its variants."""
    path = tmp_path / "plan.toml"

    def read(text: str) -> list[Variant]:
        path.write_text(f'data = "toy:shapes"\n{text}')
        return read_plan(path)[1]

    return read


def test_a_grid_is_every_combination(plan):
    variants = plan(
        '[base]\nrecipe = "regularized"\nset = ["train.epochs=7"]\n'
        '[grid]\nmodel = ["lenet5", "bipyramid"]\n"train.lr" = [1e-3, 0.01, 1]\n'
    )
    found = [(variant.model, variant.recipe.train.lr) for variant in variants]
    assert found == [(model, lr) for model in ("lenet5", "bipyramid") for lr in (0.001, 0.01, 1)]
    assert {variant.recipe.train.epochs for variant in variants} == {7}
    assert {variant.recipe_name for variant in variants} == {"regularized"}
    assert [variant.name for variant in variants[:3]] == ["lenet5+lr-0.001", "lenet5+lr-0.01", "lenet5+lr-1"]
    assert variants[0].text == "model lenet5, train.lr 0.001"


def test_dotted_keys_and_tables_are_settings_too(plan):
    dotted = plan("[grid]\ntrain.lr = [0.1, 0.2]\ntrain.sam = [0.0, 0.05]\n")
    tables = plan("[grid.train]\nlr = [0.1, 0.2]\nsam = [0.0, 0.05]\n")
    assert dotted == tables
    assert [(one.recipe.train.lr, one.recipe.train.sam) for one in dotted] == [
        (0.1, 0),
        (0.1, 0.05),
        (0.2, 0),
        (0.2, 0.05),
    ]


def test_every_kind_of_value_arrives(plan):
    (variant,) = plan(
        '[grid]\n"train.freeze_norm" = [true]\n"train.optimiser" = ["sgd"]\n"data.size" = [32]\naugment = ["light"]\n'
        '"model.norm" = ["batch"]\nnum_train = [50]\npool = ["max"]\nrecipe = ["augmented"]\n'
    )
    recipe = variant.recipe
    assert (recipe.train.freeze_norm, recipe.train.optimiser, recipe.data.size) == (True, "sgd", 32)
    assert [op.kind for op in recipe.augment] == ["flip", "shift"]
    assert (recipe.model.norm, variant.num_train, variant.recipe_name) == ("batch", 50, "augmented")
    assert variant.model == "bipyramid with max pooling"


def test_a_list_of_operations_is_a_value(plan):
    (variant,) = plan('[grid]\naugment = [[{kind = "flip"}, {kind = "shift", max_frac = 0.2}]]\n')
    assert [op.kind for op in variant.recipe.augment] == ["flip", "shift"]
    assert variant.recipe.augment[1].max_frac == 0.2


def test_random_draws_stay_in_their_ranges_and_fill_them(plan):
    variants = plan(
        '[random]\nn = 300\nseed = 1\n"train.lr" = {low = 1e-4, high = 1e-1, log = true}\n'
        '"model.dropout" = {low = 0.0, high = 0.5}\n"train.batch_size" = {low = 8, high = 11}\n'
        '"train.optimiser" = ["sgd", "adamw"]\n'
    )
    rates = np.log10([variant.recipe.train.lr for variant in variants])
    dropouts = np.array([variant.recipe.model.dropout for variant in variants])
    assert kstest(rates, "uniform", args=(-4, 3)).pvalue > 0.01
    assert kstest(dropouts, "uniform", args=(0, 0.5)).pvalue > 0.01
    sizes, counts = np.unique([variant.recipe.train.batch_size for variant in variants], return_counts=True)
    assert sizes.tolist() == [8, 9, 10, 11] and counts.min() > 50
    assert {variant.recipe.train.optimiser for variant in variants} == {"sgd", "adamw"}
    assert all(re.fullmatch(r"\d+(\.\d+)?(e-\d+)?", f"{variant.recipe.train.lr:.3g}") for variant in variants)


def test_draws_depend_on_their_seed_alone(plan):
    text = '[random]\nn = 5\nseed = {}\n"train.lr" = {{low = 1e-4, high = 1e-1, log = true}}\n'
    assert plan(text.format(3)) == plan(text.format(3))
    assert plan(text.format(3)) != plan(text.format(4))


def test_draws_differ_and_there_must_be_enough_of_them(plan):
    text = '[random]\nn = {}\n"train.batch_size" = {{low = 8, high = 10}}\n'
    assert sorted(one.recipe.train.batch_size for one in plan(text.format(3))) == [8, 9, 10]
    with pytest.raises(SettingsError, match="fewer than 4 different draws") as problem:
        plan(text.format(4))
    assert problem.value.where.endswith("random: n") and "3" in problem.value.fix


def test_a_grid_and_draws_go_together(plan):
    variants = plan('[grid]\nmodel = ["lenet5", "bipyramid"]\n[random]\nn = 3\n"train.lr" = {low = 0.1, high = 0.9}\n')
    assert [variant.model for variant in variants] == ["lenet5"] * 3 + ["bipyramid"] * 3
    assert len({variant.recipe.train.lr for variant in variants}) == 6


@pytest.mark.parametrize(
    "text",
    [
        '[grid]\n"train.lr" = [0.1, 0.10000001]\n',  # alike to six digits
        '[grid]\n"train.lr" = [0.1, 0.2]\n"train.momentum" = [0.0, 0.5]\n"train.weight_decay" = [0.01, 0.02]\n'
        '"train.label_smoothing" = [0.0, 0.1]\n"train.weight_noise" = [0.0, 0.1]\n',  # longer than a name may be
        '[grid]\n"transfer.weights" = ["some/../file", "some/../fi le"]\n',
        '[grid]\n"transfer.weights" = ["A", "a"]\n',  # one folder where case does not count
        '[grid]\nmodel = ["bipyramid without norm", "bipyramid"]\n',
    ],
)
def test_names_are_unique_and_can_be_folders(plan, text):
    variants = plan(text)
    check_names(variants)
    assert len({variant.name.lower() for variant in variants}) == len(variants)
    assert all(not variant.name.endswith(".") for variant in variants)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("[grid]\ntrain.lrr = [0.1]\n", "grid: train.lrr", "unknown setting"),
        ("[grid]\ntrain.lr = [0.1, 'big']\n", "grid: train.lr", "big"),
        ("[grid]\ntrain.lr = [0.1, -1]\n", "grid: train.lr", "-1"),
        ("[grid]\ntrain.lr = 0.1\n", "grid: train.lr", "not a list"),
        ("[grid]\ntrain.lr = []\n", "grid: train.lr", "not a list"),
        ("[grid]\ntrain.lr = [0.1, 0.1]\n", "grid: train.lr", "twice"),
        ("[grid]\nmodel = ['lenet55']\n", "grid: model", "lenet55"),
        ("[grid]\nmodel = [3]\n", "grid: model", "3"),
        ("[grid]\nrecipe = ['regularised']\n", "grid: recipe", "regularised"),
        ("[random]\nn = 0\ntrain.lr = [0.1]\n", "random: n", "greater"),
        ("[random]\ntrain.lr = [0.1]\n", "random: n", "required"),
        ("[random]\nn = 2\n", "random", "nothing to draw"),
        ("[random]\nn = 2\ntrain.lr = {low = 2, high = 1}\n", "random: train.lr", "not below"),
        ("[random]\nn = 2\ntrain.lr = {low = 0, high = 1.0, log = true}\n", "random: train.lr", "logarithm"),
        ("[random]\nn = 2\ntrain.lr = {low = 0, high = 1.0, lo = true}\n", "random: train.lr: lo", "unknown setting"),
        ("[random]\nn = 2\ntrain.sam = {low = -1.0, high = 1.0}\n", "random: train.sam", "greater"),
        ("[grid]\ntrain.lr = [1]\n[random]\nn = 1\ntrain.lr = [2]\n", "random: train.lr", "[grid] too"),
        ("[base]\nmodel = 'lenet5'\n", "base", "without a plan"),
        ("[base]\nname = 'x'\n[grid]\ntrain.lr = [1]\n", "base: name", "names its variants"),
        ("[base]\nset = 'train.lr=1'\n[grid]\ntrain.sam = [0.1]\n", "base: set", "not a list"),
        ("[grid]\ntrain.lr = [1]\n[[variant]]\nname = 'x'\n", "variant", "both"),
        ("grid = 3\n", "grid", "table"),
        ("[random]\nn = 1000\ntrain.lr = {low = 0.1, high = 1}\n[grid]\ntrain.sam = [0.1, 0.2]\n", "grid", "2,000"),
    ],
)
def test_a_wrong_plan_is_refused_by_file_and_field(plan, text, where, what):
    with pytest.raises(SettingsError, match=re.escape(what)) as problem:
        plan(text)
    assert re.search(rf"plan\.toml: {re.escape(where)}", problem.value.where)
    assert problem.value.fix


def test_files_without_a_plan_are_left_alone_and_the_plan_can_be_recorded():
    table = {"data": "x", "variant": [{"name": "a"}]}
    assert expanded(table, "x.toml") is table
    assert plan_of(table) is None
    grid = {"data": "x", "base": {"model": "lenet5"}, "grid": {"train.lr": [0.1]}}
    assert plan_of(grid) == {"base": {"model": "lenet5"}, "grid": {"train.lr": [0.1]}}


def test_names_that_are_one_folder_where_case_does_not_count_are_refused(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('[[variant]]\nname = "Plain"\n[[variant]]\nname = "other"\n[[variant]]\nname = "plain"\n')
    with pytest.raises(SettingsError, match="but for case: Plain is the first") as caught:
        read_plan(path)
    assert caught.value.where == f"{path}: variant plain" and caught.value.exit_code == 2
    for names in (("Plain", "plain"), ("a", "a")):  # handed in from Python
        with pytest.raises(SettingsError, match="two variants share a name"):
            check_names([Variant(name, "mlp", named("baseline"), "baseline") for name in names])
