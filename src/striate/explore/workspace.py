"""What the page can look at: networks by id, images by id, and the latest passes of one through the other."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError, ModelError, ResourceError
from striate.base.folder import kind_of
from striate.base.lock import locked
from striate.base.rundir import RunDir
from striate.predict import Predictor
from striate.web.guard import NotKnown

from .shelf import Entry, Shelf, id_of

T = TypeVar("T")
MAX_MODELS = 3
MAX_PASSES = 6
TRASH = ".trash"
PLANE = 2  # axes of an image


class TrainingImages(Protocol):
    """A run's dataset as its training saw it; images are named by their ids, epochs begin with 0.

    `striate.run.training_images` is one: this room may not import it, so the command hands it in.
    """

    seed: int

    @property
    def num_epochs(self) -> int:
        """How many epochs the run was planned for."""

    def splits(self) -> dict[str, int]:
        """Return how many images each split has."""

    def sizes(self) -> dict[str, list[int]]:
        """Return the smallest, median and largest size of a file, where that is known."""

    def side_counts(self) -> dict[str, dict[str, list[int]]]:
        """Return by side how many files have which length: {"edges", "counts"}, where that is known."""

    def operations(self) -> list[dict[str, Any]]:
        """Return the settings of each operation of the augmentation."""

    def page(self, split: str, first: int, count: int) -> list[dict[str, Any]]:
        """Return {"id", "text"} of some images of a split."""

    def stored(self, name: str) -> npt.NDArray[Any]:
        """Return an image before augmentation, channels last."""

    def variant(self, name: str, epoch: int, *, seed: int | None = None, off: Collection[int] = ()) -> Any:
        """Return an object with `values`, what the network got (C, ...); None where it did not come up."""

    def levels(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Return such values as levels 0..255."""

    def leaks(self) -> list[dict[str, str]]:
        """Return the copies of images of one split in another."""


Opener = Callable[[RunDir], TrainingImages]


@dataclass(frozen=True)
class Subject:
    """A network that the page can look at.

    Args:
        id: the same in every session.
        title: its name.
        load: makes its predictor, with weights.
        run: its folder, where it was trained.
        about: a short text on where its weights are from.
        open_images: opens the dataset it was trained on.
    """

    id: str
    title: str
    load: Callable[[], Predictor]
    run: RunDir | None = None
    about: str = ""
    open_images: Opener | None = None

    @classmethod
    def of_run(cls, run: RunDir, title: str = "", open_images: Opener | None = None) -> "Subject":
        """Return the network of a run folder."""
        name = run.path.resolve().name
        return cls(id_of("run", name), title or name, lambda: Predictor.load(run), run, "trained", open_images)


class Recent(Generic[T]):
    """The latest values that were made, each made once."""

    def __init__(self, max_items: int) -> None:
        self.max_items = max_items
        self._items: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> T | None:
        """Return the value of a key, None where it is not kept."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def ensure(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, made now where it is not kept."""
        found = self.get(key)
        if found is None:
            found = make()
            with self._lock:
                self._items[key] = found
                while len(self._items) > self.max_items:
                    self._items.popitem(last=False)
        return found


@dataclass
class Workspace:
    """Networks and images. `study` is the folder where several runs belong together; `is_playground` the page on the
    playground alone."""

    subjects: dict[str, Subject] = field(default_factory=dict)
    title: str = ""
    study: Path | None = None
    is_playground: bool = False
    shelf: Shelf = field(default_factory=Shelf)
    predictors: Recent[Predictor] = field(default_factory=lambda: Recent(MAX_MODELS))
    tables: Recent[Any] = field(default_factory=lambda: Recent(MAX_MODELS))
    passes: Recent[Any] = field(default_factory=lambda: Recent(MAX_PASSES))
    thrown: dict[str, tuple[Path, Subject]] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: Path, open_images: Opener | None = None) -> "Workspace":
        """Return what a run or study folder holds; `open_images` opens the dataset of a run.

        Raises:
            ModelError: it is neither.
        """
        if kind_of(folder) == "run":
            subjects = [Subject.of_run(RunDir(folder), open_images=open_images)]
        else:
            runs = sorted(path.parent for path in (folder / "runs").glob("*/run.json"))
            subjects = [Subject.of_run(RunDir(path), open_images=open_images) for path in runs]
        study = None if kind_of(folder) == "run" else folder
        return cls.of(subjects, folder.resolve().name, study)

    @classmethod
    def of(cls, subjects: Sequence[Subject], title: str, study: Path | None = None) -> "Workspace":
        """Return a workspace of some networks."""
        return cls({one.id: one for one in subjects}, title, study)

    def subject(self, id_: str) -> Subject:
        """Return a network by id.

        Raises:
            NotKnown: there is none.
        """
        if id_ not in self.subjects:
            raise NotKnown("no such network here", fix="choose one of the list")
        return self.subjects[id_]

    def predictor(self, id_: str) -> Predictor:
        """Return the predictor of a network; it is loaded where it is not kept: call it in the worker's thread."""
        subject = self.subject(id_)
        return self.predictors.ensure(id_, subject.load)

    def training_images(self, id_: str) -> TrainingImages:
        """Return the dataset of a run, opened where it is not kept: call it in the worker's thread.

        Raises:
            ModelError: the network was not trained here, or its dataset cannot be opened.
        """
        subject = self.subject(id_)
        if subject.run is None or subject.open_images is None:
            raise ModelError("this network has no dataset here", where=subject.title, fix="look at a run")
        run, opener = subject.run, subject.open_images
        found: TrainingImages = self.tables.ensure(("images", id_), lambda: opener(run))
        return found

    def stored(self, id_: str, entry: Entry) -> npt.NDArray[Any]:
        """Return an image as a network takes it; of one that takes no images, the run's own sample of that name.

        Raises:
            DataError: it cannot be read, or the network takes series and this is an image, or it takes volumes.
        """
        predictor = self.predictor(id_)
        if len(predictor.geometry.size_hw) > PLANE:
            fix = (
                "`striate explain RUN FILE` shows two slices of one; Filters, Architecture, Dataset and Errors are here"
            )
            raise DataError("this network takes volumes, whose maps the page does not draw", where=entry.title, fix=fix)
        if predictor.reads_images:
            return predictor.fitted(entry.path)
        if not entry.image_id:
            fix = "choose one of the run's own above"
            raise DataError("this network takes series, no images", where=entry.title, fix=fix)
        return self.training_images(id_).stored(entry.image_id)

    def throw_away(self, id_: str) -> Path:
        """Move a run's folder into the folder .trash beside it, and return where it is now.

        Raises:
            ResourceError: it is in use, or cannot be moved.
        """
        subject = self.subject(id_)
        assert subject.run is not None
        path = subject.run.path.resolve()
        place = path.parent / TRASH / path.name
        with locked(path):
            _move(path, place)
        self.thrown[id_] = (place, self.subjects.pop(id_))
        return place

    def bring_back(self, id_: str) -> None:
        """Move a run that was thrown away since the server began to where it was.

        Raises:
            NotKnown: no such run was thrown away.
            ResourceError: it cannot be moved.
        """
        if id_ not in self.thrown:
            raise NotKnown("no such run was thrown away here", fix="reload the page")
        place, subject = self.thrown[id_]
        assert subject.run is not None
        _move(place, subject.run.path)
        del self.thrown[id_]
        self.subjects[id_] = subject

    def close(self) -> None:
        """Remove what was dropped on the page."""
        self.shelf.close()


def _move(path: Path, place: Path) -> None:
    """Move a folder, never over another one."""
    try:
        place.parent.mkdir(exist_ok=True)
        if place.exists():
            raise ResourceError("a folder of that name is there already", where=place, fix="move it away")
        path.rename(place)
    except OSError as problem:
        what = f"the folder cannot be moved ({problem.strerror})"
        raise ResourceError(what, where=path, fix="check its permissions") from problem
