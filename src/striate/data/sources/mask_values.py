"""Which classes the values in masks mean: by a list of classes, by what is to be ignored, else by the values alone."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from striate.base.choose import nearest
from striate.base.errors import DataError, SettingsError
from striate.base.text import listed, plural, shown

from ..sample import IGNORE, Reading
from .mask_coding import Coding
from .mask_names import ClassList
from .mask_scan import Tally

MAX_CLASSES = 255
LOW, HIGH, BETWEEN = 12, 243, range(64, 192)  # levels of two classes whose rims are blurred, and of the rims
SURE_SHARE, MANY = 0.97, 16  # of the pixels at the two ends; more levels than that are no classes by design
MIN_STEP = 16  # between grey levels that were chosen to be told apart by eye
BINARY = ("background", "foreground")
OBJECTS = re.compile(r"(^|/)PedMasks/")  # of the Penn-Fudan pedestrians (Wang et al. 2007)
FIX_PNG = "save the masks as PNG, the number of the class in every pixel"
NUM_SURE, STRAY_SHARE = 10, 1e-3  # masks from which on a value of one of them, in so few pixels, is doubted
NUMBERED_FROM = 3  # kinds of counts, at least, by which numbers look like those of objects


@dataclass(frozen=True)
class Meaning:
    """How stored values are read as classes, what these are called, and what a person should know of it."""

    coding: Coding
    names: tuple[str, ...]
    readings: tuple[Reading, ...] = ()


def meaning_of(
    tallies: Sequence[Tally], known: ClassList | None, ignore: str | None, root: Path, names: Sequence[str]
) -> Meaning:
    """Return what the values of all masks mean.

    Args:
        tallies: of the masks, colours where they are in colour.
        known: the list of classes; without it every value that occurs is a class.
        ignore: values or classes that nobody knows, with commas between them.
        root, names: of the mask files, for messages.

    Raises:
        DataError: they are no class masks, or there is one class only.
        SettingsError: what is to be ignored does not occur.
    """
    counts: Counter[int] = Counter()
    for tally in tallies:
        counts.update(dict(zip(tally.values, tally.counts, strict=True)))
    if not counts:
        problem = next((tally.problem for tally in tallies), "no masks")
        raise DataError(f"no mask can be read; the first: {problem}", where=root / names[0], fix="replace them")
    is_colour = known.is_colour if known is not None else max(counts) > 0xFFFF
    unknown = _words(ignore)
    if known is not None:
        return _listed_meaning(known, counts, unknown, root)
    if _is_blurred(tallies, counts, is_colour):
        odd = names[next(index for index, tally in enumerate(tallies) if len(tally.values) > 2)]
        text = f"masks with blurred levels ({shown(odd, 60)}): 128 and above is foreground, the rest background"
        return Meaning(Coding((), (0, 1), threshold=128), BINARY, (Reading(text, is_doubtful=True, fix=FIX_PNG),))
    if OBJECTS.search(names[0]):
        text = "masks that number pedestrians: any number above 0 is a pedestrian"
        return Meaning(Coding((), (0, 1), threshold=1), ("background", "pedestrian"), (Reading(text),))
    _refuse_many(tallies, counts, is_colour, root, names)
    return _free_meaning(tallies, counts, unknown, is_colour, root, names)


def _words(ignore: str | None) -> list[str]:
    return [word.strip() for word in (ignore or "").split(",") if word.strip()]


def _listed_meaning(known: ClassList, counts: Counter[int], unknown: list[str], root: Path) -> Meaning:
    values, left, said = list(known.values), list(unknown), []
    if set(counts) <= {0, 255} and len(values) == 2 and not known.is_colour:
        values = [0, 255]  # two classes, written black and white
    strange = set(counts) - set(values)
    if IGNORE in strange and not known.is_colour and str(IGNORE) not in left:
        left.append(str(IGNORE))
    if not set(counts) & set(values):
        what = f"the masks hold none of the values in the list of classes, but {_sample(counts, known.is_colour)}"
        raise DataError(what, where=root / known.file, fix="mend the list, or take it away: each value is a class then")
    ignored = set(known.ignored)
    for word in unknown:
        if word in known.names:
            ignored.add(word)
            left.remove(word)
        elif (value := _value(word, known.is_colour)) is not None and value in values:
            ignored.add(known.names[values.index(value)])
            left.remove(word)
    extra = [_ignored_value(word, counts, known.is_colour, known.names) for word in left]
    names = tuple(name for name in known.names if name not in ignored)
    if len(names) < 2:
        raise DataError("the list has fewer than two classes", where=root / known.file, fix="name the classes")
    table = {v: names.index(n) if n in names else IGNORE for n, v in zip(known.names, values, strict=True)}
    table |= dict.fromkeys(extra, IGNORE)
    said.append(f"{plural(len(names), 'class', 'classes')} of {known.file}")
    if ignored or extra:
        quiet = [*sorted(ignored), *map(str, extra)]
        said.append(f"left out of loss and scores: {listed([shown(one, 30) for one in quiet])}")
    absent = [name for name, value in zip(known.names, values, strict=True) if value not in counts and name in names]
    readings = [Reading(f"masks: {'; '.join(said)}")]
    if absent:
        what = f"{plural(len(absent), 'class', 'classes')} of {known.file} in no mask: {listed(absent[:5])}"
        readings.append(Reading(what, is_doubtful=True, fix="look whether the list fits the masks"))
    coding = _coding(table, known.is_colour)
    if strange - set(extra):
        what = f"values that are not in {known.file}: {_sample(strange - set(extra), known.is_colour)}"
        first = coding.text(min(strange - set(extra)))
        readings.append(Reading(what, is_doubtful=True, fix=f"name their classes, or --ignore {first}"))
    return Meaning(coding, names, tuple(readings))


def _free_meaning(
    tallies: Sequence[Tally], counts: Counter[int], unknown: list[str], is_colour: bool, root: Path,
    names: Sequence[str],
) -> Meaning:  # fmt: skip
    quiet = {_ignored_value(word, counts, is_colour, ()) for word in unknown}
    values = sorted(set(counts) - quiet)
    is_usual = not is_colour and _is_beside_classes(values)
    if is_usual:
        quiet.add(IGNORE)
        values.remove(IGNORE)
    if len(values) < 2:
        what = f"the masks hold one value only ({_sample(values, is_colour)}): there is nothing to learn"
        raise DataError(what, where=root / names[0], fix="look at the masks")
    if is_colour:
        values.sort(key=lambda value: -counts[value])
    coding = _coding({value: k for k, value in enumerate(values)} | dict.fromkeys(quiet, IGNORE), is_colour)
    is_binary = not is_colour and tuple(values) in {(0, 1), (0, 255)}
    called = BINARY if is_binary else tuple(coding.text(value) for value in values)
    kind = "colours, the most frequent first" if is_colour else "the values they hold"
    how = f"{values[0]} is background, {values[1]} foreground" if is_binary else f"the classes are {kind}"
    readings = [Reading(f"masks without a list of classes: {how}", fix="name them in a classes.txt")]
    if quiet:
        why = (
            " (255 beside numbers of classes: nobody knows; if it is one, name it in a classes.txt)" if is_usual else ""
        )
        readings.append(Reading(f"left out of loss and scores: {_sample(quiet, is_colour)}{why}"))
    if not is_colour and _number_objects(tallies):
        what = "the masks may number objects, not classes: each holds 1, 2, ... up to another number"
        readings.append(Reading(what, is_doubtful=True, fix="write class masks, the same number for every such object"))
    readings += _stray(tallies, counts, values, coding, names)
    return Meaning(coding, called, tuple(readings))


def _stray(
    tallies: Sequence[Tally], counts: Counter[int], values: Sequence[int], coding: Coding, names: Sequence[str]
) -> Iterable[Reading]:
    """Yield what is said of values that one of many masks has in a few pixels: a class by itself, or a slip."""
    for value in values if len(tallies) >= NUM_SURE else ():
        having = [index for index, tally in enumerate(tallies) if value in tally.values]
        if len(having) == 1 and counts[value] < STRAY_SHARE * counts.total():
            where = f"{plural(counts[value], 'pixel')} of {shown(names[having[0]], 60)}"
            text = f"value {coding.text(value)} occurs only in {where}: a class by itself, or a slip"
            yield Reading(text, is_doubtful=True, fix=f"mend that mask, or --ignore {coding.text(value)}")


def _coding(table: dict[int, int], is_colour: bool) -> Coding:
    values = tuple(sorted(table))
    return Coding(values, tuple(table[value] for value in values), is_colour)


def _sample(values: Iterable[int], is_colour: bool) -> str:
    write, values = Coding((), (), is_colour).text, sorted(values)
    return ", ".join(map(write, values[:4])) + (f", ... {write(values[-1])}" if len(values) > 4 else "")


def _value(word: str, is_colour: bool) -> int | None:
    """Return the number or colour that a word is, or None."""
    text = word.removeprefix("#")
    try:
        return int(text, 16) if is_colour and len(text) == 6 else int(text)
    except ValueError:
        return None


def _ignored_value(word: str, counts: Counter[int], is_colour: bool, names: Sequence[str]) -> int:
    value = _value(word, is_colour)
    if value is None:
        close = nearest(word, names)
        fix = f"did you mean {close!r}?" if close else f"give a value, such as {_sample(list(counts)[:1], is_colour)}"
        raise SettingsError(f"no class is called {word!r}", where="--ignore", fix=fix)
    return value


def _is_blurred(tallies: Sequence[Tally], counts: Counter[int], is_colour: bool) -> bool:
    """Whether levels are those of two classes with blurred rims: nearly all pixels black or white, some between."""
    is_rim = any(value in counts for value in BETWEEN) or any(tally.format == "JPEG" for tally in tallies)
    if is_colour or len(counts) <= MANY or max(counts) > 255 or not is_rim:
        return False
    low = sum(count for value, count in counts.items() if value <= LOW)
    high = sum(count for value, count in counts.items() if value >= HIGH)
    return min(low, high) > 0 and low + high >= SURE_SHARE * counts.total()


def _refuse_many(
    tallies: Sequence[Tally], counts: Counter[int], is_colour: bool, root: Path, names: Sequence[str]
) -> None:
    lossy = [index for index, tally in enumerate(tallies) if tally.format == "JPEG"]
    if lossy and not set(counts) <= {0, 255}:
        what = f"masks saved as JPEG: their {'colours' if is_colour else 'levels'} are blurred"
        raise DataError(what, where=root / names[lossy[0]], fix=FIX_PNG)
    if len(counts) > MAX_CLASSES + 1:
        index = max(range(len(tallies)), key=lambda index: len(tallies[index].values))
        noun = "colours" if is_colour else "numbers, as of objects and not of classes"
        what = f"masks with {len(counts):,} different {noun}; at most {MAX_CLASSES} classes are read"
        raise DataError(what, where=root / names[index], fix=FIX_PNG)


def _is_beside_classes(values: list[int]) -> bool:
    """Whether 255 is there beside small numbers of classes, as VOC, COCO-Stuff and Cityscapes write "nobody knows"."""
    if IGNORE not in values or len(values) < 3:
        return False
    steps = [after - before for before, after in pairwise(values)]
    return min(steps) < MIN_STEP


def _number_objects(tallies: Sequence[Tally]) -> bool:
    sets = [[value for value in tally.values if value] for tally in tallies if tally.values]
    most = [len(values) for values in sets]
    is_counted = all(values == list(range(1, len(values) + 1)) for values in sets)
    return is_counted and len(set(most)) > NUMBERED_FROM and max(most) > NUMBERED_FROM
