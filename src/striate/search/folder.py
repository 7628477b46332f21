"""The folder of a search: its settings, every candidate, the best network, and the study at the end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from striate.base.documents import RESTORE, read_json, read_json_lines, require_types
from striate.base.errors import ModelError
from striate.base.files import write_json
from striate.base.run_info import SearchInfo
from striate.base.rundir import RunDir, StudyDir, require_ids
from striate.base.sums import break_seal, checked
from striate.data import open_dataset
from striate.data.open import where_again
from striate.data.sample import Dataset
from striate.run.prepare import restore_splits

from .evolve import Candidate

SCHEMA = 1


class SearchDir:
    """Paths and documents of one search folder."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def best(self) -> Path:
        """The best network, a blueprint file."""
        return self.path / "best.toml"

    @property
    def study(self) -> StudyDir:
        """The study of the best network and the seed."""
        return StudyDir(self.path / "study")

    def info(self) -> dict[str, Any]:
        """Return search.json.

        Raises:
            ModelError: this is no search folder, or a newer version wrote it.
        """
        path = self.path / "search.json"
        if not path.is_file():
            raise ModelError("not a search folder", where=self.path, fix="name a folder made by `striate search`")
        info: dict[str, Any] = read_json(checked(self.path, path.name), "search description", dict)
        if info.get("schema") != SCHEMA:
            raise ModelError("written by another version of Striate", where=path, fix="use that version")
        require_types(info, SearchInfo, path)
        return info

    def save_info(self, info: Mapping[str, Any]) -> None:
        """Write search.json; the folder is not sealed from here on."""
        break_seal(self.path)
        write_json(self.path / "search.json", {"schema": SCHEMA, "kind": "search", **info})

    def history(self) -> list[Candidate]:
        """Return the candidates tried so far, in order."""
        path = checked(self.path, "candidates.jsonl")
        rows = read_json_lines(path, "list of candidates")
        try:
            return [Candidate.from_json(row) for row in rows]
        except (TypeError, ValueError, KeyError) as problem:
            raise ModelError(f"not a list of candidates ({problem})", where=path, fix=RESTORE) from problem

    def result(self) -> dict[str, Any] | None:
        """Return result.json, None before the end."""
        path = checked(self.path, "result.json")
        return read_json(path, "result", dict) if path.exists() else None

    def splits(self) -> dict[str, list[str]]:
        """Return the ids of each split."""
        path = checked(self.path, "split.json")
        found: dict[str, list[str]] = read_json(path, "split list", dict)
        require_ids(found, path)
        return found

    def candidate(self, number: int) -> RunDir:
        """Return the folder of a candidate that a cluster is training."""
        return RunDir(self.path / "candidates" / f"{number:04d}")


def reopened(folder: SearchDir, where: str | None = None) -> Dataset:
    """Return the dataset of a search with its split, from `where` or where it was.

    Raises:
        ModelError: the data came from Python.
        DataError: they are not what they were.
    """
    data = folder.info()["dataset"]
    if not data["where"]:
        what = "the search's data came from Python, not from a path"
        raise ModelError(what, where=folder.path, fix="call search() again")
    options = {name: value for name, value in data["options"].items() if value is not None}
    return restore_splits(open_dataset(where or where_again(data), **options), folder.splits())
