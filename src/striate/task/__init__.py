"""Tasks: what is predicted, how it is scored and how it is shown. The engine knows them only by the protocol."""

from striate.metric import Answers

from .defaults import Defaults
from .head import Head, Image, Map, Parts, Pyramid, Vector
from .objective import Objective
from .protocol import Decoded, Outputs, Task
from .series import Question, Step
from .table import TASKS, fit_task, for_target, from_json, register, task_class, usual_task
from .views import View, mean_outputs, mean_sigmoid, mean_softmax

__all__ = [
    "TASKS",
    "Answers",
    "Decoded",
    "Defaults",
    "Head",
    "Image",
    "Map",
    "Objective",
    "Outputs",
    "Parts",
    "Pyramid",
    "Question",
    "Step",
    "Task",
    "Vector",
    "View",
    "fit_task",
    "for_target",
    "from_json",
    "mean_outputs",
    "mean_sigmoid",
    "mean_softmax",
    "register",
    "task_class",
    "usual_task",
]
