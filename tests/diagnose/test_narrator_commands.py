"""Every command the narrator prints is typed again here: the command line's own parser must make the same of it."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from striate.base import plugin
from striate.base.files import to_json
from striate.base.rundir import RunDir, StudyDir
from striate.cli.app import app
from striate.cli.options import Opening, Training, recipe_of
from striate.diagnose.experiment import again, as_study, on_weights, other
from striate.diagnose.reading import Reading
from striate.run.assignment import from_named
from striate.run.recipe import SHORT, Recipe, named
from striate.task.table import TASKS

COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
BLUEPRINT = {"rows": [{"block": "linear", "options": {}}]}


def parsed(command: str) -> dict[str, Any]:
    """The parameters of a command as the command line reads them."""
    words = shlex.split(command)
    assert words[0] == "striate"
    return dict(COMMANDS[words[1]].make_context(words[1], words[2:]).params)


def recipe_in(command: str) -> Recipe:
    given = parsed(command)
    training = Training(**{name: given[name] for name in SHORT})
    return recipe_of(
        given["recipe"] or "regularized", given["set_"], given["size"], given["fit"], given.get("weights"), training
    )


def words_in(command: str) -> dict[str, Any]:
    """The keywords of `open_dataset` that a command gives."""
    given = parsed(command)
    found = Opening(**{name: given[name] for name in Opening.__dataclass_fields__})
    return found.words(given["target"], given["task"], allow_empty=given.get("allow_empty", False))


def reading(recipe: Recipe, name: str = "baseline", **info: Any) -> Reading:
    document: dict[str, Any] = {"recipe": recipe.model_dump(mode="json"), "recipe_name": name, "seed": 3}
    document |= {"model": {"name": "bipyramid", "blueprint": BLUEPRINT}, "task": {"target": "label", "kind": "label"}}
    document["dataset"] = {"where": "birds/", "options": {"split": [0.7, 0.15, 0.15], "seed": 0}}
    return Reading(document | info, [])


def same(a: Recipe, b: Recipe) -> bool:
    return a.model_copy(update={"text": ""}) == b.model_copy(update={"text": ""})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("baseline", ["augment=[{kind='flip'},{kind='mixup',alpha=0.4}]"]),
        ("baseline", ["augment=[{kind='flip',horizontal=0.0},{kind='crop',scale=[0.3,0.9]}]", "train.lr=1e-5"]),
        ("augmented", ["augment=none", "data.fit=squash", "data.size=48"]),
        ("baseline", ["augment=auto"]),
        ("regularized", ["augment=strong", "train.record_gradients=true", "model.width=1.5"]),
        ("mine.toml", ["train.swa=0.25", "train.optimiser=sgd", "augment=light"]),
        ("custom", ["transfer.weights=my weights/one.safetensors", "transfer.preset=tensorflow"]),
        ("finetune changed", ["transfer.weights='12'", "train.frozen=stage2", "train.momentum=0.95"]),
    ],
)
def test_a_run_of_a_study_is_repeated_with_all_of_its_recipe(name: str, changes: list[str]) -> None:
    known = name.removesuffix(" changed")
    recipe = named(known if known in {"baseline", "augmented", "regularized", "finetune"} else "baseline")
    recipe = recipe.changed(changes)
    command = again(reading(recipe, name))
    assert same(recipe_in(command), recipe)
    assert same(recipe_in(again(reading(recipe, name), "train.epochs=7")), recipe.changed(["train.epochs=7"]))
    assert parsed(command)["seed"] == 3 and parsed(command)["model"] == "bipyramid"


def test_a_setting_that_is_automatic_again_is_said_with_another_recipe() -> None:
    """No `--set` makes a rate automatic: the command starts from a recipe whose rate is."""
    plain = named("regularized").model_dump(mode="json")
    plain["train"]["lr"] = None
    start, changes = from_named(plain, "regularized") or ("", [])
    assert start != "regularized" and same(named(start).changed(changes), Recipe.parse(plain))


OPTIONS: dict[str, Any] = {"seed": 4, "allow_empty": True, "limit": {"train": 60, "val": 40}, "per_class": 9}
OPTIONS |= {
    "classes": ["Pepper,_bell", "c"],
    "blank": "ignore",
    "split_column": "part",
    "group": "x(.)",
    "target": "kind",
    "split": [0.7, 0.15, 0.15],
}


def test_the_data_are_opened_alike() -> None:
    found = reading(named("baseline"), dataset={"where": "my birds", "options": OPTIONS}, task={"target": "kind"})
    kept = {name: value for name, value in OPTIONS.items() if name != "split"}
    for command in (again(found), other(found, "--model", "mlp"), as_study(found)):
        assert words_in(command) == kept and parsed(command)["data"] == "my birds"
    assert words_in(other(found, verb="check")) == kept | {"allow_empty": False}


@pytest.mark.parametrize("options", [{"split": [0.5, 0.25, 0.25]}, {"folds": 5, "fold": 2}])
def test_data_that_no_option_opens_alike_have_no_command(options: dict[str, Any]) -> None:
    found = reading(named("baseline"), dataset={"where": "birds/", "options": options})
    assert again(found) == "" and other(found, "--model", "mlp") == ""


TYPED = (
    "striate train birds/ -m mobilenet_v2 --weights w.safetensors --recipe features --size 64 --fit squash "
    "--on-bad skip --set transfer.preset=tensorflow"
)


def test_another_recipe_on_the_same_weights_takes_the_same_pixels() -> None:
    recipe = recipe_of("features", ["transfer.preset=tensorflow"], 64, "squash", "w.safetensors")
    model = {"name": "mobilenet_v2", "blueprint": BLUEPRINT}
    found = reading(recipe, "features changed", command=TYPED, model=model)
    tuned = on_weights(found, "finetune")
    expected = recipe_of("finetune", ["transfer.preset=tensorflow"], 64, "squash", "w.safetensors")
    assert recipe_in(tuned) == expected
    assert parsed(tuned)["model"] == "mobilenet_v2" and parsed(tuned)["on_bad"] == "skip"
    study = parsed(as_study(found))
    assert (study["ladder"], study["weights"], study["base"]) == (True, "w.safetensors", "mobilenet_v2")
    assert (study["size"], study["fit"], study["set_"]) == ("64", "squash", ["transfer.preset=tensorflow"])


def test_the_study_of_a_run_from_scratch_keeps_its_network_and_pixels() -> None:
    typed = "striate train birds/ --model nets/own.toml --without skip --set data.size=48"
    model = {"name": "own without skip", "blueprint": BLUEPRINT}
    found = reading(named("baseline").changed(["data.size=48", "data.margin=1.3"]), command=typed, model=model)
    study = parsed(as_study(found))
    assert (study["model"], study["size"]) == ("nets/own.toml without skip", "48")
    assert study["set_"] == ["data.margin=1.3"] and not study["ladder"]


@pytest.mark.parametrize("name", sorted(name for name, task in TASKS.items() if task.steps))
def test_the_study_of_a_task_with_networks_of_its_own_names_no_other_and_no_weights(name: str) -> None:
    typed = f"striate train pets/ --task {name} --model unet --weights w.safetensors --size 128"
    recipe = recipe_of("regularized", ["transfer.preset=tensorflow"], 128, None, "w.safetensors")
    task = {"name": name, "target": "mask", "kind": "mask"}
    options = {"where": "pets/", "options": {"task": name}}
    model = {"name": "unet", "blueprint": BLUEPRINT}
    study = parsed(as_study(reading(recipe, command=typed, model=model, task=task, dataset=options)))
    assert study["model"] is None and study["weights"] is None and not study["ladder"] and not study["set_"]
    assert (study["task"], study["size"]) == (name, "128")


def test_a_network_from_python_has_no_command() -> None:
    found = reading(named("baseline"), model={"name": "mine", "blueprint": BLUEPRINT})
    assert again(found) == "" and as_study(found) == ""


def test_weights_that_are_none_are_not_printed(tmp_path: Path) -> None:
    from striate.diagnose.symptoms import _loosening

    for changes, start in ((["train.frozen=body"], "baseline"), ([], "features")):
        recipe = named(start).changed(changes)
        what, command = _loosening(reading(recipe, start))
        assert "None" not in command and what.startswith("Train the whole network")
        told = recipe_in(command)
        assert told.train.stages == () and told.transfer.head == "fresh"


def test_a_body_that_was_frozen_at_first_only_is_not_to_be_unfrozen() -> None:
    from striate.diagnose.symptoms import _loosening

    first = named("baseline").changed(["train.frozen=body", "train.frozen_epochs=2"])
    assert not _loosening(reading(first))[0].startswith("Train the whole network")


def study_run(path: Path, variant: dict[str, Any], **info: Any) -> Reading:
    """A run that lies in a study, read from its folder."""
    study = StudyDir(path / "study")
    recipe = named("baseline").changed(["augment=light"]).model_dump(mode="json")
    variant = {"name": "one", "model": "bipyramid", "recipe": recipe, "num_train": None} | variant
    study.path.mkdir()
    study.save_info({"variants": [variant], "seeds": [0], "folds": None, "target": None} | info)
    run: RunDir = study.run("one", 0)
    run.path.mkdir(parents=True)
    (run.path / "history.jsonl").write_text(to_json({"epoch": 1}) + "\n")
    run.save_info(dict(reading(Recipe.parse(recipe), "mine.toml").info) | {"seed": 0, "status": "finished"})
    return Reading.of(run)


def test_the_options_of_the_study_and_the_file_of_the_network_are_kept(tmp_path: Path) -> None:
    found = study_run(tmp_path, {"model": "nets/own.toml"}, command="striate study plan.toml --on-bad=skip")
    given = parsed(again(found))
    assert (given["model"], given["on_bad"]) == ("nets/own.toml", "skip")
    assert same(recipe_in(again(found)), named("baseline").changed(["augment=light"]))


def test_files_that_were_left_out_are_left_out_again(tmp_path: Path) -> None:
    study_run(tmp_path, {})
    (tmp_path / "study" / "skipped.csv").write_text("id,reason\n")
    found = Reading.of(StudyDir(tmp_path / "study").run("one", 0))
    assert parsed(again(found))["on_bad"] == "skip"


def test_a_variant_on_fewer_images_has_no_command(tmp_path: Path) -> None:
    assert again(study_run(tmp_path, {"num_train": 50})) == ""


def test_a_target_that_only_the_study_named_has_no_command(tmp_path: Path) -> None:
    assert again(study_run(tmp_path, {}, target="angle")) == ""


def test_a_network_that_the_recipe_brought_is_named_where_another_recipe_follows() -> None:
    typed = "striate train birds/ --recipe fast-small"
    found = reading(
        named("fast-small"), "fast-small", command=typed, model={"name": "airbench", "blueprint": BLUEPRINT}
    )
    assert parsed(as_study(found))["model"] == "airbench"
    assert parsed(again(found, "train.epochs=3"))["model"] is None


@pytest.mark.parametrize("words", ["--lr 0.5 --epochs=3 --size 32", "--lr=0.5 --set train.epochs=3 --size=32"])
def test_what_an_option_said_is_said_anew(words: str) -> None:
    """The setting that changes is not given a second time, which a command refuses."""
    typed = f"striate train birds/ {words} --seed 2"
    found = reading(named("regularized"), "regularized changed", command=typed, model={"name": "bipyramid"})
    recipe = recipe_in(again(found, "train.lr=0.01", "data.size=48"))
    assert (recipe.train.lr, recipe.data.size, recipe.train.epochs) == (0.01, 48, 3)
    assert parsed(again(found, "train.lr=0.01"))["size"] == "32"


def test_a_command_loads_the_plugins_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the run's or its study's command named them, else from where they are loaded, else by their names."""

    def plugins_in(command: str) -> list[str]:
        rest, files = plugin.take_options(shlex.split(command))
        parsed(shlex.join(rest))
        return files

    monkeypatch.setattr(plugin, "LOADED", {tmp_path / name: None for name in ("two.py", "three.py")})
    info = {"plugins": [{"file": f"{name}.py"} for name in ("one", "two", "three", "four")]}
    found = reading(named("baseline"), **info, command="striate study birds/ --plugin 'my files/one.py'")
    found = replace(found, study={"command": "striate study birds/ --plugin=../two.py --seeds 2"})
    wanted = ["my files/one.py", "../two.py", str(tmp_path / "three.py"), "four.py"]
    commands = [again(found), other(found, verb="check"), as_study(found)]
    assert [plugins_in(command) for command in commands] == [wanted] * 3
    once = reading(named("baseline"), **info, command="striate train birds/ --plugin a/one.py --model mlp --out x")
    assert plugins_in(again(once)) == ["a/one.py"]  # what was typed loads what is needed
    assert plugins_in(again(reading(named("baseline")))) == []
