"""`gen-deploy calibrate`: compare predicted with logged memory, estimated with measured speed, published with measured loss; write what was
measured as a rule set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from generator.calibrate import bench, quality
from generator.calibrate.compare import compare, data, row, text
from generator.calibrate.measure import Measured, measure, overlay
from generator.calibrate.text import read_log
from generator.cli import options
from generator.cli.output import show, show_json, tell
from generator.decide.context import resolve
from generator.decide.decision import decide
from generator.errors import DONE, Problem, UsageError, WriteError, printable
from generator.render.yaml_text import block
from generator.rulebook.book import RuleBook, load
from generator.rulebook.rulesets import SHIPPED
from generator.spec.deployment import DeploymentSpec


@click.command("calibrate")
@click.argument("logs", nargs=-1, type=click.Path(path_type=Path), metavar="[LOG...]")
@click.option("--bench", "results", multiple=True, type=click.Path(path_type=Path), metavar="RESULT", help="A benchmark result (bench.sh) instead of logs.")
@click.option("--quality", "losses", multiple=True, type=click.Path(path_type=Path), metavar="RESULT", help="A result of eval.sh instead of logs.")
@click.option("--spec", "spec_file", required=True, type=click.Path(path_type=Path), metavar="SPEC", help="The spec of the deployed server.")
@click.option("--write", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write the measured constants as a rule set into DIR.")
@click.option("--share", is_flag=True, help="Print the logs as rows of truth data to paste into an issue: no names, no paths.")
@options.options(options.rules_option, options.json_option, options.quiet_option)
def command(
    logs: tuple[Path, ...], results: tuple[Path, ...], losses: tuple[Path, ...], spec_file: Path, folder: Path | None, share: bool, rules: str,
    as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Compare the memory predicted for SPEC with each LOG, term by term, and report deviations.

    LOG is a start-up log of vLLM, SGLang, TensorRT-LLM, llama.cpp (--log-verbosity 4) or Ollama, or an excerpt with a figure; its
    settings are used for the prediction. With --bench, compare the speed of a running server as measured by `bench.sh`; with --quality, the published loss of
    the method with the loss that `eval.sh` measured. Only logs, results and SPEC are read.
    """
    book = load(rules)
    if book.sizing != "detailed":
        raise UsageError(Problem("no-terms", f"the rule set {book.name!r} sizes by a rule of thumb and has no terms to compare"))
    spec = options.read_spec(spec_file)
    if sum(map(bool, (logs, results, losses))) != 1 or (share and not logs):
        raise UsageError(Problem("usage", "give start-up logs (LOG...), or benchmark results (--bench), or losses (--quality); --share takes logs"))
    base = rules if rules in SHIPPED else str(Path(rules).resolve())
    if losses:
        objects, texts, overlay_files = _losses(losses, spec, book, base)
    else:
        objects, texts, overlay_files = _benchmarks(results, spec, book, base) if results else _start_logs(logs, spec, book, base, share)
    if as_json:
        show_json(objects[0] if len(objects) == 1 else objects)
    elif not quiet:
        show(printable("".join(texts).rstrip("\n")))
    if folder is not None:
        _write_files(folder, overlay_files())
    return DONE


Found = tuple[list[dict[str, object]], list[str], Callable[[], Mapping[str, str]]]
"""What was compared, as data and as text, and the files of the overlay with what was measured."""


def _start_logs(logs: tuple[Path, ...], spec: DeploymentSpec, book: RuleBook, base: str, share: bool) -> Found:
    """Compare each log with the plan of the spec; if two logs measure the same constant, the larger value counts, since it reserves more."""
    compared = [(path, compare(read_log(path), spec, book)) for path in logs]
    found = [(path, comparison, measure(comparison, book)) for path, comparison in compared]

    def files() -> Mapping[str, str]:
        versions = {(comparison.logged.engine, comparison.logged.version) for _, comparison in compared}
        if len(versions) > 1:
            raise UsageError(Problem("several-engines", "--write takes logs of a single engine version; write the others into separate rule sets"))
        measured: dict[str, Measured] = {}
        for one in (one for _, _, ones in found for one in ones):
            if one.threshold not in measured or one.value > measured[one.threshold].value:
                measured[one.threshold] = one
        if not measured:
            tell("nothing to write: all constants agree with the logs")
            return {}
        dated = [(printable(path.name), comparison.logged.date or last_written(path)) for path, comparison in compared]
        return overlay(book, base, versions.pop()[1], list(measured.values()), dated)

    if share:
        rows = [row(comparison) for _, comparison in compared]
        return rows, [block({"starts": rows})], files
    named = [(path.name, comparison, ones) for path, comparison, ones in found]
    return [data(*one) for one in named], [text(*one) for one in named], files


def _benchmarks(results: tuple[Path, ...], spec: DeploymentSpec, book: RuleBook, base: str) -> Found:
    """Compare each result with the plan of the spec; the overlay has the factor of the single result."""
    outcome = decide(spec, book)
    objects, texts, fitted = list[dict[str, object]](), list[str](), list[bench.Fitted | None]()
    for path in results:
        result = bench.read_result(path)
        candidate = bench.measured_candidate(result, outcome)
        found, speed = bench.compare(result, candidate, outcome)
        fitted.append(bench.refit(result, candidate, outcome))
        objects.append(bench.as_json(path.name, candidate, result, found, speed, fitted[-1]))
        texts.append(bench.text(objects[-1], result, found))

    def files() -> Mapping[str, str]:
        if len(results) > 1:
            raise UsageError(Problem("several-results", "--write takes one result; write each of the others into its own rule set"))
        if fitted[0] is None:
            tell("nothing to write: the result has neither time per token nor throughput, or no plausible factor explains them")
            return {}
        return bench.overlay(book, base, fitted[0], printable(results[0].name), last_written(results[0]))

    return objects, texts, files


def _losses(results: tuple[Path, ...], spec: DeploymentSpec, book: RuleBook, base: str) -> Found:
    """Compare each measured loss with what the rules hold of its method; the overlay has all of them."""
    context = resolve(spec, book)
    found = [quality.read_loss(path, context) for path in results]
    objects = [quality.as_json(one, quality.published(one, context)) for one in found]
    return objects, list(map(quality.text, objects)), lambda: quality.overlay(base, found)


def last_written(path: Path) -> str:
    """The day of a file's last modification, as 2026-11-24, clamped to valid dates."""
    seconds = min(max(path.stat().st_mtime, 0.0), datetime(9999, 12, 31, tzinfo=UTC).timestamp())
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a new rule set, if any, into an empty or new folder; raises `WriteError` or `OSError` otherwise."""
    if not files:
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise WriteError(Problem("not-empty", f"{folder} is not empty; nothing was written"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    tell(f"wrote {', '.join(sorted(files))} into {folder}; use it with --rules {folder}")
