"""Inside a study's best variant: what it confuses over all its runs, and the images that no run got right."""

from collections import Counter, defaultdict
from typing import Any

from .confusion import Seen, Shot, add, build, table
from .pictures import Album
from .read import SPLIT_WORDS, Run, Study
from .rows import Row
from .sections_labels import confusion_sentence

MAX_HARD = 36


def best_images(study: Study, album: Album) -> dict[str, Any]:
    """Return the best variant's confusion matrix over its seeds and the images that every run got wrong."""
    runs = [run for run in study.runs.get(study.best or "", []) if run.scores]
    if not runs or runs[0].kind != "label":
        return {"reason": "" if runs else "There is no best variant to look into yet.", "matrix": None, "hard": None}
    split = study.split if any(study.split in run.scores for run in runs) else "val"
    judged = _judged(runs, split)
    counts = add([one for run in runs if (one := table(run.scores.get(split, {}), run.names, _as_seen(run, split)))])
    hard = _hard(study, judged, split, album)
    return {
        "reason": "",
        "split": SPLIT_WORDS.get(split, split),
        "num_runs": len(runs),
        "hard": hard,
        "matrix": build(counts, runs[0].names, _by_answer(judged, album), album) if counts else None,
        "confusion_sentence": confusion_sentence(counts, runs[0].names) if counts else "",
        "has_rows": bool(judged),
    }


def _as_seen(run: Run, split: str) -> list[Seen]:
    return [Seen(run.folder, row) for row in run.rows if row.split == split]


def _judged(runs: list[Run], split: str) -> dict[str, list[tuple[Run, Row]]]:
    """Return for each image what every run said of it."""
    found: dict[str, list[tuple[Run, Row]]] = defaultdict(list)
    for run in runs:
        for row in run.rows:
            if row.split == split:
                found[row.id].append((run, row))
    return found


def _by_answer(judged: dict[str, list[tuple[Run, Row]]], album: Album) -> list[Seen]:
    """Return each image once for each different answer, with the number of runs that gave it."""
    found = []
    for answers in judged.values():
        grouped: dict[str, list[tuple[Run, Row]]] = defaultdict(list)
        for run, row in answers:
            grouped[row.prediction].append((run, row))
        for same in grouped.values():
            run, row = _pictured(same, album)
            found.append(Seen(run.folder, row, len(same), len(answers)))
    return found


def _hard(study: Study, judged: dict[str, list[tuple[Run, Row]]], split: str, album: Album) -> dict[str, Any]:
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


def _pictured(answers: list[tuple[Run, Row]], album: Album) -> tuple[Run, Row]:
    """Return the first answer whose run kept a picture of the image, else the first."""
    return next((one for one in answers if album.has(one[0].folder, one[1].split, one[1].id)), answers[0])


def _hard_shot(answers: list[tuple[Run, Row]], album: Album) -> Shot:
    """Return the picture of an image with every wrong answer it got, the most frequent first."""
    said = Counter(row.prediction for _, row in answers).most_common()
    run, row = _pictured(answers, album)
    several = [f"{name} ({times})" if len(said) > 1 else name for name, times in said]
    return Shot(album.take(run.folder, row.split, row.id), row.id, row.truth, ", ".join(several), "", False)
