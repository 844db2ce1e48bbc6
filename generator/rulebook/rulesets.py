"""Rule sets on disk: folders of YAML files, layered, checked and merged.

Floor 1. A file's top-level key names its content (`schemas.KINDS`). Cases (`cases/`) are beside the rules and are not read here."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from generator.errors import InputError, Problem, did_you_mean, fail
from generator.readers.document import Document, decode, parse_yaml, read_bytes, read_yaml
from generator.readers.resources import folder, shown

if TYPE_CHECKING:
    from generator.rulebook.overlay import Data, Gathered

MAX_RULE_BYTES = 4 << 20
SHIPPED = ("default", "handbook")
CASES, PHYSICS, FAMILIES = "cases", "physics", "facts/families"


def find(name_or_dir: str, beside: Path | None = None) -> Path:
    """The folder of a rule set, by shipped name or as a path; raises `InputError` if there is none.

    `beside` is a complete rules folder (with `vocabulary.yaml`): shipped names are then looked up there first."""
    if name_or_dir in SHIPPED:
        here = None if beside is None else beside / name_or_dir
        return here if here is not None and (here / "ruleset.yaml").is_file() else folder("rules") / name_or_dir
    path = Path(name_or_dir)
    if (path / "ruleset.yaml").is_file():
        return path
    if path.is_dir():
        raise fail("unknown-ruleset", f"{name_or_dir!r} contains no ruleset.yaml")
    raise fail("unknown-ruleset", f"no rule set {name_or_dir!r}{did_you_mean(name_or_dir, SHIPPED)}")


def root_of(path: Path) -> Path:
    """The folder with the shared facts of a rule set: its parent if that has a vocabulary, else the shipped one."""
    around = path.resolve().parent
    return path.parent if (around / "vocabulary.yaml").is_file() else folder("rules")


def chain(path: Path) -> list[Path]:
    """The `extends` chain of a rule set, base first; raises `InputError` for a loop."""
    found: list[Path] = []
    while True:
        if path.resolve() in [p.resolve() for p in found]:
            raise fail("ruleset-loop", f"{shown(path)} extends itself")
        found.insert(0, path)
        document = read_yaml(path / "ruleset.yaml", shown(path / "ruleset.yaml"))
        parent = extended_by(document.data)
        if parent is None:
            return found
        at = ("extends",) if "extends" in document.data else ("ruleset", "extends")
        if not isinstance(parent, str):
            raise fail("wrong-type", "`extends` names one rule set", document.place(at))
        try:
            path = find(parent if parent in SHIPPED else str(path / parent), root_of(path))
        except InputError as error:
            raise fail("unknown-ruleset", error.problems[0].message, document.place(at)) from None


def extended_by(data: object) -> object:
    """What a `ruleset.yaml` extends, if anything: a top-level key, or one beside its name."""
    whole = data if isinstance(data, dict) else {}
    inner = whole.get("ruleset")
    return whole.get("extends", inner.get("extends") if isinstance(inner, dict) else None)


def layers(path: Path) -> list[list[Path]]:
    """The YAML files of a rule set, a list per layer: the constants of physics, the shared facts, what it extends, itself.

    A tree without physics or families takes the shipped ones with their sources; whatever it says itself lies over them."""
    sets = chain(path)
    root, shipped = root_of(sets[0]), folder("rules")
    sources = sorted((root / "sources").glob("*.yaml"))
    lent = [part for part in (PHYSICS, FAMILIES) if not any((root / part).glob("*.yaml"))]
    lower = [*(root / PHYSICS).glob("*.yaml"), *(file for part in (*lent, *(["sources"] if lent else ())) for file in (shipped / part).glob("*.yaml"))]
    return [sorted(lower), [root / "vocabulary.yaml", *sources, *sorted((root / "facts").rglob("*.yaml"))], *(_files(one) for one in sets)]


def _files(path: Path) -> list[Path]:
    """A rule set's own files, `ruleset.yaml` first, without cases and nested sets."""
    found = []
    for file in sorted(path.rglob("*.yaml"), key=lambda p: (p.name != "ruleset.yaml", p)):
        between = file.relative_to(path).parts[:-1]
        nested = any((path.joinpath(*between[: i + 1]) / "ruleset.yaml").is_file() for i in range(len(between)))
        if not nested and not any(part == CASES or part.startswith(".") for part in between):
            found.append(file)
    return found


def fingerprint(files: list[list[Path]]) -> str:
    """A hash of the bytes of these files and of the merging code.

    Equal in a checkout and in a wheel: places have the form of messages. Raises `InputError` for unreadable files."""
    base = f"{folder('rules').parent}{os.sep}"
    digest = hashlib.sha256()
    here = Path(__file__).parent
    code = [*(here / name for name in ("rulesets.py", "overlay.py", "rules_check.py", "book.py")), here.parent / "readers" / "document.py"]
    for path in [*code, *(p for layer in files for p in layer)]:
        raw = read_bytes(path, MAX_RULE_BYTES)
        digest.update(f"{path.name if path in code else str(path).removeprefix(base)}\0{len(raw)}\0".encode() + raw)
    return digest.hexdigest()


def put_together(path: Path, trust: bool = True, lenient: bool = False) -> Data:
    """The merged and checked data of a rule set, by section; `trust` and `lenient` as for `gather`.

    Raises `InputError` with all problems, each at `file:line:column`."""
    gathered = gather(path, trust, lenient)
    if gathered.problems:
        raise InputError(gathered.problems)
    return gathered.merged


def gather(path: Path, trust: bool = True, lenient: bool = False) -> Gathered:
    """The merged rule set with its files, the history of each entry, and its problems; only unreadable files raise an exception.

    The form of shipped files is checked when they are compiled and by lint (`trust` False); of all other files, including complete rules folders, always.
    `lenient` ignores unknown keys: rules of an old commit may be for another version of the tool."""
    from generator.rulebook.overlay import Gathered, empty, fill_in  # imported lazily: not needed for a compiled set
    from generator.rulebook.rules_check import check

    gathered = Gathered(empty())
    files = layers(path)
    names = [PHYSICS, "facts", *(_name(one) for one in chain(path))]
    base, whole = folder("rules").resolve(), True
    for name, layer in zip(names, files, strict=True):
        gathered.layers.append((name, []))
        for file in layer:
            checked = trust and base in file.resolve().parents
            whole &= _add(gathered, name, file, checked, layer is files[1], lenient)
    fill_in(gathered.merged)
    if whole and all(p.code != "rules-form" for p in gathered.problems):  # what a file that was left out would have said is not missing
        gathered.problems += check(gathered, _document(folder("rules") / "vocabulary.yaml")[0].data["names"])
    if not gathered.problems and "name" not in gathered.merged["ruleset"]:
        gathered.problems.append(Problem("rules-form", "this rule set has no name: write `ruleset: {name: NAME}`", gathered.top))
    gathered.merged.pop("off")
    gathered.merged["ruleset"]["digest"] = digest_of(gathered.merged)
    return gathered


def _name(path: Path) -> str:
    data = _document(path / "ruleset.yaml")[0].data
    inner = data.get("ruleset") if isinstance(data, dict) else None
    return str(inner["name"]) if isinstance(inner, dict) and "name" in inner else path.resolve().name


def _add(gathered: Gathered, layer: str, file: Path, checked: bool, shared: bool, lenient: bool) -> bool:
    """Read one file and apply it as a layer; its form is checked first, unless `checked` before.

    Only the `shared` facts may add names and engines. False for a file with an invalid form, which is omitted."""
    from generator.rulebook.overlay import lay_over

    document, raw = _document(file)
    gathered.documents[document.name] = document
    gathered.layers[-1][1].append(document.name)
    if not isinstance(document.data, dict):
        gathered.problems.append(Problem("rules-form", "a mapping is expected", document.place()))
        return False
    problems = [] if checked or _well_formed(raw) else [p for p in _form(document) if not (lenient and p.code == "unknown-key")]
    gathered.problems += problems
    if not problems:
        lay_over(gathered, layer, document, shared)
    return not problems


def _document(file: Path) -> tuple[Document, bytes]:
    """A file and its bytes, cached until it changes: rule sets share most files."""
    state = file.stat() if file.exists() else None
    return _unchanged(file, shown(file), state and (state.st_mtime_ns, state.st_size, state.st_ino))


@lru_cache(512)
def _unchanged(file: Path, name: str, state: object) -> tuple[Document, bytes]:
    raw = read_bytes(file, MAX_RULE_BYTES, name)
    try:
        return _parsed(raw)._replace(name=name), raw
    except InputError:
        return parse_yaml(decode(raw, name), name), raw


@lru_cache(512)
def _parsed(raw: bytes) -> Document:
    """The document of these bytes: two trees, as of two commits, have most of their files in common."""
    return parse_yaml(decode(raw, ""), "")


@lru_cache(512)
def _well_formed(raw: bytes) -> bool:
    return not any(_form(_parsed(raw)))


def _form(document: Document) -> Iterator[Problem]:
    from generator.rulebook.schemas import KINDS, kind_of, problems_of

    if kind := kind_of(document.data):
        yield from problems_of(document, kind)
    elif key := next(iter(document.data), None):
        yield Problem("unknown-key", f"unknown section {key!r}{did_you_mean(key, KINDS)}", document.place((key,), key=True))


def digest_of(merged: Data) -> str:
    """A short hash of a rule set's decisions, without comments, positions and the order of collected rows.

    The engines' option catalogues are excluded too: they serve verification only."""
    from generator.rulebook.overlay import bare

    data = bare({section: part for section, part in merged.items() if section != "flags"})
    for table in data["tables"].values():
        if table["hit"] == "collect":
            table["rows"].sort(key=lambda row: row["id"])
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
