"""`gen-deploy calibrate --bench`: compare a benchmark result with the estimate; write its factor as a rule set."""

from __future__ import annotations

from pathlib import Path

from generator.calibrate.bench import Fitted, as_json, compare, lines, measured_candidate, overlay, read_result, refit
from generator.cli.output import show, show_json, tell
from generator.cli.overlays import last_written, write_overlay
from generator.decide.decision import decide
from generator.errors import DONE, Problem, UsageError, printable
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec


def run(results: tuple[Path, ...], spec: DeploymentSpec, book: RuleBook, folder: Path | None, rules: str, json_wanted: bool, quiet: bool) -> int:
    """Compare each result with the plan of the spec; with `folder`, write the factor of the single result."""
    outcome = decide(spec, book)
    objects = []
    texts: list[str] = []
    fitted: Fitted | None = None
    for path in results:
        result = read_result(path)
        candidate = measured_candidate(result, outcome)
        found, speed = compare(result, candidate, outcome)
        fitted = refit(result, candidate, outcome)
        objects.append(as_json(path.name, candidate, result, found, speed, fitted))
        texts += lines(path.name, candidate, result, found, speed, fitted)
    if json_wanted:
        show_json(objects[0] if len(objects) == 1 else objects)
    elif not quiet:
        show(printable("\n".join(texts)))
    if folder is not None:
        if len(results) > 1:
            raise UsageError(Problem("several-results", "--write takes one result; write each of the others into its own rule set"))
        _write(folder, fitted, book, rules, results[0])
    return DONE


def _write(folder: Path, fitted: Fitted | None, book: RuleBook, rules: str, result: Path) -> None:
    if fitted is None:
        tell("nothing to write: the result has neither time per token nor throughput, or no plausible factor explains them")
        return
    base = rules if rules in ("default", "handbook") else str(Path(rules).resolve())
    day = last_written(result)
    files = overlay(book, base, fitted, printable(result.name), day)
    write_overlay(folder, files)
