"""The command line: thin, one group a file. Nothing heavy is imported before a command needs it."""

from .app import main

__all__ = ["main"]
