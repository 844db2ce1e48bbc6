"""The command line: the main job, and the subcommands, each in a module of its own that is loaded when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from generator import __version__
from generator.cli.output import say
from generator.errors import USAGE, GenDeployError, Problem

COMMANDS = {
    "generate": "plan each spec and write its files (the main job; the word may be left out)",
    "plan": "decide and estimate, write nothing",
    "explain": "the decision, row by row, with sources",
    "check": "say which generated files differ, are missing, or were edited by hand",
    "list": "the catalogue: gpus, models, methods, engines, rules",
    "schema": "print a JSON Schema",
    "init": "write a commented starter spec",
}
"""Subcommands and what they do, in the order of the help."""


class Commands(click.Group):
    """Subcommands by name; the module of one is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every subcommand, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"generator.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`gen-deploy SPEC… -o DIR` is the main job. Exit codes: 0 done, 1 bad input, 2 usage, 3 differences, 4 nothing fits, 5 could not write.",
)
@click.version_option(__version__, prog_name="gen-deploy")
def cli() -> None:
    """Write launch files for open-weight language models that start: vLLM, SGLang, TGI, TensorRT-LLM, llama.cpp, Ollama."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code; no error ever shows a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] not in COMMANDS and words[0] not in ("-h", "--help", "--version"):
        words.insert(0, "generate")
    try:
        result = cli.main(args=words, prog_name="gen-deploy", standalone_mode=False)
    except GenDeployError as error:
        say(error.problems)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        say([Problem("usage", error.format_message())])
        return USAGE
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe went away; nothing is left to tell it
        return 0
    return result if isinstance(result, int) else 0
