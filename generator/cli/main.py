"""The command line: the main job and the subcommands, each in its own lazily loaded module."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator import __version__
from generator.cli.output import close_stdout, say, show, tell
from generator.errors import BAD_INPUT, CANNOT_WRITE, DONE, USAGE, GenDeployError, Problem, did_you_mean
from generator.readers.resources import shipped

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = (
    "generate", "plan", "fits", "quantize", "lock", "explain", "check", "diff", "report", "calibrate", "verify", "upgrade-check", "lint", "test", "rules",
    "list", "schema", "init",
)  # fmt: skip
"""Subcommands in the order of the help; `rules/cli.json` describes them."""

LONG = {"-o": "--out", "-q": "--quiet", "-v": "--verbose"}
"""Before click finds a short option it prepares an error about a long one, which is a fiftieth of a start of the main job."""
OPTIONS = ("-h", "--help", "--version", "--completion")
COMPLETE = "_GEN_DEPLOY_COMPLETE"
"""The variable by which a shell's completion asks; click's name for it."""


class Commands(click.Group):
    """Subcommands by name; each module is imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every subcommand, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of that name, or None."""
        return import_module(f"generator.cli.{cmd_name.replace('-', '_')}").command if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand that the words name; else, for completion, the main job."""
        return super().resolve_command(ctx, args if args[0] in COMMANDS or not ctx.resilient_parsing else ["generate", *args])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Subcommands and options that begin so, else files: the specs of the main job."""
        from click.shell_completion import CompletionItem  # imported lazily: only a shell asks

        return super().shell_complete(ctx, incomplete) or [CompletionItem(incomplete, type="file")]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command list of the help, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, shipped("cli.json")["commands"][name]) for name in COMMANDS])


def _completion(ctx: click.Context, param: click.Parameter, shell: str | None) -> None:
    if shell is not None and not ctx.resilient_parsing:
        from click.shell_completion import get_completion_class  # imported lazily: asked once for a shell

        kind = get_completion_class(shell)
        assert kind is not None  # click has these three
        show(kind(cli, {}, "gen-deploy", COMPLETE).source())
        ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`gen-deploy SPEC… -o DIR` is the main job; `gen-deploy help COMMAND` says what a command takes. "
    "Exit codes: 0 done, 1 bad input, 2 usage, 3 differences, 4 nothing fits, 5 could not write.",
)
@click.version_option(__version__, prog_name="gen-deploy")
@click.option(
    "--completion", type=click.Choice(["bash", "zsh", "fish"]), is_eager=True, expose_value=False, callback=_completion,
    help='Print a script for the shell: eval "$(gen-deploy --completion bash)".',
)  # fmt: skip
def cli() -> None:
    """Write working launch files for open-weight language models: vLLM, SGLang, TGI, TensorRT-LLM, llama.cpp, Ollama."""


def _in_project() -> bool:
    """Whether a project file exists; the command reports its problems."""
    from generator.spec import project

    try:
        return project.find(Path()) is not None
    except GenDeployError:
        return True


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code; no error ever shows a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for terminals that cannot show a character
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", FutureWarning)
            warnings.showwarning = _show_warning
            code = _run(words)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        close_stdout()  # the reader of the pipe is gone
        return DONE
    except OSError as error:
        close_stdout()
        what = error.strerror or str(error)
        say([Problem("cannot-write", f"{error.filename}: {what}") if error.filename else Problem("system", what)])  # such as a full disk under stdout
        return BAD_INPUT if error.errno in (errno.ENAMETOOLONG, errno.ELOOP) else CANNOT_WRITE
    except OverflowError as error:
        if "timestamp" not in str(error):
            raise
        say([Problem("clock", "this machine's clock is set to a time beyond Python's range")])  # after 2262
        return CANNOT_WRITE
    return code


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: object = None, line: str | None = None) -> None:
    """Print a deprecated word as a problem, and any other warning as Python does."""
    problem = getattr(message, "problem", None)
    if isinstance(problem, Problem):
        say([problem])
    else:
        tell(warnings.formatwarning(message, category, filename, lineno, line).rstrip())


def _run(words: list[str]) -> int:
    if not words and COMPLETE not in os.environ and _in_project():
        words = ["generate"]
    helped = words[:1] == ["help"]
    words = [*words[1:], "--help"] if helped else words
    if words and words[0] not in COMMANDS and words[0].partition("=")[0] not in OPTIONS:
        near = did_you_mean(words[0], [*COMMANDS, "help"]) if words[0].isalpha() and not os.path.lexists(words[0]) else ""
        if near or helped:
            say([Problem("usage", f"{words[0]!r} is {'not a command' if helped else 'neither a command nor a file'}{near}")])
            return USAGE
        words = ["generate", *words]
    try:
        if not words and COMPLETE not in os.environ:
            with click.Context(cli, info_name="gen-deploy", **cli.context_settings) as context:
                tell(cli.get_help(context))
            return USAGE
        if words[:1] == ["generate"] and "--" not in words:
            words = [LONG.get(word, word) for word in words]
        result = cli.main(args=words, prog_name="gen-deploy", standalone_mode=False)
    except GenDeployError as error:
        say(error.problems)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except SystemExit:
        return DONE  # click's reaction to a closed pipe
    except click.Abort:
        return 130  # the shell's code for a program that Ctrl-C stopped
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption):
            from generator.rulebook.renamed import in_command  # only errors need it

            if (again := in_command(words, error.option_name)) != words:
                return _run(again)
        say([Problem("usage", error.format_message())])
        return USAGE
    return result if isinstance(result, int) else DONE
