"""`gen-deploy report`: the decisions as one HTML page; `plan --report` writes it too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from generator.cli import options
from generator.cli import sweep as sweeps
from generator.cli.comparison import Corpus, compared
from generator.cli.diff import Labelled, over_sides, paths_of
from generator.cli.files import decided, rendered
from generator.cli.output import progress, refused, say, tell
from generator.compare.causes import LEFT_OUT
from generator.decide.decision import Outcome, decide
from generator.decide.performance import Speeds
from generator.disk.placing import replace_file
from generator.errors import BAD_INPUT, DONE, NOTHING_FITS, GenDeployError, InputError, Problem, UsageError, WriteError
from generator.render.plan_json import as_json, choice_json, figures_json
from generator.report.diff import cause_lines, said, view
from generator.report.page import Entry, page
from generator.report.speed import curve_json
from generator.rulebook.book import RuleBook
from generator.spec import project
from generator.spec.deployment import DeploymentSpec

MARK = b'<meta name="generator" content="gen-deploy">'
"""What every page has among its first bytes; no other file is replaced."""
BESIDE = ("bench.sh", "eval.sh", ".env")  # ends of files that say nothing of a decision: the measuring scripts and the seals
FARTHER = 4
"""A curve goes to at least so many times the concurrency of the plan."""
DENSE = 256
"""Up to this concurrency a curve has every power of two, beyond it every other one."""


@click.command("report")
@options.some_specs_argument
@options.words_options
@click.option("-o", "--out", "file", required=True, type=click.Path(path_type=Path), metavar="FILE.html", help="The page to write.")
@click.option("--compare", metavar="BASE[..HEAD]", help="Two commits or two rule sets side by side, as `diff` takes them.")
@options.options(options.book_option, options.engine_option, sweeps.sweep_option)
@click.pass_context
def command(
    ctx: click.Context, specs: tuple[Path, ...], words: options.Words, file: Path, compare: str | None, book: RuleBook, engine: str | None, sweep: str | None
) -> int:
    """Write the decision of each SPEC, or of a model on a GPU (-m MODEL -g GPU), as one HTML page that needs no network.

    It shows memory, speed, every candidate, the rows against the others, and the files; where nothing fits, why. Default SPEC: the corpus
    of the project file."""
    writable(file)
    asked, entries = sweeps.concurrencies(sweep) if sweep is not None else [], list[Entry]()
    paths = specs if specs or any(words) or compare else tuple(paths_of((), False))

    def one(spec: DeploymentSpec) -> int:
        entries.append(entry_of(decide(spec, book), asked))
        return _told(entries[-1])

    if compare is None:
        code = options.each_spec(paths, engine, one, words)
        write(file, entries, book, paths)
        return code
    if engine or any(words):
        raise UsageError(Problem("usage", "--compare takes specs as they are: leave --engine, --model and --gpu out"))
    named = ctx.get_parameter_source("book") is click.core.ParameterSource.COMMANDLINE
    rules = str(ctx.meta[options.RULES]) if named else None

    def both(old: Labelled, new: Labelled, corpus: Corpus) -> tuple[int, list[Problem]]:
        result, problems = compared(old, new, corpus, {})
        for path, spec in progress(list(corpus.specs.items()), "specs"):
            was, mine = corpus.before.get(path), [change for change in result.changes if change.spec == path]
            changes = [{"headline": said("headline", c), "causes": cause_lines(c, result), "diffs": [f._asdict() for f in c.files]} for c in mine]
            sides = [_side(one, side[1], asked) for one, side in (((was and was.spec) or spec, old), (spec, new))]
            if sides[1]:
                entries.append(sides[1]._replace(before=sides[0] and sides[0]._asdict(), changes=changes))
        shown = view(result, every=False)
        write(file, entries, new[1], list(map(Path, corpus.specs)), {key: shown[key] for key in ("verdict", "old", "new", "edits")})
        return max(map(_told, entries), default=DONE), problems

    code, problems = over_sides(compare, tuple(map(str, specs)), rules, False, both)
    say(problems)
    return max(code, BAD_INPUT if any(problem.severity == "error" for problem in problems) else DONE)


def _told(entry: Entry) -> int:
    """The exit code of a spec, after printing why nothing fits."""
    if entry.plan["choice"] is None:
        tell(entry.refused)
    return NOTHING_FITS if entry.plan["choice"] is None else DONE


def _side(spec: DeploymentSpec, book: RuleBook, asked: list[int]) -> Entry | None:
    """A spec on one side of a comparison; None where it cannot be planned, which is among the problems or the changes."""
    try:
        return entry_of(decide(spec, book), asked)
    except InputError:
        return None


def entry_of(outcome: Outcome, asked: list[int]) -> Entry:
    """What the page says of a decided spec; without `asked`, its curve goes over the powers of two."""
    plan, speeds, final, file = outcome.plan, Speeds(outcome.context), outcome, outcome.context.spec.document.name
    paths = {(one.id, one.expert_parallel): (f"alternatives.{place}.", one) for place, one in reversed(list(enumerate(plan.alternatives)))}
    ranked = list[dict[str, Any]]()
    for one in (found.candidate for found in outcome.ranked):
        path, shown = ("", plan.choice) if plan.choice and not ranked else paths.pop((one.id, one.expert_parallel), (None, speeds.estimated(one)))
        assert shown is not None
        ranked.append({**choice_json(shown), **figures_json(shown), "id": one.id, "path": path, "gpus": one.gpus})
    if plan.choice is None:
        return Entry(file, as_json(plan), (), (), (), refused(outcome))
    planned = outcome.context.workload.concurrency or int(speeds.places(plan.choice)) * plan.choice.replicas
    most = min(sweeps.MOST, FARTHER * planned)
    asked = asked or sorted({planned} | {1 << n for n in range(0, 17, 1 if most <= DENSE else 2) if 1 << n <= most})
    files, refusal = list[tuple[str, str]](), ""
    try:
        if outcome.context.book.sizing != "detailed":
            final = decided(outcome.context.spec, outcome.context.book)
        found = project.find(Path())
        made = rendered(final, final.context.book, found.out_folder if found else Path("out"), False)
        files = [(one.path, one.text) for one in made if one.path not in LEFT_OUT and not one.path.endswith(BESIDE)]
    except GenDeployError as error:
        refusal = str(error)
    return Entry(file, as_json(plan), curve_json(sweeps.curve_of(outcome, asked)), ranked, files, refusal)


def writable(file: Path) -> None:
    """Raise `WriteError` where no page can be written, or where another file is: before any work."""
    problem = None
    if not file.parent.is_dir():
        problem = f"there is no folder {str(file.parent)!r}"
    elif file.is_symlink() or (file.exists() and not file.is_file()):
        problem = "it is not a file"
    elif file.exists() and file.stat().st_size and MARK not in file.read_bytes()[:1024]:
        problem = "it is not a page of gen-deploy; write another name, or remove it"
    if problem:
        raise WriteError(Problem("cannot-write", f"{file}: {problem}"))


def write(file: Path, entries: Sequence[Entry], book: RuleBook, paths: Sequence[Path], compared: dict[str, Any] | None = None) -> None:
    """Put the page in its place, whole or not at all; none where no spec can be planned. `paths` are all specs that were asked for."""
    planned = {"-", *(entry.file for entry in entries)}
    try:
        if entries:
            text = page(entries, book.section("sources"), compared, [str(path) for path in paths if str(path) not in planned])
            replace_file(file, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise WriteError(Problem("cannot-write", f"{file}: {error.strerror or error}")) from None
