"""A whole search: costs kept, state on disk, going on equals never having stopped, the test split closed."""

import csv
import math
import shutil
from dataclasses import replace

import pytest
import torch

from striate.base.errors import DataError, Interrupted, ModelError, SettingsError
from striate.base.progress import Progress
from striate.model.blueprint import Blueprint
from striate.model.walk import walk
from striate.run.execute import train
from striate.run.prepare import prepare
from striate.run.trial import try_out
from striate.search import execute, trainer
from striate.search.execute import resume_search
from striate.search.folder import SearchDir
from striate.search.space import Frame, blueprint
from striate.studies import one as studies

SHAPE = {"size_hw": (12, 12), "channels": 1, "outputs": 3}


def timeless(found: SearchDir) -> list[dict]:
    return [{**one.to_json(), "time_s": 0, "elapsed_s": 0} for one in found.history()]


def test_a_search_leaves_everything_in_its_folder(searched, plan):
    history, result, info = searched.history(), searched.result(), searched.info()
    assert info["status"] == "finished"
    assert len(history) == plan.num_candidates
    limit = info["limit"]["value"]
    frame = Frame((12, 12), 1, 3, dropout=0.3)
    for one in history:
        found = walk(blueprint(one.genome, frame), **SHAPE)
        assert (found.macs, found.parameters) == (one.macs, one.parameters)
        assert found.macs <= limit == history[0].macs
    whole = [one for one in history[1:] if one.status == "finished"]
    best = max(whole, key=lambda one: max(one.scores))
    assert result["best"]["number"] == best.number
    rows = list(csv.DictReader((searched.path / "candidates.csv").read_text().splitlines()))
    assert [int(row["macs"]) for row in rows] == [one.macs for one in history]
    assert float(rows[best.number]["score"]) == pytest.approx(max(best.scores))
    assert Blueprint.from_toml(searched.best) == blueprint(best.genome, frame)


def test_the_study_trains_seed_and_best_alike_and_opens_test_once(searched, plan):
    study = searched.study
    verdict = study.verdict()
    assert {row["name"] for row in verdict["variants"]} == {"seed", "searched"}
    assert verdict["split_reported"] == "test"
    infos = [study.run(name, 0).info() for name in ("seed", "searched")]
    assert infos[0]["recipe"] == infos[1]["recipe"]
    assert infos[0]["num_epochs"] == infos[1]["num_epochs"] == plan.recipe.train.epochs
    assert infos[1]["model"]["macs"] == searched.result()["best"]["macs"]
    assert searched.result()["verdict"] == verdict


def test_candidates_never_see_the_test_split(do_search, plan, tmp_path, monkeypatch):
    seen = []

    def spy(model, prepared, **options):
        seen.append(set(prepared.dataset.splits))
        return try_out(model, prepared, **options)

    monkeypatch.setattr(trainer, "try_out", spy)
    monkeypatch.setattr(execute, "study", lambda *values, **options: pytest.fail("stop here"))
    with pytest.raises(pytest.fail.Exception):
        do_search(plan, tmp_path / "s")
    assert seen == [{"train", "val"}] * plan.num_candidates
    assert not list((tmp_path / "s").rglob("scores.json"))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Interrupted("x", signal_number=15)], ids=["key", "signal"])
def test_going_on_is_as_if_it_had_never_stopped(searched, do_search, plan, tmp_path, monkeypatch, stop):
    calls = []

    def killed(model, prepared, **options):
        calls.append(model)
        if len(calls) == 4:
            raise stop
        return try_out(model, prepared, **options)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "try_out", killed)
        with pytest.raises(Interrupted) as told:
            do_search(plan, tmp_path / "s")
    assert told.value.exit_code == (130 if stop is KeyboardInterrupt else 143)
    assert str(tmp_path / "s") in told.value.fix
    assert SearchDir(tmp_path / "s").info()["status"] == "interrupted"
    assert len(SearchDir(tmp_path / "s").history()) == 3
    found = do_search(plan, tmp_path / "s")
    assert timeless(found) == timeless(searched)
    assert found.best.read_text() == searched.best.read_text()
    assert found.result()["best"] == searched.result()["best"]


def test_a_study_that_was_stopped_goes_on(searched, do_search, plan, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(studies, "open_test", lambda *values: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(Interrupted):
            do_search(plan, tmp_path / "s")
    with pytest.raises(SettingsError, match="num_candidates"):
        do_search(replace(plan, num_candidates=9), tmp_path / "s")
    found = do_search(plan, tmp_path / "s")
    assert found.study.verdict()["differences"] == searched.study.verdict()["differences"]


def test_a_finished_search_is_left_as_it_is(searched, do_search, plan):
    before = {path: path.stat().st_mtime_ns for path in searched.path.rglob("*.toml")}
    assert do_search(plan, searched.path).result() == searched.result()
    assert before == {path: path.stat().st_mtime_ns for path in searched.path.rglob("*.toml")}


def test_a_budget_ends_the_search_and_a_larger_one_goes_on(do_search, plan, tmp_path):
    short = replace(plan, num_candidates=None, budget_s=1e-3)
    with pytest.raises(SettingsError, match="no candidate was finished"):
        do_search(short, tmp_path / "s")
    assert len(SearchDir(tmp_path / "s").history()) == 1
    found = do_search(replace(short, num_candidates=3, budget_s=600), tmp_path / "s")
    assert len(found.history()) == 3


def test_another_search_or_other_data_in_the_folder_are_refused(searched, do_search, plan, tiny):
    with pytest.raises(SettingsError, match="another seed"):
        do_search(replace(plan, seed=5), searched.path)
    other = tiny.with_splits({**tiny.splits, "train": tiny.splits["train"][:50]})
    with pytest.raises(DataError, match="other data"):
        do_search(plan, searched.path, dataset=other)
    with pytest.raises(ModelError, match="from Python"):
        resume_search(searched.path)
    with pytest.raises(ModelError, match="not a search folder"):
        resume_search(searched.path / "study")


def test_a_seed_outside_the_space_and_a_limit_of_parameters(do_search, plan, tmp_path):
    flat = plan.recipe.changed(["model.head=flatten"])
    small = replace(plan, num_candidates=3, epochs=1, max_parameters=7000, recipe=flat)
    found = do_search(small, tmp_path / "s")
    history = found.history()
    assert history[0].genome is None
    assert history[1].parent is None
    assert all(one.parameters <= 7000 for one in history[1:])
    with pytest.raises(SettingsError, match="narrowest start costs"):
        do_search(replace(small, max_parameters=10), tmp_path / "none")


def test_fewer_training_images_for_candidates_only(do_search, plan, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(trainer, "try_out", lambda m, p, **o: seen.append(p) or try_out(m, p, **o))
    found = do_search(replace(plan, num_train=30, num_candidates=2, epochs=1), tmp_path / "s")
    assert [len(one.dataset.splits["train"]) for one in seen] == [30, 30]
    assert found.study.run("seed", 0).info()["dataset"]["counts"]["train"] == 60
    assert seen[0].batch_size == found.study.run("seed", 0).info()["batch_size"]


def test_a_plan_needs_an_end_one_limit_and_fresh_weights(recipe):
    for wrong in ({}, {"budget_s": 1, "max_macs": 1, "max_parameters": 1}):
        with pytest.raises(SettingsError):
            execute.Plan(recipe, **wrong)
    with pytest.raises(SettingsError, match="fresh"):
        execute.Plan(recipe.changed(["transfer.weights=imagenet"]), budget_s=1)


def test_a_trial_scores_what_a_run_scores(tiny, recipe, tmp_path):
    run = train(tiny, "bipyramid", recipe, out=tmp_path / "run", device="cpu", progress=Progress("quiet"))
    prepared = prepare(tiny, recipe, target=None, device=torch.device("cpu"), progress=Progress("quiet"))
    state = torch.get_rng_state()
    tried = try_out("bipyramid", prepared, should_continue=lambda scores: True)
    assert tried.scores == pytest.approx([row["val"]["accuracy"] for row in run.history()])
    assert tried.ended == "finished"
    assert torch.equal(torch.get_rng_state(), state)


def test_a_trial_ends_when_its_scores_do_not_go_on(tiny, recipe):
    prepared = prepare(tiny, recipe, target=None, device=torch.device("cpu"), progress=Progress("quiet"))
    asked = []
    tried = try_out("bipyramid", prepared, should_continue=lambda scores: asked.append(tuple(scores)) or False)
    assert tried.ended == "cut"
    assert len(tried.scores) == 1
    assert asked == [tried.scores]


def test_a_network_that_diverges_is_a_poor_candidate_not_an_error(tiny, recipe):
    wild = recipe.changed(["train.lr=1e12", "train.optimiser=sgd", "model.norm=none"])
    prepared = prepare(tiny, wild, target=None, device=torch.device("cpu"), progress=Progress("quiet"))
    tried = try_out("bipyramid", prepared, should_continue=lambda scores: True)
    assert tried.ended == "diverged"
    assert all(math.isfinite(score) for score in tried.scores)


def test_a_list_of_candidates_cut_short_goes_on(searched, do_search, plan, tmp_path, monkeypatch):
    """The last line is half written, as a kill or a full disk leaves it; that candidate is tried again."""
    with monkeypatch.context() as patch:
        patch.setattr(execute, "study", lambda *values, **options: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(Interrupted):
            do_search(plan, tmp_path / "s")
    path = tmp_path / "s" / "candidates.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    found = do_search(plan, tmp_path / "s")
    assert timeless(found) == timeless(searched)
    again = do_search(plan, tmp_path / "s")
    assert len(again.history()) == plan.num_candidates


def test_a_finished_search_is_held_against_its_checksums(searched, tmp_path):
    copy = SearchDir(shutil.copytree(searched.path, tmp_path / "copy"))
    for name, read in (("search.json", copy.info), ("candidates.jsonl", copy.history), ("result.json", copy.result)):
        keep = (copy.path / name).read_bytes()
        (copy.path / name).write_bytes(keep.replace(b"1", b"2", 1))
        with pytest.raises(ModelError, match=f"{name} does not match"):
            read()
        (copy.path / name).write_bytes(keep)
