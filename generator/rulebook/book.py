"""A rule set in memory: lazily loaded sections, thresholds by version, compiled tables.

Floor 1. A shipped set is compiled to JSON (one file per section) when the wheel is built, in a checkout when it is first read. If
what was compiled does not match the current YAML, and for all other folders, the YAML itself is read. Of a compiled set
an index names the files of each section by their folders (a set keeps only what differs from the set beside it) and the fingerprint of the
input: a folder is valid only if that is of the same YAML, byte for byte, a section only if its hash is that of the index. Damaged files are
treated as missing. The sets lie beside the code, in a wheel as in a checkout, and are as safe as it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from generator.errors import fail, fold
from generator.quantity import grouped, version_key
from generator.readers import resources
from generator.rulebook.rulesets import SHIPPED, find, fingerprint, layers, put_together
from generator.rulebook.table import LABELS, STAGES, Table, build_table

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook import sections as typed

INDEX = "index.json"


class Damaged(Exception):
    """A compiled section is missing or corrupt."""


class Compiled:
    """A compiled set with lazily read sections."""

    def __init__(self, beside: Path, hashes: Mapping[str, Mapping[str, str]]) -> None:
        """`beside` is the folder of all sets; `hashes` those of the files of each section, by the folder that they are in."""
        self._beside, self._hashes = beside, hashes

    def section(self, name: str) -> object:
        """A section's data: that of the first file, with the entries of the next laid over it; raises `Damaged`."""
        parts = []
        try:
            for folder, wanted in self._hashes[name].items():
                raw = (self._beside / folder / f"{name}.json").read_bytes()
                if hashlib.sha256(raw).hexdigest() != wanted:
                    raise Damaged(name)
                parts.append(json.loads(raw))
            return parts[0] if len(parts) == 1 else {key: value for part in parts for key, value in part.items()}
        except (OSError, ValueError, LookupError, AttributeError, RecursionError):
            raise Damaged(name) from None


def open_compiled(folder: Path, fingerprint: str) -> Compiled | None:
    """The compiled set in a folder, if its fingerprint matches."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        same = index["fingerprint"] == fingerprint and isinstance(index["sections"], dict)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Compiled(folder.parent, index["sections"]) if same else None


def write_compiled(folder: Path, fingerprint: str, sections: Mapping[str, object], like: Path | None = None) -> bool:
    """Write a compiled set, completely or not at all; False if impossible (a full disk, a checkout of another user).

    What `like`, a set beside it, has too is not written again.
    An existing set is replaced. If two processes write at once, one wins, and both results are equal."""
    staging = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
        staging.chmod(0o755)
        hashes: dict[str, dict[str, str]] = {}
        for name, data in sections.items():
            lower = (like / f"{name}.json").read_bytes() if like else b"null"
            rest = _beyond(json.loads(lower), data)
            hashes[name] = {like.name: hashlib.sha256(lower).hexdigest()} if like and rest is not data else {}
            if rest or not hashes[name]:
                raw = _text(rest).encode()
                (staging / f"{name}.json").write_bytes(raw)
                hashes[name][folder.name] = hashlib.sha256(raw).hexdigest()
        (staging / INDEX).write_text(json.dumps({"fingerprint": fingerprint, "sections": hashes}, indent=1), encoding="utf-8")
        if os.path.lexists(folder):  # damaged or outdated: a process reading it falls back to YAML
            folder.rename(staging / "old")
        staging.rename(folder)
        shutil.rmtree(folder / "old", ignore_errors=True)
    except OSError:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        return False
    return True


def _beyond(lower: object, data: object) -> object:
    """The entries that laid over `lower` give `data` in its order; `data` itself where there are none."""
    if isinstance(lower, dict) and isinstance(data, dict) and list(lower) == list(data)[: len(lower)]:
        return {key: value for key, value in data.items() if key not in lower or _text(value) != _text(lower[key])}
    return {} if _text(lower) == _text(data) else data


def _text(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


POLICY = ("ruleset", "names", "settings", "thresholds", "tables")
SECTIONS = (
    "policy", "sources", "gpus", "gpu_names", "architectures", "models", "methods", "engines", "flags", "support", "kv_cache", "quality", "ggml_types",
    "quantizers", "transforms", "training_jobs", "gates", "families", "registry", "publishers", "hubs", "platforms",
)  # fmt: skip


def file_format(method: Mapping[str, object]) -> str:
    """The weights file format of a method (an entry of `methods`)."""
    return "gguf" if method["family"] == "gguf" else "safetensors"


class RuleBook:
    """One rule set. Sections are plain data, named after their files."""

    def __init__(
        self, sections: dict[str, object] | None, compiled: Compiled | None = None, again: Callable[[], dict[str, object]] | None = None
    ) -> None:
        """`sections` in memory, or a compiled set; `again` reads the YAML if the compiled set is damaged."""
        self._sections = sections or {}
        self._compiled, self._again = compiled, again
        self._indexes: dict[str, dict[str, str]] = {}
        self.memo: dict[object, object] = {}
        """What others worked out from this book and nothing else (`remembered`)."""

    if TYPE_CHECKING:

        @overload
        def section(self, name: Literal["policy"]) -> typed.Policy: ...
        @overload
        def section(self, name: Literal["gpus"]) -> Mapping[str, typed.Gpu]: ...
        @overload
        def section(self, name: Literal["models"]) -> Mapping[str, typed.Model]: ...
        @overload
        def section(self, name: Literal["methods"]) -> Mapping[str, typed.Method]: ...
        @overload
        def section(self, name: str) -> Any: ...

    def section(self, name: str) -> object:
        """A section's data; loaded from the compiled file on first use."""
        try:
            return self._sections[name]
        except KeyError:
            if self._compiled is None:
                raise
        try:
            self._sections[name] = self._compiled.section(name)
        except Damaged:
            assert self._again is not None  # always given with a compiled set
            self._sections = self._again() | self._sections
        return self._sections[name]

    @property
    def name(self) -> str:
        """The rule set's name."""
        return self.section("policy")["ruleset"]["name"]

    def index(self, section: str) -> dict[str, str]:
        """Map from folded names and aliases of a section's entries to their names."""
        if section not in self._indexes:
            entries = self.section(section)
            index = {fold(alias): name for name, entry in entries.items() for alias in entry.get("aliases") or ()}
            self._indexes[section] = index | {fold(name): name for name in entries}
        return self._indexes[section]

    def fallback(self, kind: str) -> str | None:
        """The fallback entry for an unlisted `gpu` or `model`, if the set has one."""
        return (self.section("policy")["ruleset"].get("fallback") or {}).get(kind)

    @property
    def sizing(self) -> str:
        """The sizing method of this set: `detailed`, or `rule-of-thumb` (the handbook)."""
        return self.section("policy")["ruleset"].get("sizing", "detailed")

    @property
    def digest(self) -> str:
        """A hash of all decision data of the set."""
        return self.section("policy")["ruleset"]["digest"]

    @cached_property
    def names(self) -> dict[str, typed.Name]:
        """The vocabulary: the names that rules may read."""
        return dict(self.section("policy")["names"])

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels of a spec that this set declares, as names: `labels.<label>`."""
        return tuple(name for name in self.names if name.startswith(LABELS))

    @cached_property
    def stages(self) -> dict[str, int]:
        """For each name, the index in `STAGES` at which it is known."""
        return {name: STAGES.index(entry["stage"]) for name, entry in self.names.items()}

    @cached_property
    def thresholds(self) -> dict[str, typed.Threshold]:
        """Thresholds by name, each with value or by_version, unit, source and date of the last check."""
        return dict(self.section("policy")["thresholds"])

    def number(self, name: str, version: str | None = None) -> float:
        """A threshold's value (for an engine version, if it depends on one)."""
        return self.threshold(name, version)["value"]

    def threshold(self, name: str, version: str | None = None) -> typed.Threshold:
        """A threshold's entry with the value for this version: the last row with `since` at or below it.

        Raises `InputError` for a threshold missing in the rule set."""
        entry = self.thresholds.get(name)
        if entry is None:
            raise fail("missing-threshold", f"the rule set {self.name!r} lacks the threshold {name!r}, which the generator needs")
        if "by_version" not in entry:
            return entry
        chosen = entry["by_version"][0]
        if version is not None:
            key = version_key(version)
            for row in entry["by_version"]:
                if version_key(row["since"]) <= key:
                    chosen = row
        return {**entry, **chosen}

    @cached_property
    def quality(self) -> dict[str, list[typed.Quality]]:
        """Rows of quality loss by method."""
        rows: list[typed.Quality] = self.section("quality")
        return {same[0]["method"]: same for same in grouped(rows, lambda row: row["method"])}

    @cached_property
    def measured(self) -> frozenset[str]:
        """Models of which the rules hold a measured loss."""
        return frozenset(row["model"] for row in self.section("quality") if "model" in row)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Tables by name."""
        data = self.section("policy")["tables"]
        return {name: build_table(name, table, self.stages, self.bound) for name, table in data.items()}

    def bound(self, limit: object) -> object:
        """The number of a cell's limit: a threshold's value, or the literal."""
        return self.thresholds[limit]["value"] if isinstance(limit, str) else limit

    def source(self, key: str | None) -> dict[str, str] | None:
        """A source's entry (title, url or where, read)."""
        return self.section("sources").get(key) if key else None


def load(name_or_dir: str = "default") -> RuleBook:
    """A rule set by shipped name or folder; raises `InputError` for an unknown or invalid rule set."""
    path = find(name_or_dir)
    if name_or_dir not in SHIPPED:
        return RuleBook(sections_of(put_together(path)))
    made_from, built = fingerprint(layers(path)), resources.folder("compiled") / name_or_dir

    def compiled_now() -> dict[str, object]:
        sections = sections_of(put_together(path, trust=False))
        write_compiled(built, made_from, sections)
        return sections

    found = open_compiled(built, made_from)
    return RuleBook(compiled_now()) if found is None else RuleBook(None, found, compiled_now)


def sections_of(merged: dict[str, Any]) -> dict[str, object]:
    """The compiled sections of a rule set; of sources only what is shown with a plan or a list (`rules show` reads the YAML)."""
    sections = {name: merged[name] for name in SECTIONS if name != "policy"}
    sections["sources"] = {key: {name: one[name] for name in ("title", "url", "where", "read") if name in one} for key, one in merged["sources"].items()}
    return {"policy": {name: merged[name] for name in POLICY}, **sections}


def compile_to(target: Path, name: str) -> None:
    """Compile a shipped rule set into a folder (wheel build), with its form checked; raises `InputError` for its problems.

    What it shares with the first one, if that lies beside it, is not written again."""
    path, first = find(name), target.parent / SHIPPED[0]
    like = first if first != target and first.is_dir() else None
    if not write_compiled(target, fingerprint(layers(path)), sections_of(put_together(path, trust=False)), like):
        raise fail("cannot-write", f"cannot write the compiled rules to {target}")
