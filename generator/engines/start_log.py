"""What a start-up log says: figures in GiB and settings, each with the line that it stands on.

Floor 4, pure. Imported by `calibrate` and by the engines' log parsers only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from generator.readers.document import read_yaml
from generator.readers.resources import folder

OFTEN, SELDOM = 1_000, 100
"""Lines that are kept for a word with a figure on its line, and for one that only tells the engine or its version."""


class Line(NamedTuple):
    """A line of a log and its number, counted from 1; progress bars count as lines of their own."""

    number: int
    text: str


class Figure(NamedTuple):
    """A number from a log: GiB (or tokens for `kv_tokens`), and its line, counted from 1."""

    value: float
    line: int


@dataclass
class Logged:
    """One start as logged: the engine, its version, figures by term and settings under the plan's own names.

    Terms are those of the plan: weights, activations, cuda_graphs, runtime, kv_cache, kv_tokens, capacity; `consumed` is weights
    and runtime where a log only says their sum. `date` is that of the first line that has one, `also` the engines that write the
    same lines, `notes` what a reader of the figures has to know."""

    engine: str
    version: str | None = None
    figures: dict[str, Figure] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    date: str | None = None
    notes: list[str] = field(default_factory=list)
    also: tuple[str, ...] = ()

    def most(self, term: str, value: float, line: int) -> None:
        """Keep the largest figure of a term: several ranks log, and the plan is of the fullest GPU."""
        if term not in self.figures or value > self.figures[term].value:
            self.figures[term] = Figure(value, line)

    def least(self, term: str, value: float, line: int) -> None:
        """Keep the smallest: the rank with the least room decides for all."""
        if term not in self.figures or value < self.figures[term].value:
            self.figures[term] = Figure(value, line)

    def read(self, line: Line, log: LogLines) -> None:
        """Keep the figures and settings that a line states, and the first version that one names."""
        for term, keep, pattern in log.figures:
            if found := pattern.search(line.text):
                keep(self, term, gib_of(found[1], found[2] if pattern.groups > 1 else "GiB"), line.number)
        self.take(line.text, log.lists.get("settings", {}))
        if self.version is None and (found := log.patterns["version"].search(line.text)):
            self.version = found[1]

    def take(self, text: str, settings: Mapping[str, re.Pattern[str]]) -> None:
        """Keep the settings that a text states, the last of each; a count is at least 1."""
        for name, pattern in settings.items():
            if found := pattern.search(text):
                value = round(number_of(found[1]), 4)
                self.settings[name] = value if name == "gpu_memory_utilization" else max(1, int(value))


Row = tuple[str, Callable[[Logged, str, float, int], None], re.Pattern[str]]
"""A term, `Logged.most` or `Logged.least`, and the pattern of its number and, where it is printed, its unit."""


class LogLines(NamedTuple):
    """What one engine's log is searched for, as `rules/start_logs.yaml` says.

    One of `words` stands on every line that it looks for; with how many such lines are kept. Only this engine writes lines with one of `own`."""

    words: Mapping[str, int]
    own: Sequence[re.Pattern[str]]
    figures: Sequence[Row]
    patterns: Mapping[str, re.Pattern[str]]
    lists: Mapping[str, Mapping[str, re.Pattern[str]]]

    def mentions(self, lines: Sequence[Line]) -> int:
        """How many lines only this engine writes."""
        return sum(1 for _, line in lines if any(pattern.search(line) for pattern in self.own))


class LogParser(Protocol):
    """What `generator/engines/<engine>/log.py` holds."""

    LOG: LogLines

    def parse(self, lines: Sequence[Line]) -> Logged:
        """One start as these lines say it."""


@lru_cache(1)
def _said() -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = read_yaml(folder("rules") / "start_logs.yaml").data
    return found


def log_lines(engine: str) -> LogLines:
    """What a log of an engine is searched for."""
    said = _said()[engine]

    def compiled(text: str) -> re.Pattern[str]:
        for word, meaning in said.get("short", {}).items():
            text = text.replace(f"<{word}>", meaning)
        return re.compile(text)

    figures = [(one["term"], Logged.least if "keep" in one else Logged.most, compiled(one["pattern"])) for one in said.get("figures", ())]
    lists = {name: {key: compiled(text) for key, text in one.items()} for name, one in said.items() if isinstance(one, Mapping) and name != "short"}
    patterns = lists.pop("patterns")
    groups = {**{name: [pattern] for name, pattern in patterns.items()}, **{name: [*one.values()] for name, one in lists.items()}}
    own = [pattern for name in said["own"] for pattern in (groups[name] if name != "figures" else (row[2] for row in figures))]
    words = {**dict.fromkeys(said["often"], OFTEN), **dict.fromkeys(said.get("seldom", ()), SELDOM)}
    return LogLines(words, own, figures, patterns, lists)


_UNITS = {"b": 2**-30, "kb": 2**-20, "kib": 2**-20, "mb": 2**-10, "mib": 2**-10, "gb": 1.0, "gib": 1.0, "tib": 1024.0}
"""GiB of a unit as engines print it: they write GB and mean GiB."""


def gib_of(number: str, unit: str) -> float:
    """A printed size in GiB; 0 for a unit that is not known or a number that is none."""
    return number_of(number) * _UNITS.get(unit.lower(), 0.0)


def number_of(text: str) -> float:
    """A printed number, thousands apart by commas; 0 for what is none or absurdly long."""
    digits = text.replace(",", "").rstrip(".")
    if len(digits) > 24:
        return 0.0
    try:
        return float(digits)
    except ValueError:
        return 0.0


_DATE = re.compile(r"\b(20\d\d)[-/](\d\d)[-/](\d\d)[T ]\d\d:\d\d")


def date_of(lines: Iterable[Line]) -> str | None:
    """The first full date in a log, as 2026-10-08; vLLM logs month and day only."""
    for line in lines:
        found = _DATE.search(line.text)
        if found:
            return "-".join(found.groups())
    return None
