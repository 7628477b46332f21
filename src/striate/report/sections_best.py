"""Inside a study's variants: the runs of the chosen one judged as one, and what each of the others gets wrong."""

from collections import Counter, defaultdict
from typing import Any

from . import pool
from .confusion import Shot
from .pictures import Album
from .read import SPLIT_WORDS, Run, Study
from .rows import Row
from .sections_labels import counts_of, judge, mistakes
from .sections_values import draw_values, worst

MAX_HARD = 36
MAX_OTHERS = 12  # mistakes with a picture, of each of the other variants
MAX_SHARE = 0.5  # of the page's pictures, for all of them
MAX_NAMES = 1500  # of images in the cells of all of them


def best_images(study: Study, album: Album) -> dict[str, Any]:
    """Return the sections of the best variant over all its runs, and for classes the images every run got wrong."""
    finished = [run for run in study.runs.get(study.best or "", []) if run.scores]
    album.num_reserved = round(min(MAX_SHARE * album.max_pictures, MAX_OTHERS * (len(study.names) - 1)))
    split = study.split if any(run.scores.get(study.split) for run in finished) else "val"
    runs = [run for run in finished if run.scores.get(split)]
    if not runs:
        return {"reason": "There is no best variant to look into yet.", "kind": "", "hard": None}
    kind = runs[0].kind
    judged = draw_values(runs, split, album) if kind == "value" else judge(runs, split, album)
    hard = _hard(study, pool.answers(runs, split), split, album) if kind == "label" else None
    return {**judged, "kind": kind, "hard": hard}


def other_variants(study: Study, split: str, album: Album) -> list[dict[str, Any]]:
    """Return what each of the other variants gets wrong on a split, in the order of the study."""
    runs = {name: [run for run in study.runs[name] if run.scores.get(split)] for name in study.names}
    names = [name for name in study.names if name != study.best and runs[name]]
    room = album.num_reserved
    album.num_reserved = 0
    most = min(MAX_OTHERS, room // max(1, len(names)))
    return [
        {"name": name, "num_runs": len(runs[name]), "kind": runs[name][0].kind, "split": SPLIT_WORDS.get(split, split)}
        | _wrong(runs[name], split, album, most, f"v{number}-", MAX_NAMES // len(names))
        for number, name in enumerate(names)
    ]


def _wrong(runs: list[Run], split: str, album: Album, most: int, prefix: str, max_names: int) -> dict[str, Any]:
    if runs[0].kind == "value":
        return {"worst": worst(runs, split, album, most)}
    if runs[0].kind == "tags":
        return mistakes(runs, pool.answers(runs, split), None, album, album, most=most)
    none, counts = Album(max_pictures=0), counts_of(runs, split)
    options: dict[str, Any] = {"most": most, "prefix": prefix, "max_names": max_names}
    return mistakes(runs, pool.answers(runs, split), counts, album, none, **options)


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
