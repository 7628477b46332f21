"""The ground every room stands on: errors, settings, files, seeds, the run folder. Imports nothing of ours."""
