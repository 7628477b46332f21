"""Tasks: what is predicted, how it is scored and how it is shown. The engine knows them only by the protocol."""

from .task import TASKS, Decoded, Task, for_target, from_json

__all__ = ["TASKS", "Decoded", "Task", "for_target", "from_json"]
