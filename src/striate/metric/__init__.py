"""Metrics: one definition each, and the way it is written. numpy only."""
