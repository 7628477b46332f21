"""Metrics: one definition each, from which scores, intervals, contributions and words follow. numpy only."""

from .metric import Answers, Metric, records_of
from .table import by_key, metric_of

__all__ = ["Answers", "Metric", "by_key", "metric_of", "records_of"]
