"""Rounds of candidates: made from those before all of them, in the same bits wherever they are trained."""

import json
from dataclasses import replace

import pytest

from striate.base.errors import Interrupted, SettingsError
from striate.base.progress import Progress
from striate.data import open_dataset
from striate.run.trial import try_out
from striate.search import execute, trainer
from striate.search.candidates import RESULT, CandidateJob, Worker
from striate.search.evolve import Candidate
from striate.search.execute import search
from striate.search.folder import SearchDir
from striate.search.trainer import Trainer

TOY = "toy:shapes?n=120&size=16"


class Enough(Exception):
    """Ends a search before its study."""


@pytest.fixture
def no_study(monkeypatch):
    def end(*_, **__):
        raise Enough

    monkeypatch.setattr(execute, "study", end)


def explored(do_search, plan, folder) -> list[dict]:
    with pytest.raises(Enough):
        do_search(plan, folder)
    return [{**one.to_json(), "time_s": 0, "elapsed_s": 0} for one in SearchDir(folder).history()]


@pytest.fixture
def rounds(plan):
    """Seven candidates, three at once: two whole rounds and one that is cut short."""
    return replace(plan, num_candidates=7, epochs=1, at_once=3)


def test_a_candidate_is_made_from_those_before_its_round(no_study, do_search, rounds, tmp_path, tiny):
    rows = explored(do_search, rounds, tmp_path / "s")
    history = [Candidate.from_json(row) for row in rows]
    maker = Trainer(tiny, rounds, "cpu", Progress("quiet"))
    for number, one in enumerate(history):
        known = history[: number - number % 3]
        others = [replace(other, scores=(), status="waiting") for other in history[len(known) : number]]
        if number:
            made = trainer.propose([*known, *others], maker.rules)
            assert (made.genome, made.parent, made.change) == (one.genome, one.parent, one.change)
    assert len({one.genome for one in history}) == 7
    alone = explored(do_search, replace(rounds, at_once=1), tmp_path / "alone")
    assert [row["genome"] for row in alone[:2]] == [row["genome"] for row in rows[:2]]


def test_a_round_that_was_stopped_goes_on_as_if_it_had_not(no_study, do_search, rounds, tmp_path, monkeypatch):
    calls = []

    def killed(model, prepared, **options):
        calls.append(model)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return try_out(model, prepared, **options)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "try_out", killed)
        with pytest.raises(Interrupted):
            do_search(rounds, tmp_path / "s")
    assert len(SearchDir(tmp_path / "s").history()) == 4
    went_on = explored(do_search, replace(rounds, at_once=None), tmp_path / "s")  # the folder knows how many
    assert went_on == explored(do_search, rounds, tmp_path / "whole")
    with pytest.raises(SettingsError, match="another at_once: 3, now 2"):
        do_search(replace(rounds, at_once=2), tmp_path / "s")


def test_a_worker_that_knows_the_folder_trains_the_same_candidate(no_study, do_search, rounds, tmp_path):
    rounds = replace(rounds, num_candidates=4)
    with pytest.raises(Enough):
        search(open_dataset(TOY), rounds, out=tmp_path / "s", device="cpu", progress=Progress("quiet"))
    folder = SearchDir(tmp_path / "s")
    last = folder.history()[3]
    one = replace(last, scores=(), status="waiting", time_s=0.0, elapsed_s=0.0)
    job = CandidateJob(
        "x", 0, 0, folder.candidate(3), "candidate", candidate=one, before=folder.history()[:3], precision="float32"
    )
    job.run.path.mkdir(parents=True)
    Worker(folder.path, "cpu").work(**json.loads(json.dumps(job.words)))
    found = Candidate.from_json(json.loads((job.run.path / RESULT).read_text()))
    assert replace(found, time_s=0.0) == replace(last, time_s=0.0, elapsed_s=0.0)


def test_data_from_python_and_no_candidate_at_once_are_refused(do_search, plan, tmp_path):
    with pytest.raises(SettingsError, match="came from Python") as problem:
        do_search(plan, tmp_path / "s", on="local:2")
    assert "--on" in str(problem.value.where) and not (tmp_path / "s").exists()
    with pytest.raises(SettingsError, match="0 candidates at once"):
        replace(plan, at_once=0)


@pytest.mark.slow
def test_on_a_cluster_candidates_have_the_same_bits(no_study, rounds, tmp_path):
    pytest.importorskip("ray")
    rounds = replace(rounds, at_once=2, epochs=2)
    found = []
    for place, on in (("here", None), ("there", "local:2")):
        with pytest.raises(Enough):
            search(open_dataset(TOY), rounds, out=tmp_path / place, device="cpu", on=on, progress=Progress("quiet"))
        history = SearchDir(tmp_path / place).history()
        found.append([replace(one, time_s=0.0, elapsed_s=0.0) for one in history])
    assert found[0] == found[1]
    assert not (tmp_path / "there" / "candidates").exists()
