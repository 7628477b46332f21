"""Inside a study's variants: the best one's runs taken together, and what is shown of each of the others."""

from dataclasses import dataclass, replace

from markupsafe import Markup

from .answers import Answers
from .insight import insight_sections, variant_sections
from .read import Run, Study
from .tasks import Room, Section, Subject, sections_of
from .thumbnails import ThumbnailStore

MAX_OTHERS = 12  # thumbnails of each of the other variants
MAX_SHARE = 0.5  # of the page's thumbnails, for all of them
MAX_NAMES = 1500  # of images in the cells of all of them


@dataclass(frozen=True)
class OtherVariant:
    """A variant that is not the best one, and what is shown of it."""

    name: str
    body: Markup


def run_sections(run: Run, store: ThumbnailStore) -> list[Section]:
    """Return the sections of a run's task for the split the headline speaks of."""
    if run.reported_split is None:
        reason = Markup('<p class="na">n/a: no image was evaluated: {}.</p>').format(run.why_missing)
        return [Section("inside", "Predictions", "What it predicts", reason)]
    sections = sections_of(run)
    subject = Subject([run], run.reported_split, store, sections)
    return [*sections.inside(subject), *insight_sections(subject)]


def best_sections(study: Study, store: ThumbnailStore) -> list[Section]:
    """Return the sections of the best variant over all its runs, with what the other variants' answers add."""
    finished = [run for run in study.runs.get(study.best or "", []) if run.scores]
    store.num_reserved = round(min(MAX_SHARE * store.max_images, MAX_OTHERS * (len(study.names) - 1)))
    split = study.split if any(run.scores.get(study.split) for run in finished) else "val"
    runs = [run for run in finished if run.scores.get(split)]
    if not runs:
        body = Markup('<p class="na">n/a: there is no best variant to look into yet.</p>')
        return [Section("inside", "Best variant", f"Inside {study.best or 'the best variant'}", body)]
    sections = sections_of(runs[0])
    subject = Subject(runs, split, store, sections, str(study.best))
    hard = sections.hard(subject, _other_answers(study, subject))
    others = {name: runs for name, runs in study.runs.items() if name != study.best}
    return [*sections.inside(subject), *hard, *variant_sections(subject, others)]


def _other_answers(study: Study, subject: Subject) -> list[Answers]:
    others = {name: [run for run in runs if run.scores] for name, runs in study.runs.items() if name != study.best}
    subjects = (replace(subject, runs=runs, name=name) for name, runs in others.items())
    return [answers for one in subjects for answers in one.answers]


def other_variants(study: Study, store: ThumbnailStore) -> list[OtherVariant]:
    """Return what is shown of each of the other variants on the reported split, in the order of the study."""
    runs = {name: [run for run in study.runs[name] if run.scores.get(study.split)] for name in study.names}
    names = [name for name in study.names if name != study.best and runs[name]]
    num_images = min(MAX_OTHERS, store.num_reserved // max(1, len(names)))
    store.num_reserved = 0
    variants = []
    for number, name in enumerate(names):
        sections = sections_of(runs[name][0])
        room = Room(num_images, MAX_NAMES // len(names), f"v{number}-")
        body = sections.brief(Subject(runs[name], study.split, store, sections, name), room)
        variants.append(OtherVariant(name, body))
    return variants
