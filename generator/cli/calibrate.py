"""`gen-deploy calibrate`: compare predicted with logged memory."""

from __future__ import annotations

from pathlib import Path

import click

from generator.calibrate import report
from generator.calibrate.compare import Comparison, compare
from generator.calibrate.logs import read_log
from generator.calibrate.measure import Measured, measure
from generator.calibrate.overlay import overlay
from generator.cli import bench, options
from generator.cli.output import show, show_json, tell
from generator.cli.overlays import last_written, write_overlay
from generator.errors import DONE, Problem, UsageError, printable
from generator.rulebook.book import RuleBook, load


@click.command("calibrate")
@click.argument("logs", nargs=-1, type=click.Path(path_type=Path), metavar="[LOG...]")
@click.option("--bench", "results", multiple=True, type=click.Path(path_type=Path), metavar="RESULT", help="A benchmark result (bench.sh) instead of logs.")
@click.option("--spec", "spec_file", required=True, type=click.Path(path_type=Path), metavar="SPEC", help="The spec of the deployed server.")
@click.option("--write", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write the measured constants as a rule set into DIR.")
@options.options(options.rules_option, options.json_option, options.quiet_option)
def command(logs: tuple[Path, ...], results: tuple[Path, ...], spec_file: Path, folder: Path | None, rules: str, as_json: bool, quiet: bool) -> int:
    """Compare the memory predicted for SPEC with each LOG, term by term, and report deviations.

    LOG is a start-up log of vLLM, SGLang, TensorRT-LLM, llama.cpp (--log-verbosity 4) or Ollama, or an excerpt with a figure; its
    settings are used for the prediction. With --bench, compare the speed of a running server as measured by `bench.sh`. Only logs, results and SPEC are read.
    """
    book = load(rules)
    if book.sizing != "detailed":
        raise UsageError(Problem("no-terms", f"the rule set {book.name!r} sizes by a rule of thumb and has no terms to compare"))
    spec = options.read_spec(spec_file)
    if bool(logs) is bool(results):
        raise UsageError(Problem("usage", "give either start-up logs (LOG...) or benchmark results (--bench), not both"))
    if results:
        return bench.run(results, spec, book, folder, rules, as_json, quiet)
    found: list[tuple[Path, Comparison, tuple[Measured, ...]]] = []
    for path in logs:
        comparison = compare(read_log(path), spec, book)
        found.append((path, comparison, measure(comparison, book)))
    if as_json:
        objects = [report.data(path.name, comparison, measured) for path, comparison, measured in found]
        show_json(objects[0] if len(objects) == 1 else objects)
    elif not quiet:
        show("\n".join(report.text(path.name, comparison, measured).rstrip("\n") for path, comparison, measured in found))
    if folder is not None:
        _write(folder, found, book, rules)
    return DONE


def _write(folder: Path, found: list[tuple[Path, Comparison, tuple[Measured, ...]]], book: RuleBook, base: str) -> None:
    """The overlay of all logs; if two logs measure the same constant, the larger value counts, since it reserves more."""
    engines = {comparison.logged.engine for _, comparison, _ in found}
    versions = {comparison.logged.version for _, comparison, _ in found}
    if len(engines) > 1 or len(versions) > 1:
        raise UsageError(Problem("several-engines", "--write takes logs of a single engine version; write the others into separate rule sets"))
    measured: dict[str, Measured] = {}
    for _, _, ones in found:
        for one in ones:
            if one.threshold not in measured or one.value > measured[one.threshold].value:
                measured[one.threshold] = one
    if not measured:
        tell("nothing to write: all constants agree with the logs")
        return
    if base not in ("default", "handbook"):
        base = str(Path(base).resolve())
    logs = [(printable(path.name), comparison.logged.date or last_written(path)) for path, comparison, _ in found]
    files = overlay(book, base, versions.pop(), list(measured.values()), logs)
    write_overlay(folder, files)
