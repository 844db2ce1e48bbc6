"""What a base has committed in its output folder: plans and launch files. Floor 8."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from functools import partial
from pathlib import PurePosixPath

from generator import __version__
from generator.cli.revisions import Side
from generator.compare.files import LEFT_OUT
from generator.compare.model import Tool
from generator.compare.stored import Stored
from generator.disk.write import RUN
from generator.disk.written import MANIFEST
from generator.errors import Place, Problem
from generator.readers.document import MAX_CONFIG_BYTES
from generator.readers.json_text import parse_or_none
from generator.render.plan_json import SCHEMA_VERSION
from generator.rulebook.book import RuleBook
from generator.rulebook.schema_check import accepts
from generator.rulebook.schemas import schema

MAX_FILES_BYTES = 4 << 20
"""The committed files of one spec that are compared at most."""


def stored_of(side: Side, book: RuleBook) -> tuple[dict[str, Stored], list[Problem]]:
    """What a commit has in its output folder, by spec name; with a warning for each plan that cannot be read.

    Nothing where the project's own rules do not decide what is written (they size by a rule of thumb)."""
    if side.project is None or book.sizing != "detailed":
        return {}, []
    kept = [path for path in side.entries if path.endswith("/plan.json") and posixpath.dirname(posixpath.dirname(path)) == side.out]
    plans, problems = _plans(_contents(side, kept), side.label)
    made = parse_or_none(_contents(side, [f"{side.out}/{RUN}"]).get(f"{side.out}/{RUN}", b""))
    made = made if isinstance(made, dict) else {}
    version, rules = str(made.get("generator") or "").removeprefix("gen-deploy ") or None, made.get("rules")
    tool = Tool(side.label, version, __version__, (str(rules.get("digest")) if isinstance(rules, dict) else None, book.digest))
    return {name: Stored(plan, partial(_texts, side, name), "", tool) for name, plan in plans.items()}, problems


def _texts(side: Side, name: str) -> dict[str, str]:
    """The committed launch files of a spec, by path below its folder; none where they are too large to be ours."""
    folder = f"{side.out}/{name}/"
    paths = [path for path in side.entries if path.startswith(folder) and path.removeprefix(folder) not in (*LEFT_OUT, MANIFEST)]
    if side.repo.size(side.entries[path].sha for path in paths) > MAX_FILES_BYTES:
        return {}
    return {path.removeprefix(folder): raw.decode("utf-8", "replace") for path, raw in _contents(side, paths).items()}


def _contents(side: Side, paths: list[str]) -> dict[str, bytes]:
    known = {path: side.entries[path].sha for path in paths if path in side.entries}
    raw = side.repo.contents(known.values())
    return {path: raw[sha] for path, sha in known.items()}


def _plans(files: Mapping[str, bytes], label: str) -> tuple[dict[str, Mapping[str, object]], list[Problem]]:
    """The plans of a commit's files by the folder that each is in, and a warning for each of the others."""
    found: dict[str, Mapping[str, object]] = {}
    problems = []
    for path, raw in files.items():
        place = Place(f"{label}:{path}", 1, 1)
        data = parse_or_none(raw) if len(raw) <= MAX_CONFIG_BYTES else None
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            message = f"schema_version is {version}, but this gen-deploy reads {SCHEMA_VERSION}: compare with the gen-deploy version that wrote the plan"
            problems.append(Problem("unknown-schema", message, place, "warning"))
        elif isinstance(data, dict) and accepts(schema("plan"), data):
            found[PurePosixPath(path).parent.name] = data
        else:
            problems.append(Problem("no-plan", "not a plan written by gen-deploy", place, "warning"))
    return found, problems
