"""The command `gen-deploy`. Floor 6: the only floor that prints, writes, or reads the command line."""

from generator.cli.main import main

__all__ = ["main"]
