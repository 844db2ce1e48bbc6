"""Decisions as one HTML page without network. Here plan data becomes plain values and positions; words and shapes stand in `templates/report/`.
Floor 7, pure. Every value may be hostile: templates in `report/` escape what they are given."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from generator.errors import printable
from generator.quantity import grouped
from generator.readers.resources import folder
from generator.render.templates import render
from generator.report.diff import each_text

Data = dict[str, Any]
PANELS, MEASURES = ("output_tokens_per_second", "tpot_ms", "ttft_ms"), ("loss", "needs", "gpus")
WIDE = 40.0
"""Times that differ by more than this factor are drawn on a logarithmic axis."""
NEIGHBOURS = 3
"""Runners-up, and candidates that came near to fitting, whose memory is drawn below the choice's."""
NO_VALUE, RIGHT = 94.0, 0.8
"""Where candidates without a measure stand in percent of a panel's width, and the share of it that the others have then."""


class Entry(NamedTuple):
    """One spec, read from `file`: `plan --json`, its sweep, all allowed candidates as `alternatives` (with `id`, `gpus` and the `path` there), paths and
    texts of files, why nothing fits or no file can be written; the other side of a comparison, and what changed."""

    file: str
    plan: Data
    sweep: Sequence[Data]
    ranked: Sequence[Data]
    files: Sequence[tuple[str, str]]
    refused: str
    before: Data | None = None
    changes: Sequence[Data] = ()


def page(entries: Sequence[Entry], sources: Mapping[str, Data], compared: Data | None = None, missing: Sequence[str] = ()) -> str:
    """The page as text; `sources` are those of the rules, `compared` describes two sides, `missing` names specs that could not be planned."""
    parts = {name: (folder("templates") / f"report/page.{name}").read_text(encoding="utf-8").strip() for name in ("css", "js")}
    hashes = {name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for name, text in parts.items()}
    engines = sorted({one["engine"] for entry in entries for one in entry.ranked})
    said = each_text({"sources": sources, "compared": compared, "missing": missing, "specs": [entry._asdict() for entry in entries]}, printable)
    for spec, entry in zip(said["specs"], entries, strict=True):
        drawn = {"memory": _memory(spec), "speed": _speed(spec), "candidates": _candidates(spec["ranked"], engines)}
        spec |= {"files": entry.files, **drawn}  # files are copied as they are
    return render("report/page.html.j2", engines=engines, parts=parts, hashes=hashes, **said)


def _axis(values: Iterable[float], log: bool = False) -> tuple[Callable[[float], float], list[Data]]:
    """A scale that holds values: the position of each in percent, and its ticks; from 0 or below, or between 1, 2 and 5 of the powers of ten."""
    found = list(values) or [1.0]
    if log:
        powers = range(math.floor(math.log10(min(found))), math.ceil(math.log10(max(found))) + 1)
        marks = [m * 10.0**power for power in powers for m in (1, 2, 5)]
        low, high = max(m for m in marks if m <= min(found)), min(m for m in marks if m >= max(found))
        shown = [m for m in marks if low <= m <= high and (len(powers) < 4 or f"{m:e}"[0] == "1")]
    else:
        span = max(*found, 0.0) - min(*found, 0.0) or 1.0
        power = 10.0 ** math.floor(math.log10(span / 5))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if span <= 5.000005 * m * power)
        shown = [step * n for n in range(math.floor(min(*found, 0.0) / step), max(1, math.ceil(max(found) / step - 1e-9)) + 1)]
        low, high = shown[0], shown[-1]

    def at(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
        return round(100 * min(1.0, max(0.0, share)), 2)

    return at, [{"at": at(value), "value": float(f"{value:.6g}")} for value in shown]


def _needs(memory: Mapping[str, float]) -> float:
    """GiB that the workload needs of a GPU: everything but the cache that it does not fill."""
    return round(memory["total"] - memory["kv_cache"] + memory["kv_needed"], 3)


def _memory(spec: Data) -> Data:
    """The memory of one GPU as bars: the choice on each side, the best of other engines and methods, and what came near to fitting."""
    bars = [{"kind": kind, "path": "", "one": plan["choice"], "of": plan} for kind, plan in _sides(spec, "plan") if plan["choice"]]
    for kind in ("alternatives", "rejected"):
        sized = [(place, one) for place, one in enumerate(spec["plan"][kind]) if one["memory"]]
        firsts = [same[0] for same in grouped(sized, lambda pair: (pair[1]["engine"], pair[1]["quantization"]))]
        bars += [{"kind": kind, "path": f"{kind}.{place}.", "one": one, "of": one} for place, one in firsts[:NEIGHBOURS]]
    for bar in bars:
        bar["needs"] = _needs(bar["of"]["memory"])
    ticks = _axis(size for bar in bars for size in (bar["of"]["memory"]["capacity"], bar["of"]["memory"]["total"], bar["needs"]))[1]
    return {"ticks": ticks, "percent": 100 / ticks[-1]["value"], "bars": bars}


def _sides(spec: Data, key: str) -> list[tuple[str, Any]]:
    return [(name, side[key]) for name, side in (("now", spec), ("before", spec["before"])) if side and side[key]]


def _speed(spec: Data) -> Data:
    """The curves of both sides in panels above one axis of concurrency."""
    curves, panels = _sides(spec, "sweep") if spec["sweep"] else [], list[Data]()
    across = [math.log(point["concurrency"]) for _, curve in curves for point in curve]

    def x(point: Data) -> float:
        return round(2 + 96 * (math.log(point["concurrency"]) - min(across)) / (max(across) - min(across) or 1.0), 2)

    for key in PANELS:
        known = [(name, [(x(p), p[key], *(p["error_band"][key] or (p[key],) * 2)) for p in curve if p[key]]) for name, curve in curves]
        if values := [value for _, curve in known for point in curve for value in point[1:]]:
            goal = spec["plan"]["spec"]["workload"].get(key)
            y, ticks = _axis([*values, goal or values[0]], key.endswith("_ms") and max(values) > WIDE * min(values))
            lines = [(name, [[(one[0], 100 - y(one[n])) for one in curve] for n in (1, 2, 3)]) for name, curve in known]
            drawn = [{"name": name, "line": line, "band": low + high[::-1]} for name, (line, low, high) in reversed(lines)]
            dots = [100 - y(point[key] or values[0]) for point in spec["sweep"]]
            panels.append({"key": key, "ticks": ticks, "goal": goal, "goal_at": y(goal or values[0]), "curves": drawn, "dots": dots})
    return {"panels": panels, "points": [{**point, "at": x(point)} for point in spec["sweep"]]}


def _candidates(ranked: Sequence[Data], engines: Sequence[str]) -> Data:
    """Every candidate that the rules allow, with its place in each panel; `beaten`: another is no worse in anything drawn, and better in one."""
    rows, panels = [{**one, "mark": engines.index(one["engine"]), "needs": one["memory"] and _needs(one["memory"])} for one in ranked], list[Data]()
    for row in rows:
        row |= {"speed": row["performance"]["output_tokens_per_second"], "loss": row["quality"]["loss_percent"]["value"]}
    scores = [(row["speed"] or 0.0, *(-math.inf if row[key] is None else -row[key] for key in MEASURES)) for row in rows]
    for row, mine in zip(rows, scores, strict=True):
        row["beaten"] = any(its != mine and all(a >= b for a, b in zip(its, mine, strict=True)) for its in scores)
    y, levels = _axis(row["speed"] or 0.0 for row in rows)
    for key in MEASURES:
        values = [row[key] for row in rows if row[key] is not None]
        x, ticks = _axis([*values, max(values, default=0.0) + (key == "gpus")])
        share = 1.0 if len(values) == len(rows) else RIGHT
        places = [NO_VALUE if row[key] is None else share * x(row[key]) for row in rows]
        dots = [{"n": n, "kind": (row["mark"], row["beaten"]), "x": places[n], "y": 100 - y(row["speed"])} for n, row in enumerate(rows) if row["speed"]]
        panels.append({"key": key, "ticks": [{**tick, "at": share * tick["at"]} for tick in ticks], "dots": dots[::-1], "unknown": share < 1.0})
    return {"rows": rows, "y": levels, "panels": panels}
