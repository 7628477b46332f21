"""Runs compared: plan, execution, comparison, verdict."""
