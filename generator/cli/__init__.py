"""The command `gen-deploy`. Floor 8: the only floor that prints, writes, or reads the command line."""

from generator.cli.main import main

__all__ = ["main"]
