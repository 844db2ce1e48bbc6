"""`gen-deploy diff`: show which decisions a rule change affects."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from generator.cli import options
from generator.cli.comparison import Corpus, compared
from generator.cli.output import say, show
from generator.cli.revisions import Side, book_of
from generator.cli.sweep import prices_of, prices_option
from generator.compare.model import Comparison
from generator.disk import git
from generator.disk.placing import scratch_folder
from generator.errors import BAD_INPUT, DIFFERENCES, DONE, InputError, Problem, UsageError
from generator.report.diff import FORMATS, report
from generator.rulebook.book import RuleBook, load
from generator.rulebook.rulesets import SHIPPED
from generator.spec import project
from generator.spec.words import grid as grid_of

Result = TypeVar("Result")
Labelled = tuple[str, RuleBook]
"""A side: what it is called, and its rules."""
Work = Callable[[Labelled, Labelled, Corpus], tuple[Result, list[Problem]]]
"""What a command does with two sides and the specs of both."""


@click.command("diff")
@click.argument("words", nargs=-1, metavar="BASE[..HEAD] [SPEC...]")
@click.option("--rules", metavar="NAME-OR-DIR", help="The rule set on both sides; default: the one in each side's project file.")
@click.option("--grid", is_flag=True, help="Compare a built-in grid of models, GPUs and profiles too (told apart; --exit-code is about the specs).")
@prices_option
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True, help="The output format.")
@click.option("--exit-code", is_flag=True, help="Exit 3 if a decision or a setting changes.")
@options.options(options.json_option, options.verbose_option)
def command(
    words: tuple[str, ...], rules: str | None, grid: bool, prices: Path | None, form: str, exit_code: bool, as_json: bool, verbose: bool
) -> int:
    """Show which decisions a rule change affects, for a corpus of specs.

    BASE and HEAD are commits (default HEAD: the working tree; three dots: since their merge base). DIR..DIR compares two rule
    sets, without git. Default SPEC: the corpus of the project file. What BASE has committed in its output folder is compared too:
    another version of gen-deploy may have decided it."""
    project.find(Path())  # its version of gen-deploy
    if not words:
        raise UsageError(Problem("usage", "name the revisions or folders to compare: BASE, BASE..HEAD or DIR..DIR"))
    result, problems = over_sides(words[0], words[1:], rules, grid, lambda old, new, corpus: _compared(old, new, corpus, grid, prices))
    show(report(result, "json" if as_json else form, verbose))
    say(problems)
    code = BAD_INPUT if any(problem.severity == "error" for problem in problems) else DONE
    return max(code, DIFFERENCES) if exit_code and result.decisive else code


def over_sides(text: str, specs: tuple[str, ...], rules: str | None, grid: bool, work: Work[Result]) -> tuple[Result, list[Problem]]:
    """What `work` makes of the two sides that `BASE[..HEAD]` names and of their specs, with all problems; `grid`: the specs may be none.

    Raises `InputError` and `UsageError` for what does not name two sides."""
    pair = _pair(text)
    return _folders(*pair, specs, grid, work) if pair else _commits(text, specs, rules, grid, work)


def _compared(old: Labelled, new: Labelled, corpus: Corpus, grid: bool, prices: Path | None) -> tuple[Comparison, list[Problem]]:
    paid = prices_of(prices, new[1]) if prices else {}
    result, problems = compared(old, new, corpus, paid)
    if grid:  # what a rule set does not know of it is only counted
        result = replace(result, grid=compared(old, new, Corpus(grid_of(new[1])), paid)[0])
    return result, problems


def _pair(text: str) -> tuple[str, str] | None:
    """Two rule sets, if the argument has the form `DIR..DIR` and not both parts are commits."""
    for found in re.finditer(r"(?=\.\.)", text):
        pair = text[: found.start()], text[found.start() + 2 :]
        if all(_is_rules(name) for name in pair):
            with suppress(InputError, UsageError):
                repo = git.repository(Path())
                return None if all(repo.commit(name) for name in pair) else pair
            return pair
    return None


def _is_rules(name: str) -> bool:
    return name in SHIPPED or (name != "" and (Path(name) / "ruleset.yaml").is_file())


def _folders(old: str, new: str, specs: tuple[str, ...], grid: bool, work: Work[Result]) -> tuple[Result, list[Problem]]:
    found, errors = options.read_specs(paths_of(specs, grid))
    corpus = Corpus({spec.document.name: spec for spec in found})
    one, other = ((name, load(name) if name in SHIPPED else book_of(Path(name))) for name in (old, new))
    result, problems = work(one, other, corpus)
    return result, [*(p for error in errors for p in error.problems), *problems]


def paths_of(specs: tuple[str, ...], optional: bool) -> list[Path]:
    """The named specs, else those of the project file; raises `UsageError` where there are none, unless `optional`."""
    if specs:
        return [Path(spec) for spec in specs]
    found = project.find(Path())
    if found is None and not optional:
        raise UsageError(Problem("usage", f"name the specs: there is no project file {project.FILE}"))
    return found.spec_files() if found is not None else []


def _commits(text: str, specs: tuple[str, ...], rules: str | None, grid: bool, work: Work[Result]) -> tuple[Result, list[Problem]]:
    span = git.parse_range(text)
    repo = git.repository(Path())
    try:
        base = repo.commit(span.base)
        head = repo.commit(span.head) if span.head is not None else None
    except InputError as error:
        if any(Path(name).is_dir() or name in SHIPPED for name in (span.base, span.head or "")):
            hint = "DIR..DIR compares two rule sets: both must be"
            raise InputError(Problem(p.code, f"{p.message}; {hint}", p.place) for p in error.problems) from None
        raise
    if span.merge_base and head is not None:
        base = repo.merge_base(base, head)
    here = repo.path_of(Path())
    here = "" if here == "." else here
    with scratch_folder() as scratch:
        folders = [scratch.resolve() / name for name in ("base", "head")]
        old = Side(span.base, repo, folders[0], base, here)
        new = Side(span.head or "the working tree", repo, folders[1] if head else repo.root, head, here)
        named = [repo.path_of(Path(spec)) for spec in specs]
        corpus, problems = (Corpus({}), []) if grid and not named and new.project is None else Corpus.of_sides(old, new, named)
        books = old.book(rules), new.book(rules)
        if rules is None:  # else the committed files answer another question
            corpus, more = corpus.with_stored(old, books[0])
            problems += more
        result, more = work((old.label, books[0]), (new.label, books[1]), corpus)
        return result, [*problems, *more]
