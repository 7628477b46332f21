"""Inside a study's best variant: its runs judged as one, and the images that no run got right."""

from collections import Counter, defaultdict
from typing import Any

from . import pool
from .confusion import Shot
from .pictures import Album
from .read import Run, Study
from .rows import Row
from .sections_labels import judge
from .sections_values import draw_values

MAX_HARD = 36


def best_images(study: Study, album: Album) -> dict[str, Any]:
    """Return the sections of the best variant over all its runs, and for classes the images every run got wrong."""
    finished = [run for run in study.runs.get(study.best or "", []) if run.scores]
    split = study.split if any(run.scores.get(study.split) for run in finished) else "val"
    runs = [run for run in finished if run.scores.get(split)]
    if not runs:
        return {"reason": "There is no best variant to look into yet.", "kind": "", "hard": None}
    kind = runs[0].kind
    judged = draw_values(runs, split, album) if kind == "value" else judge(runs, split, album)
    hard = _hard(study, pool.answers(runs, split), split, album) if kind == "label" else None
    return {**judged, "kind": kind, "hard": hard}


def _hard(study: Study, judged: pool.Answers, split: str, album: Album) -> dict[str, Any]:
    """Return the images that every run of the best variant got wrong, those wrong in every variant first."""
    if max((len(answers) for answers in judged.values()), default=0) < 2:
        return {
            "shots": [],
            "reason": "Each image was judged by one run only; this needs at least two seeds.",
            "num": 0,
            "num_everywhere": 0,
        }
    others = [run for name, runs in study.runs.items() if name != study.best for run in runs if run.scores]
    wrong_elsewhere: dict[str, list[bool]] = defaultdict(list)
    for run in others:
        for row in run.rows:
            if row.split == split and row.id in judged:
                wrong_elsewhere[row.id].append(not row.is_right)
    hard = []
    for id_, answers in judged.items():
        if len(answers) > 1 and not any(row.is_right for _, row in answers):
            is_everywhere = bool(wrong_elsewhere[id_]) and all(wrong_elsewhere[id_])
            hard.append((not is_everywhere, -max(row.confidence for _, row in answers), id_))
    hard.sort()
    shots = [(_hard_shot(judged[id_], album), not is_elsewhere) for is_elsewhere, _, id_ in hard[:MAX_HARD]]
    num_everywhere = sum(not is_elsewhere for is_elsewhere, *_ in hard)
    return {"shots": shots, "reason": "", "num": len(hard), "num_everywhere": num_everywhere}


def _hard_shot(answers: list[tuple[Run, Row]], album: Album) -> Shot:
    """Return the picture of an image with every wrong answer it got, the most frequent first."""
    said = Counter(row.prediction for _, row in answers).most_common()
    run, row = pool.pictured(answers, album)
    several = [f"{name} ({times})" if len(said) > 1 else name for name, times in said]
    return Shot(album.take(run.folder, row.split, row.id), row.id, row.truth, ", ".join(several), "", False)
