"""Hostile specs through the main job and the readers of its files; what became of each value.

A value arrives (the files are those of the plain words, with it put in), or it is refused at its line with a code. All else is a
finding: a traceback, a refusal somewhere else, another word that changed, a file that was touched.
"""

from __future__ import annotations

import contextlib
import html
import io
import os
import random
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hostile_readers import LOOSE, WHY, Bench, Seen, links, odd_form, without_code
from hostile_specs import PLAIN, Case, Shape, case, shapes

from generator import errors
from generator.cli.main import main
from generator.errors import printable

ROUNDS = 25
"""Refusals of one spec, each followed by a try without what was refused."""

SMALLER = 3
"""Findings of a batch that are made smaller."""

_PROBLEM = re.compile(r"(\d+):(\d+): (error|warning)\[([a-z0-9-]+)\]: \S")
_NUMBER = re.compile(r"specs/(\d{7})")
OURS = ("internal", "error of gen-deploy", "not-as-meant", "no-flag", "bad-word", "bad-data", "Traceback")


@dataclass
class Finding:
    """What must not be: the smallest spec that shows it, and what happened."""

    what: str
    shape: str
    texts: dict[str, str]
    spec: str
    case: Case | None = None

    def __str__(self) -> str:
        shape = f"\n  {self.shape}: {self.texts!r}" if self.shape else ""
        return self.what + shape + "".join(f"\n  | {line}" for line in self.spec.splitlines())


@dataclass
class Tally:
    """What became of the values."""

    specs: int = 0
    arrived: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    readers: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def values(self) -> int:
        """Values that arrived or were refused."""
        return self.arrived.total() + self.refused.total()

    def add(self, other: Tally) -> None:
        """Put another tally to this one."""
        self.specs += other.specs
        self.findings += other.findings
        for name in ("arrived", "refused", "codes", "readers"):
            getattr(self, name).update(getattr(other, name))


class Proof:
    """Works in one folder; learns once what the plain words become.

    `gated` are places whose plain word is refused as well, so that nothing is learnt there.
    """

    def __init__(self, root: Path, compose: str | None, llama_server: str | None = None) -> None:
        self.bench = Bench(root, compose, llama_server)
        self.gated: list[str] = []
        self.shapes: list[Shape] = []
        self.plain: dict[str, tuple[Case, Seen]] = {}
        self._learn(shapes())

    def _learn(self, wanted: list[Shape]) -> None:
        chance, code, said = random.Random(0), 1, ""
        cases: list[Case] = []
        for _ in range(5):
            cases = [case(shape, 9_000_000 + number, self.bench.root, chance, hostile=False) for number, shape in enumerate(wanted)]
            for one in cases:
                one.write(chance)
            code, said = self._main(cases)
            if not code:
                break
            wanted = [self._without_gated(one, said) for one in cases]
            self.bench.clear()
        seen = self.bench.read(cases)
        self.bench.clear()
        wrong = [said] if code else [f"{one.shape.name}: {text}" for one in cases for text in seen[one.number].refused]
        if wrong:
            raise AssertionError("\n".join(wrong))
        self.shapes = wanted
        self.plain = {one.shape.name: (one, seen[one.number]) for one in cases}

    def _without_gated(self, one: Case, said: str) -> Shape:
        """The shape without the places whose plain words are refused."""
        lines = [int(match[1]) for line in said.split("\n") if (match := re.match(re.escape(f"{one.path}:") + r"(\d+):\d+: error\[", line))]
        gated = {one.lines[line] for line in lines if line in one.lines}
        self.gated += [f"{one.shape.engine} {one.shape.places[i].name}" for i in gated]
        return replace(one.shape, places=tuple(place for i, place in enumerate(one.shape.places) if i not in gated))

    def _main(self, cases: Sequence[Case]) -> tuple[int, str]:
        """The main job in this process."""
        out, err = io.StringIO(), io.StringIO()
        uncapped = patch.multiple(errors, MOST_IN_FILE=sys.maxsize - 1, MOST_OF_KIND=sys.maxsize)
        with uncapped, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*(str(one.path) for one in cases), "-o", str(self.bench.out)])
        return code, err.getvalue() + out.getvalue()

    # ---- hostile

    def batch(self, first: int, count: int, seed: int, smaller: int = SMALLER) -> Tally:
        """So many specs from a number on; the same seed and numbers give the same. `smaller` findings are made smaller."""
        chance = random.Random(f"{seed}/{first}")
        cases = [case(self._shape(chance), first + i, self.bench.root, chance) for i in range(count)]
        tally = self._judge(cases, chance)
        self.bench.clear()
        tally.findings = [self._smallest(finding) if number < smaller else finding for number, finding in enumerate(tally.findings)]
        for finding in tally.findings:
            finding.case = None
        return tally

    def _smallest(self, finding: Finding) -> Finding:
        """The same with one hostile text only, where one is enough."""
        whole = finding.case
        for index in whole.texts if whole else ():
            assert whole
            alone = Case(whole.shape, whole.folder, whole.file, whole.number, {index: whole.texts[index]})
            found = self._judge([alone], random.Random(0)).findings
            self.bench.clear()
            if found:
                return found[0]
        return finding

    def _shape(self, chance: random.Random) -> Shape:
        """A shape by chance: nearly always one with many places."""
        few = [shape for shape in self.shapes if shape.name.startswith("word/")]
        many = [shape for shape in self.shapes if not shape.name.startswith("word/")]
        return chance.choice(few if chance.random() < 0.1 else many)

    def _judge(self, cases: list[Case], chance: random.Random) -> Tally:
        tally = Tally(specs=len(cases))
        before = {path.name for path in self.bench.root.iterdir()}
        written = self._written(cases, chance, tally)
        slow = {one.number for one in written if one.number % 10 == 0}
        seen = self.bench.read(written, lambda one: one.number in slow)
        for one in written:
            tally.readers.update(key.split()[1].split("/")[-1] if key.startswith("run ") else key.split("/")[-1] for key in seen[one.number].data)
            for what in [*seen[one.number].refused, *self._differences(one, seen[one.number])]:
                self._found(what, one, tally)
        for one in cases:
            for index, place in enumerate(one.shape.places):
                if index in one.texts:
                    (tally.refused if index in one.refused else tally.arrived)[f"{one.shape.engine} {place.name}"] += 1
            tally.codes.update(one.refused.values())
        left = {str(path) for path in self.bench.root.rglob("*pwned*") if path.parts[len(self.bench.root.parts)] != "specs"}
        left |= {path.name for path in self.bench.root.iterdir()} - before - {"specs"}
        if left:
            tally.findings.append(Finding(f"something was run or written: {sorted(left)}", "", {}, "\n".join(one.spec for one in cases)))
        return tally

    def _written(self, cases: list[Case], chance: random.Random, tally: Tally) -> list[Case]:
        """The cases whose files are there, after what was refused in them has given way to plain words."""
        pending, done = cases, []
        for _ in range(ROUNDS):
            for one in pending:
                one.write(chance)
            said = self._tried(pending, tally)
            done += [one for one in pending if (self.bench.out / one.name / "manifest.json").exists()]
            pending = [one for one in pending if one not in done and self._refusals(one, said.get(one.number, []), tally)]
            if not pending:
                break
        for one in pending:
            self._found("refused again and again", one, tally)
        return done

    def _tried(self, cases: list[Case], tally: Tally) -> dict[int, list[str]]:
        """What the main job says of each; where it breaks off, which it was is found by halves."""
        try:
            code, said = self._main(cases)
        except Exception:
            if len(cases) > 1:
                half = len(cases) // 2
                return self._tried(cases[:half], tally) | self._tried(cases[half:], tally)
            self._found("a traceback: " + traceback.format_exc(limit=-3), cases[0], tally)
            return {}
        lines: dict[int, list[str]] = {}
        for line in said.split("\n"):
            match = _NUMBER.search(line)
            if match:
                lines.setdefault(int(match[1]), []).append(line)
            if not line.isprintable() or any(word in line for word in OURS) or code not in (0, 1, 4):
                one = next((c for c in cases if match and c.number == int(match[1])), cases[0])
                self._found(f"exit code {code}: {line!r}", one, tally)
        return lines

    def _refusals(self, one: Case, lines: list[str], tally: Tally) -> bool:
        """Mark what was refused; false, with a finding, where that is not the line of a hostile value."""
        start, found = printable(f"{one.path}:"), False
        for line in lines:
            match = _PROBLEM.match(line, len(start)) if line.startswith(start) else None
            index = one.lines.get(int(match[1])) if match else None
            if match and match[3] == "error" and index is not None and index in one.texts and index not in one.refused:
                one.refused[index] = match[4]
                found = True
        if not found:
            self._found(f"refused, not at the place of a value: {lines or self._main([one])}", one, tally)
        return found

    def _found(self, what: str, one: Case, tally: Tally) -> None:
        texts = {one.shape.places[i].name: one.text_of(i) for i in one.texts if i not in one.refused}
        tally.findings.append(Finding(what, one.shape.name, texts, one.spec, one))

    # ---- the files

    def _differences(self, one: Case, seen: Seen) -> list[str]:
        """Where the files are not those of the plain words with the texts put in."""
        model, meant = self.plain[one.shape.name]
        found: list[str] = []
        texts = _Put(model, one, self.bench)
        for key in sorted(meant.data.keys() | seen.data.keys()):
            if key.startswith("parsed"):
                continue
            if key not in meant.data or key not in seen.data:
                found.append(f"{key} is {'not there' if key in meant.data else 'there'}")
            elif key == "PLAN.md":
                found += _pages(meant.data[key], seen.data[key], texts)
            else:
                found += _unlike(meant.data[key], seen.data[key], texts, key)
        return found


class _Put:
    """Puts a case's texts in for the plain words of its model, and its folders for the model's.

    Of a path only the last part is shown where it stands alone or inside a container.
    """

    def __init__(self, model: Case, one: Case, bench: Bench) -> None:
        self.texts = {i: one.text_of(i) for i in range(len(one.shape.places))}
        self.prefixes = [place.prefix if place.prefix[:1] in ("/", ".", "~") else "" for place in one.shape.places]
        pairs = []
        for each in (model, one):
            out = bench.out / each.name
            pairs.append([str(each.folder), os.path.relpath(each.folder, out / "engine"), str(out), f"/gen-deploy/specs/{each.folder.name}/", each.name])
        self.names = dict(zip(*pairs, strict=True))
        self.pattern = re.compile("|".join([*(re.escape(name) for name in self.names), f"((?:^|<code>|/gen-deploy/model/)?){PLAIN.pattern}"]))

    def __call__(self, text: str, spell: Callable[[str], str] = str) -> str:
        def put(match: re.Match[str]) -> str:
            if match[2] is None:
                return spell(self.names[match[0]])
            index = int(match[2])
            prefix, value = self.prefixes[index], self.texts[index]
            alone = match[1] or match.start() == 0
            return match[1] + spell(os.path.normpath(prefix + value).rpartition("/")[2] if prefix and alone else value)

        return self.pattern.sub(put, text)


def _unlike(meant: Any, found: Any, put: _Put, path: str) -> list[str]:
    if isinstance(meant, str):
        wanted = put(meant)
        same = found == wanted or (isinstance(found, str) and "/" in wanted and os.path.normpath(found) == os.path.normpath(wanted))
        return [] if same else [f"{path} is {found!r}, not {wanted!r}"]
    if isinstance(meant, dict) and isinstance(found, dict):
        all_of = {put(str(key)): value for key, value in meant.items()}
        if sorted(all_of) != sorted(map(str, found)):
            return [f"{path} has {sorted(set(map(str, found)) ^ set(all_of))}"]
        return [text for key, value in all_of.items() for text in _unlike(value, found[key], put, f"{path}.{key}")]
    if isinstance(meant, list) and isinstance(found, list) and len(meant) == len(found):
        return [text for i, value in enumerate(meant) for text in _unlike(value, found[i], put, f"{path}[{i}]")]
    return [] if meant == found and type(meant) is type(found) else [f"{path} is {found!r}, not {meant!r}"]


def _pages(meant: dict[str, str], found: dict[str, str], put: _Put) -> list[str]:
    """Sections that differ; other warnings are free, but not their form."""
    heads = [[name for name in page if name != LOOSE] for page in (meant, found)]
    wrong = [] if heads[0] == heads[1] else [f"PLAN.md has the headings {heads[1]}"]
    for name in found:
        wanted = put(meant.get(name, ""), lambda text: html.escape(text).replace("&#x27;", "'"))
        same = without_code if name == WHY else str
        if same(found[name]) == same(wanted):
            if name == WHY and links(found[name]) != links(meant[name]):
                wrong.append(f"PLAN.md, {name!r}: {links(found[name])} outside code")
            continue
        if name != LOOSE:
            at = next((i for i, (a, b) in enumerate(zip(found[name], wanted, strict=False)) if a != b), 0)
            wrong.append(f"PLAN.md, {name!r}: {found[name][max(0, at - 60) : at + 160]!r}, not {wanted[max(0, at - 60) : at + 160]!r}")
        elif odd := odd_form(found[name]):
            wrong.append(f"PLAN.md, {name!r}: {odd!r}")
    return wrong
