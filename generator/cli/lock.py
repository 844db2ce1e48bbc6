"""`gen-deploy lock`: look up on the model hub what the specs name, and record what was chosen.

The lock is written whole or not at all, and merged with what another run wrote meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click

from generator.cli import options
from generator.cli.output import answer, progress, say_errors, show, show_json, tell
from generator.decide.decision import decide
from generator.decide.kept import choice_of
from generator.disk.placing import replace_file
from generator.disk.write import locked
from generator.errors import DONE, GenDeployError, InputError, Problem, WriteError
from generator.facts.locked import key_of
from generator.hub.lock import EMPTY, Choice, Lock, read_lock, text_of
from generator.quantity import gib, grouped
from generator.render.compose import image_of
from generator.render.launch import launch_of
from generator.report.summary import chosen_line
from generator.rulebook.book import RuleBook
from generator.spec import project
from generator.spec.deployment import DeploymentSpec


@click.command("lock")
@options.some_specs_argument
@options.words_options
@options.book_option
@click.option("--upgrade", is_flag=True, help="Ask again for what the lock has; says which decisions change.")
@click.option("--list", "listing", is_flag=True, help="Do not ask the hub: list the files that a site without network must bring, with sizes and digests.")
@options.options(options.json_option, options.quiet_option)
def command(specs: tuple[Path, ...], words: options.Words, book: RuleBook, upgrade: bool, listing: bool, as_json: bool, quiet: bool) -> int:
    """Look up the models that the specs name, or one for a GPU (-m MODEL -g GPU), and write gen-deploy.lock: commits, files, exact sizes, prepared checkpoints.

    Without SPEC, all specs of the project file. Weights are never downloaded."""
    whole = not (specs or any(words))
    if whole:
        found, _, _, code = options.corpus((), Path())
    else:
        found, errors = options.read_specs(specs, words=words)
        code = say_errors(errors)
    if listing:
        return max(code, _list(found, book, as_json))
    locks = []
    for path, group in by_lock(found).items():
        try:
            after, changed = look_up(path, group, book, fresh=upgrade, prune=whole and code == DONE, quiet=quiet or as_json)
        except GenDeployError as error:
            code = max(code, say_errors([error]))
            continue
        locks.append({"path": os.path.relpath(path), "repositories": {name: one.commit for name, one in after.repositories.items()}, "changed": changed})
        if not (quiet or as_json):
            show(f"{os.path.relpath(path)}: {len(after.repositories)} repositories{'' if changed else ', unchanged'}")
    if as_json:
        show_json({"locks": locks})
    return code


def by_lock(specs: Iterable[DeploymentSpec]) -> dict[Path, list[DeploymentSpec]]:
    """Specs by the lock that they read, or would read."""
    groups = grouped(specs, lambda spec: project.lock_path(spec.folder))
    return {project.lock_path(same[0].folder): same for same in groups}


def look_up(
    path: Path, specs: Sequence[DeploymentSpec], book: RuleBook, *, fresh: bool = False, prune: bool = False, quiet: bool = False
) -> tuple[Lock, bool]:
    """Ask the hub for what these specs need, and write their lock; returns it, and whether it changed.

    Raises `InputError` with all that cannot be had: then nothing is written."""
    from generator.hub.lookup.client import connect  # imported lazily: only lookups need the client
    from generator.hub.lookup.fill import Filling

    before = specs[0].lock or EMPTY
    start = replace(before, path=path, choices={} if fresh else before.choices)
    filling = Filling(connect(), book, start, fresh, (lambda line: None) if quiet else lambda line: tell(f"note: {line}"), progress)
    mine = with_choices(filling.fill(specs), specs, book)
    if fresh and not quiet:
        _show_changes(specs, mine, book)
    needed = filling.needed(specs)

    def change(now: Lock) -> Lock:
        merged = now.merged(mine)
        if not prune:
            return merged
        kept = {name: one for name, one in merged.repositories.items() if name in needed}
        local = {name: one for name, one in merged.local.items() if name in mine.local}
        return replace(merged, repositories=kept, local=local, choices={spec.name: merged.choices[spec.name] for spec in specs if spec.name in merged.choices})

    return mine, write_lock(path, change)


def with_choices(lock: Lock, specs: Sequence[DeploymentSpec], book: RuleBook) -> Lock:
    """The lock with what each spec of a file chooses. Of one that has no choice, none is recorded."""
    choices: dict[str, Choice] = {}
    for spec in progress([spec for spec in specs if spec.document.name], "choices"):
        try:
            outcome = decide(replace(spec, lock=lock), book)
        except GenDeployError:
            continue  # the main job says what is wrong
        if outcome.plan.choice is not None:
            image = image_of(launch_of(outcome.plan, outcome.plan.choice, book, ".."))
            choices[spec.name] = choice_of(spec, outcome.plan.choice, image)
    return replace(lock, choices={**lock.choices, **choices})


def looked_up(specs: Sequence[DeploymentSpec], missing: Sequence[DeploymentSpec], book: RuleBook, code: int) -> tuple[list[DeploymentSpec], int]:
    """The specs with what was looked up for those whose models neither catalogue nor lock has, if the client is installed; and the exit code."""
    if find_spec("huggingface_hub") is None or os.environ.get("HF_HUB_OFFLINE"):
        return list(specs), code
    locks: dict[Path, Lock] = {}
    for path, group in by_lock(missing).items():
        try:
            locks[path] = look_up(path, group, book)[0]
        except GenDeployError as error:
            code = max(code, say_errors([error]))
            if {problem.code for problem in error.problems} - {"hub-unknown", "hub-unreachable"}:
                specs = [spec for spec in specs if spec not in group]  # of the others, the decision says which name may have been meant
            continue
        tell(f"looked up {', '.join(sorted({spec.model.id for spec in group}))} on the model hub; recorded in {os.path.relpath(path)}")
    return [replace(spec, lock=locks.get(project.lock_path(spec.folder), spec.lock)) for spec in specs], code


def _show_changes(specs: Sequence[DeploymentSpec], lock: Lock, book: RuleBook) -> None:
    """What asking again changes: commits, and decisions."""
    for name, entry in lock.repositories.items():
        old = (specs[0].lock or EMPTY).repositories.get(name)
        if old is not None and old.commit != entry.commit:
            show(f"{name}: {old.commit[:12]} -> {entry.commit[:12]}")
    for spec in specs:
        was, now = _choice(spec, book), _choice(replace(spec, lock=lock), book)
        if was != now:
            show(f"{spec.name}: {was} -> {now}")


def _choice(spec: DeploymentSpec, book: RuleBook) -> str:
    try:
        choice = decide(spec, book).plan.choice
    except GenDeployError as error:
        return error.problems[0].code
    return chosen_line(choice) if choice is not None else "nothing fits"


def _list(specs: Sequence[DeploymentSpec], book: RuleBook, as_json: bool) -> int:
    rows: dict[tuple[str, str], dict[str, object]] = {}
    problems: list[Problem] = []
    for spec in specs:
        plan = decide(spec, book).plan
        name = plan.choice.checkpoint if plan.choice is not None else spec.model.id
        repositories = (spec.lock or EMPTY).repositories
        entry = repositories.get(name) or repositories.get(key_of(spec.model, book))
        if entry is None or not entry.files:
            message = f"the lock has no files of {name!r}: run `gen-deploy lock {spec.words}` where there is network"
            problems.append(spec.problem(("model",), "not-locked", message))
            continue
        for file, one in entry.files.items():
            rows[name, file] = {"repository": name, "commit": entry.commit, "file": file, "bytes": one.size, "digest": one.digest}
    if problems:
        raise InputError(problems)
    lines = []
    for mine in grouped(rows.values(), lambda row: row["repository"]):
        total = sum(int(str(row["bytes"])) for row in mine)
        lines.append(f"{mine[0]['repository']} at {mine[0]['commit']}: {len(mine)} files, {gib(total):.2f} GiB")
        lines += [f"  {row['bytes']:>15}  {row['digest']}  {row['file']}" for row in mine]
    return answer(list(rows.values()), "\n".join(lines), as_json, versioned=False)


def write_lock(path: Path, change: Callable[[Lock], Lock]) -> bool:
    """Put the changed lock in the place of the one that is there; returns whether its text differs.

    `change` gets the lock as it is now, which may be newer than the one that the caller read. Raises `WriteError`, and `InputError` for a
    lock that cannot be read."""
    try:
        with locked(path.parent):
            text = text_of(change(read_lock(path) if path.exists() else EMPTY)).encode()
            if path.exists() and path.read_bytes() == text:
                return False
            replace_file(path, text)
    except OSError as error:
        raise WriteError(Problem("cannot-write", f"{path}: {error.strerror or error}")) from None
    return True
