"""The launch files under some paths, and the engine and version recorded in a generated folder.

Floor 6. Reads folders and `plan.json`, follows no links."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from generator.errors import InputError, Place, Problem
from generator.readers.document import read_json
from generator.rulebook.book import RuleBook
from generator.verify.around import faults as around
from generator.verify.files import SCRIPTS, STDIN, Asked, Report, check_file, check_text

SUFFIXES = (*SCRIPTS, ".yaml", ".yml")
SKIPPED = ("PLAN.md", "manifest.json", "plan.json", "README.md")
_MAX_FILES = 10_000


def check_paths(paths: Sequence[Path], book: RuleBook, asked: Asked, stdin: str = "") -> tuple[Report, int, list[Problem]]:
    """The findings under some paths (`-`: in the text of `stdin`), the number of files checked, and the problems of unreadable files."""
    whole, files = Report(), 0
    hint = "" if asked.engine else "; if the file does not name its engine, use --engine"
    nothing = f"this file does not start a server of a known engine{hint}"
    problems: list[Problem] = []
    for path, inside in _files(paths):
        try:
            report = check_text(STDIN, stdin, book, asked) if str(path) == STDIN else check_file(path, book, asked, told_by_folder(path))
        except InputError as error:
            if not inside or path.suffix in (".yaml", ".yml"):
                problems += error.problems
            continue
        if not report.checked and not inside:
            problems.append(Problem("nothing-to-check", nothing, Place(str(path))))
        files += bool(report.checked)
        whole.checked += report.checked
        whole.findings += report.findings
        whole.verdicts += report.verdicts
        whole.servers += report.servers
        whole.documents += report.documents
    whole.findings += around(whole.documents, whole.servers, book, asked.hardware, asked.model)
    if not files and not problems:
        problems.append(Problem("nothing-to-check", nothing, Place(str(paths[0]))))
    whole.findings.sort(key=lambda finding: (finding.place or Place(""), finding.code))
    return whole, files, problems


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """The files to read, and whether each was found in a folder (then it may be another kind of file)."""
    for path in paths:
        if not path.is_dir():
            yield path, False
            continue
        count = 0
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if Path(name).suffix in SUFFIXES and name not in SKIPPED and not name.startswith("."):
                    count += 1
                    if count <= _MAX_FILES:
                        yield Path(folder) / name, True


def told_by_folder(path: Path) -> Asked:
    """Engine and version of a file in a generated folder: the folder has the engine's name, `plan.json` the version."""
    for folder in (path.parent, path.parent.parent):
        with suppress(InputError):
            choice = read_json(folder / "plan.json").get("choice")
            if isinstance(choice, dict) and choice.get("engine") == path.parent.name:
                return Asked(str(choice["engine"]), str(choice.get("engine_version")))
    return Asked()
