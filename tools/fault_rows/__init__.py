"""The rows of the fault matrix, one group a file; `bench` runs a command, `sheet` counts what came of it."""
