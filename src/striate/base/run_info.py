"""What run.json, study.json, search.json and scores.json hold, by name and type; docs/run-folder.md says what it means.

A reader gets these from `RunDir` and `StudyDir`, which refuse a file whose values are of other types. What is not
required is missing in some folders: of unfinished runs, or of earlier versions.
"""

from typing import Any, NotRequired, TypedDict


class DatasetInfo(TypedDict):
    """The data of a run: where they are, how they were opened, and what they were."""

    name: str
    where: str | None
    form: NotRequired[str]
    path: NotRequired[str | None]
    options: NotRequired[dict[str, Any]]
    fingerprint: str
    outline: NotRequired[str]
    counts: dict[str, int]
    classes: NotRequired[list[str]]
    class_counts: NotRequired[dict[str, list[int]]]
    target: NotRequired[dict[str, Any]]
    channels: int
    notes: NotRequired[list[str]]
    findings: NotRequired[list[Any]]


class TaskInfo(TypedDict):
    """What a task's `to_json` says of every task; those of one's own add to it."""

    name: NotRequired[str]
    kind: str
    target: str
    names: list[str]
    unit: NotRequired[str | None]
    monitor: str
    monitor_mode: str
    plugin: NotRequired[str]
    metric_words: NotRequired[dict[str, Any]]
    std: NotRequired[list[float]]


class ModelInfo(TypedDict):
    """The network; `blueprint` is null for a module of the user's own."""

    name: str
    parameters: int
    macs: int | None
    depth: NotRequired[int | None]
    blueprint: dict[str, Any] | None


class InputInfo(TypedDict):
    """What the network takes, see `data.geometry`."""

    size_px: NotRequired[int]
    size_hw: NotRequired[list[int]]
    fit: str
    margin: float
    channels: int
    mean: list[float]
    std: list[float]
    scale: NotRequired[float | None]


class PrecisionInfo(TypedDict):
    """What a run computes in, and the seconds of the trial that chose it."""

    name: str
    trial: NotRequired[dict[str, Any] | None]


class DeviceInfo(TypedDict):
    """The machine."""

    type: str
    name: NotRequired[str | None]
    threads: int
    cpus: NotRequired[int | None]
    system: NotRequired[str]


class ResultInfo(TypedDict):
    """How a training ended."""

    epochs: int
    best_epoch: int
    stopped: NotRequired[str]
    time_s: float
    train_images_per_s: NotRequired[float | None]
    overfit_epoch: int | None
    peak_memory_mb: NotRequired[float | None]
    skipped: NotRequired[int]
    skipped_steps: NotRequired[int]
    time_reach: NotRequired[float | None]
    part_times_ms: NotRequired[dict[str, float]]


class StartInfo(TypedDict):
    """What the weights started from."""

    source: str
    text: str


class TrackInfo(TypedDict, total=False):
    """Where a run is shown too: a folder of TensorBoard, an address of MLflow."""

    tensorboard: str
    mlflow: str


class RunInfo(TypedDict):
    """run.json."""

    schema: NotRequired[int]
    kind: NotRequired[str]
    name: str
    notes: NotRequired[list[str]]
    created: NotRequired[str]
    command: NotRequired[str]
    status: str
    dataset: DatasetInfo
    task: TaskInfo
    recipe_name: NotRequired[str]
    recipe: dict[str, Any]
    resolved: NotRequired[dict[str, Any]]
    model: ModelInfo
    input: InputInfo
    seed: int
    batch_size: int
    num_epochs: int
    longer_since: NotRequired[int]
    augment: list[Any]
    versions: NotRequired[dict[str, str]]
    device: DeviceInfo
    precision: PrecisionInfo
    plugins: NotRequired[list[dict[str, str]]]
    keep_checkpoints: NotRequired[bool]
    processes: NotRequired[int]
    track: NotRequired[TrackInfo]
    is_test_open: NotRequired[bool]
    start: NotRequired[StartInfo | None]
    result: NotRequired[ResultInfo | None]


class VariantInfo(TypedDict):
    """A variant of a study, see `studies.plan.Variant`."""

    name: str
    text: NotRequired[str]
    model: str
    recipe_name: NotRequired[str]
    recipe: dict[str, Any]
    num_train: NotRequired[int | None]


class StudyInfo(TypedDict):
    """study.json."""

    schema: NotRequired[int]
    kind: NotRequired[str]
    name: str
    created: NotRequired[str]
    command: str
    status: NotRequired[str]
    dataset: DatasetInfo
    target: str | None
    folds: int | None
    seeds: list[int]
    baseline: str
    variants: list[VariantInfo]
    plan: NotRequired[dict[str, Any] | None]
    parallel: NotRequired[int | str]
    drop_hopeless: NotRequired[bool]
    dropped: NotRequired[dict[str, Any] | None]
    keep_checkpoints: NotRequired[bool]
    track: NotRequired[TrackInfo]


class SearchPlanInfo(TypedDict):
    """What a search looks for, see `search.plan.Plan`."""

    seed_model: str
    recipe: dict[str, Any]


class SearchInfo(TypedDict):
    """search.json, as far as it is read again."""

    command: str
    status: str
    plan: SearchPlanInfo
    space: dict[str, Any]
    dataset: DatasetInfo
    limit: NotRequired[dict[str, Any] | None]
    precision: NotRequired[str | None]


SplitScores = dict[str, Any]  # the value of each metric by its key (None where it is not defined), `intervals`, details
Scores = dict[str, SplitScores]  # of each evaluated split
