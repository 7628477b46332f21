"""Reports: one self-contained HTML page of a run or of a study, from its folder alone."""

from .page import report_run, report_runs, report_study

__all__ = ["report_run", "report_runs", "report_study"]
