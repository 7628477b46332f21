"""The study files of the benchmarks are plans that can be carried out."""

from pathlib import Path

import pytest

from striate.api import study_file
from striate.base.errors import SettingsError
from striate.run.network import require
from striate.studies.plan import Variant, read_plan

FILES = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_study_file_is_a_plan(path: Path) -> None:
    table, variants = read_plan(path)
    assert table.seeds >= 2 and variants
    for variant in variants:
        require(variant.model)
        assert Variant.from_json(variant.to_json()) == variant


def test_variants_differ_by_skips_alone_and_have_equal_epochs() -> None:
    _, variants = read_plan(FILES[0].with_name("skips.toml"))
    assert all(variant.recipe == variants[0].recipe for variant in variants)
    assert all(variant.recipe.train.patience == 0 for variant in variants)
    models = {variant.name: variant.model for variant in variants}
    assert models["plain20"] == "resnet20 without skip" and models["plain56"] == "resnet56 without skip"


def test_a_variant_names_what_it_takes_out(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('[[variant]]\nname = "a"\nwithout = ["norm", "skip"]\npool = "avg"\nmodel = "resnet18"\n')
    (variant,) = read_plan(path)[1]
    assert variant.model == "resnet18 without skip and norm with avg pooling"
    path.write_text('[[variant]]\nname = "a"\nwithout = ["skips"]\n')
    with pytest.raises(SettingsError, match="without"):
        read_plan(path)


def test_a_variant_without_a_model_takes_its_recipes_network(tmp_path: Path) -> None:
    rows = {"own": 'recipe = "fast-small"', "other": 'recipe = "fast-small"\nmodel = "mlp"', "plain": ""}
    path = tmp_path / "plan.toml"
    path.write_text("".join(f'[[variant]]\nname = "{name}"\n{row}\n' for name, row in rows.items()))
    assert {one.name: one.model for one in read_plan(path)[1]} == {
        "own": "airbench",
        "other": "mlp",
        "plain": "bipyramid",
    }


def test_a_blueprint_lies_beside_its_study_file(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.toml").write_text(
        'name = "mine"\nrows = [{ block = "global_pool" }, { block = "linear" }]\n'
    )
    text = '[[variant]]\nname = "a"\nmodel = "mine.toml"\n[[variant]]\nname = "b"\nmodel = "mlp"\n'
    (tmp_path / "there" / "study.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    _, variants = read_plan(tmp_path / "there" / "study.toml")
    assert [variant.model for variant in variants] == [str(tmp_path / "there" / "mine.toml"), "mlp"]
    _, variants = read_plan(Path("there/study.toml"))
    assert variants[0].model == str(Path("there/mine.toml"))


def test_a_setting_that_the_task_refuses_is_said_before_a_folder_is_begun(tmp_path: Path) -> None:
    text = 'data = "toy:shapes?n=40&size=16"\n[[variant]]\nname = "a"\nset = ["task.angles=plain"]\n'
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"classify has no setting 'angles'.*variant a: task\.angles"):
        study_file(tmp_path / "study.toml", out=tmp_path / "out", command="", progress=None)
    assert not (tmp_path / "out").exists()
    (tmp_path / "study.toml").write_text(text.replace("task.angles=plain", "task.loss=foo"))
    with pytest.raises(SettingsError, match="variant a: task"):
        study_file(tmp_path / "study.toml", out=tmp_path / "out", command="", progress=None)
    assert not (tmp_path / "out").exists()
