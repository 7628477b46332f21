"""From predictions to numbers one can defend: scores, intervals, the per-image table, curves. Numpy but for run."""
