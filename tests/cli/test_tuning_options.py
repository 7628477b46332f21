"""The settings that are changed most have options and keyword arguments of their own, which say what `--set` says."""

import json
import shlex
from importlib import import_module
from typing import get_args

import pytest
from typer.main import get_command

import striate as st
from striate.base.errors import SettingsError
from striate.cli import options as o
from striate.cli.app import app, run
from striate.run.recipe import SHORT, Recipe, named
from striate.run.settings import TrainSettings

COMMANDS = get_command(app).commands
TYPED = {
    "epochs": ("3", 3),
    "lr": ("0.02", 0.02),
    "batch_size": ("16", 16),
    "augment": ("light", "light"),
    "optimiser": ("sgd", "sgd"),
    "patience": ("0", 0),
}
WORDS = [word for name, (text, _) in TYPED.items() for word in (f"--{name.replace('_', '-')}", text)]
SETS = [word for name, (text, _) in TYPED.items() for word in ("--set", f"{SHORT[name]}={text}")]
MEANT = named("regularized").changed(SETS[1::2])


class Seen(Exception):
    """What a verb was asked for."""


def recipes_of(words, monkeypatch):
    """Return the recipes that a command would train with."""

    def remember(*given, **more):
        raise Seen([one.recipe for one in given[1]] if isinstance(given[1], list) else list(given[1:]))

    monkeypatch.setattr(import_module("striate.studies.execute"), "study", remember)
    monkeypatch.setattr("striate.search.execute.search", remember)
    monkeypatch.setattr("striate.run.execute.train", lambda data, model, recipe, **more: remember(data, recipe))
    command = get_command(app)
    with command.make_context("striate", words) as context, pytest.raises(Seen) as seen:
        command.invoke(context)
    return [getattr(one, "recipe", one) for one in seen.value.args[0]]


@pytest.mark.parametrize("verb", ["train", "study", "search"])
def test_an_option_is_the_setting(verb, monkeypatch):
    skip = 2 if verb == "search" else 0  # whose --epochs are those of a candidate
    start = [verb, "toy:shapes?n=60&size=16"]
    typed = recipes_of([*start, *WORDS[skip:]], monkeypatch)
    assert typed == recipes_of([*start, *SETS[skip:]], monkeypatch)
    assert all(one.train.optimiser == "sgd" and one.train.lr == 0.02 and one.train.patience == 0 for one in typed)


def test_another_optimiser_has_its_own_rate_unless_one_is_typed():
    plain = o.recipe_of("regularized", None, tuning=o.Training(optimiser="sgd"))
    assert (plain.train.optimiser, plain.train.lr) == ("sgd", None)
    for training, changes in (
        (o.Training(optimiser="sgd", lr=0.5), None),
        (o.Training(optimiser="sgd"), ["train.lr=0.5"]),
        (o.Training(lr=0.5), ["train.optimiser=sgd"]),
    ):
        assert o.recipe_of("regularized", changes, tuning=training).train.lr == 0.5


@pytest.mark.parametrize("name", TYPED)
def test_an_option_beside_its_setting_is_refused(name, last_line):
    text, option = TYPED[name][0], f"--{name.replace('_', '-')}"
    assert run(["train", "toy:shapes", option, text, "--set", f"{SHORT[name]}={text}"]) == 2
    assert last_line() == f"error: {SHORT[name]} is given twice: {option} -- fix: leave one of them out"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--epochs 0", "got 0: --epochs -- fix: change --epochs"),
        ("--lr 0", "got 0.0: --lr -- fix: change --lr"),
        ("--lr nan", "got nan: --lr -- fix: change --lr"),
        ("--batch-size 65537", "got 65537: --batch-size -- fix: change --batch-size"),
        ("--patience -1", "got -1: --patience -- fix: change --patience"),
        ("--optimiser sdg", "got 'sdg': --optimiser -- fix: change --optimiser"),
        ("--augment lite", "--augment -- fix: did you mean 'light'"),
        ("--size 2", "each side is 8 to 2048 pixels; got 2: --size -- fix: change --size"),
        ("--fit bad", "got 'bad': --fit -- fix: change --fit"),
        ("--set data.size=2", "got 2: --set: data.size -- fix: change data.size"),
        ("--size 64 --set data.size=64", "data.size is given twice: --size"),
        ("--weight-decay 0.1", "use --set train.weight_decay=..."),
        ("--label-smoothing 0.1", "use --set train.label_smoothing=..."),
        ("--dropout=0.1", "use --set model.dropout=..."),
        ("--learning-rate 0.1", "use --lr ..."),
    ],
)
def test_what_is_not_allowed_is_named(words, says, last_line):
    assert run(["train", "toy:shapes", *words.split()]) == 2
    assert says in last_line()


def test_the_help_names_every_optimiser():
    said = next(one.help for one in COMMANDS["train"].params if one.name == "optimiser")
    assert set(said.rstrip(".").replace(" or ", ", ").split(", ")) == set(
        get_args(TrainSettings.model_fields["optimiser"].annotation)
    )


def test_keyword_arguments_are_the_settings(monkeypatch):
    found = {}
    monkeypatch.setattr("striate.api.train_run", lambda data, model, recipe, **more: found.update(more, recipe=recipe))
    monkeypatch.setattr("striate.api.Run", lambda folder, network, data: folder)
    data = st.open("toy:shapes?n=60&size=16")
    st.train(data, **{name: value for name, (_, value) in TYPED.items()})
    assert found.pop("progress") and found == {"recipe": MEANT, "recipe_name": "regularized changed"}
    st.train(data, recipe="baseline", optimiser="sgd", epochs=None)
    assert found["recipe"].train.lr is None and found["recipe"] == named("baseline").changed(["train.optimiser=sgd"])
    st.train(data, recipe=Recipe(), augment=["flip"], seed=3)
    assert found["recipe"] == Recipe().changed(["augment=flip"]) and found["seed"] == 3


def test_keyword_arguments_of_a_study_are_for_every_variant(monkeypatch):
    def remember(datasets, variants, **more):
        raise Seen(variants)

    monkeypatch.setattr(import_module("striate.studies.execute"), "study", remember)
    with pytest.raises(Seen) as seen:
        st.study("toy:shapes?n=60&size=16", epochs=3, lr=0.02)
    assert seen.value.args[0] == st.ladder(changes=["train.epochs=3", "train.lr=0.02"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"epoch": 3}, "did you mean epochs"),
        ({"optimizer": "sgd"}, "did you mean optimiser"),
        ({"learning_rate": 0.1}, "did you mean lr"),
        ({"weight_decay": 0.1}, r"changed\(\['train.weight_decay=...'\]\)"),
        ({"weigth_decay": 0.1}, r"changed\(\['train.weight_decay=...'\]\)"),
        ({"epochs": 0}, "got 0: epochs -- fix: change epochs$"),
        ({"overwite": True}, "did you mean overwrite"),
        ({"recipe_name": "x"}, "recipe_name"),
        ({"xyzzy": 1}, "choose one of augment, batch_size"),
    ],
)
def test_an_unknown_keyword_argument_names_the_nearest(words, says):
    with pytest.raises(SettingsError, match=says) as problem:
        st.train("nowhere", **words)
    assert len(problem.value.line) <= 240


def test_a_name_is_that_of_folder_and_list(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", "toy:shapes?n=60&size=16", "--model", "mlp", "--epochs", "1", "--threads", "1", "-q"]
    assert run([*words, "--name", "first try/<b>"]) == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["001-first-try-b"]
    assert capsys.readouterr().out.startswith("first try/<b> on shapes")
    assert run(["runs", "--json", "--filter", "first try"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["runs"]] == ["first try/<b>"]


def test_the_run_holds_what_was_typed(tmp_path, monkeypatch):
    words = ["train", "toy:shapes?n=60&size=16", "--epochs", "1", "--lr", "0.02", "--batch-size", "16", "--augment"]
    words += ["none", "--set", "model.width=4", "--set", "train.precision=float32", "--threads", "1", "-q", "--out"]
    results = []
    for name in ("a", "b"):
        monkeypatch.setattr("sys.argv", ["striate", *words, str(tmp_path / name)])
        assert run([*words, str(tmp_path / name)]) == 0
        info = json.loads((tmp_path / name / "run.json").read_text())
        assert info["recipe_name"] == "regularized changed"
        assert "--epochs 1 --lr 0.02 --batch-size 16 --augment none" in info["command"]
        words = shlex.split(info["command"])[1:-1]
        results.append((tmp_path / name / "weights.safetensors").read_bytes())
    assert results[0] == results[1]
