"""What a report shows of a task: one object a task, found by the task's name in `SECTIONS`.

An object is a `Sections` (sections.py). As it stands it serves any task: every score that is a number in the row below
the headline, and the images with the largest and the smallest loss with what the network answered. A task's own file
overrides what it shows otherwise:

- `figures(run)`: the keys of the scores in the row below the headline;
- `curves(monitor)`: the keys of the scores that are drawn over the epochs;
- `learned(run)`, `result(run, scores, where)`, `chance(run)`: its words and marks in the headline;
- `condense(table)`: what is kept of a table of predictions, so that many large ones fit into memory;
- `inside(subject)`: the sections of one run, or of several runs of one network, on a split;
- `hard(subject, others)`: what a study adds where it knows the other variants' answers;
- `brief(subject, room)`: the few lines on a variant that is not the best one.

A section is an anchor, an entry of the contents, a heading and a body of HTML. `templates.piece` makes a body from a
template's macro; `markupsafe.Markup` marks HTML that a task writes itself. A task defined elsewhere calls
`register("its name", ItsSections())`; without that it has the sections of `Sections`.
"""

from striate.report.read import Run, at

from .classify import ClassifySections
from .detect import DetectSections
from .localise import LocaliseSections
from .points import PointsSections
from .regress import RegressSections
from .restore import RestoreSections
from .sections import Room, Section, Sections, Subject
from .segment import SegmentSections
from .tag import TagSections

__all__ = ["SECTIONS", "Room", "Section", "Sections", "Subject", "register", "sections_of"]

SECTIONS: dict[str, Sections] = {
    "classify": ClassifySections(),
    "tag": TagSections(),
    "regress": RegressSections(),
    "localise": LocaliseSections(),
    "detect": DetectSections(),
    "points": PointsSections(),
    "segment": SegmentSections(),
    **dict.fromkeys(("denoise", "superresolve", "inpaint", "colourise", "reconstruct"), RestoreSections()),
}


def register(name: str, sections: Sections) -> None:
    """Show runs of the task called `name` by these sections."""
    SECTIONS[name] = sections


def sections_of(run: Run) -> Sections:
    """Return the sections of a run's task; those that serve any task where it has none of its own."""
    return SECTIONS.get(str(at(run.info, "task.name", "")), Sections())
