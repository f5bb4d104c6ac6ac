"""The command `oms`: thin; a command is open, ask, render."""

from oms_es.cli.app import app, main

__all__ = ["app", "main"]
