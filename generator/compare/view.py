"""The comparable form of a plan: plain data, identical for a new decision and for a stored `plan.json`. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.compare.model import DECISIVE, LEVELS, Move
from generator.plan import Plan
from generator.render.plan_file import kept

View = Mapping[str, Any]

LAYOUT = ("tensor_parallel", "pipeline_parallel", "replicas")
METHOD = ("quantization", "checkpoint", "gguf_file", "bits", "group_size", "weights", "revision")
ENGINE = ("engine", "engine_version", "back_end")
FIGURES = ("memory", "kv_cache", "performance", "quality")


def view(plan: Plan) -> View:
    """The comparable form of a plan."""
    return view_of_json(kept(plan))


def view_of_json(data: View) -> View:
    """The comparable form of a `plan.json`, of this or an older version of the tool."""
    choice = data.get("choice")
    return {
        "choice": choice,
        "gpu": ((data.get("spec") or {}).get("hardware") or {}).get("gpu"),
        **{name: data.get(name) for name in (*FIGURES, "rule_of_thumb") if choice},
        "alternatives": [_alternative(entry) for entry in data.get("alternatives") or []],
        "rejected": data.get("rejected") or {},
        "warnings": data.get("warnings") or [],
        "trace": data.get("trace") or [],
    }


def _alternative(entry: View) -> str:
    return f"{words(entry)} · context {entry.get('max_model_len')} × {entry.get('max_num_seqs')}"


def level(old: View | None, new: View | None) -> str | None:
    """The level of difference between two plans of a spec, one of `LEVELS`; None: no difference. A missing plan means that nothing fits."""
    one, other = (old or {}).get("choice"), (new or {}).get("choice")
    if not one or not other:
        if one:
            return "no-longer-fits"
        if other:
            return "now-fits"
    else:
        moved = {move.key.split(".")[0] for move in moves(one, other)}
        for name, keys in (("engine", ENGINE), ("method", METHOD), ("gpus", LAYOUT)):
            if moved & set(keys):
                return name
        if moved:
            return "settings"
    old, new = old or {}, new or {}
    if any(old.get(name) != new.get(name) for name in FIGURES):
        return "figures"
    if _ids(old) != _ids(new):
        return "warnings"
    return "wording" if dict(old) != dict(new) else None


def _ids(one: View) -> list[str]:
    return [warning.get("id") for warning in one.get("warnings") or []]


def decisive(name: str | None) -> bool:
    """Whether a level concerns decisions or settings."""
    return name is not None and LEVELS.index(name) <= DECISIVE


def moves(old: View, new: View) -> list[Move]:
    """The changed values of a choice, engine and method first; settings that only repeat such a value are left out.

    The back end is none where an older version of the tool did not say it."""
    keys = [key for key in dict.fromkeys([*old, *new]) if key != "settings" and (key != "back_end" or key in old)]
    plain = [Move(key, old.get(key), new.get(key)) for key in keys]
    found = [move for move in plain if move.old != move.new]
    one, other = old.get("settings") or {}, new.get("settings") or {}
    told = {(move.key, str(move.new)) for move in found}
    for key in dict.fromkeys([*one, *other]):
        if one.get(key) != other.get(key) and (key, str(other.get(key))) not in told:
            found.append(Move(f"settings.{key}", one.get(key), other.get(key)))
    return found


def other_moves(old: View, new: View) -> list[Move]:
    """For plans of the same decision: changed figures, warnings, runners-up and reasons."""
    found = [Move(f"memory.{k}", a, b) for k, a, b in pairs(old.get("memory"), new.get("memory")) if a != b]
    gone, come = set(_ids(old)) - set(_ids(new)), set(_ids(new)) - set(_ids(old))
    found += [*(Move("warning", name, None) for name in sorted(gone)), *(Move("warning", None, name) for name in sorted(come))]
    one, other = old.get("alternatives") or [], new.get("alternatives") or []
    found += [Move("runner-up", name, None) for name in one if name not in other]
    found += [Move("runner-up", None, name) for name in other if name not in one]
    found += [Move("runners-up", "their order", "another")] if one != other and sorted(one) == sorted(other) else []
    return [*found, *(Move(f"rejected.{row}", a or 0, b or 0) for row, a, b in pairs(old.get("rejected"), new.get("rejected")) if a != b)]


def pairs(one: Mapping[str, object] | None, other: Mapping[str, object] | None) -> list[tuple[str, object, object]]:
    """The values of two mappings by key, None where one lacks it."""
    return [(key, (one or {}).get(key), (other or {}).get(key)) for key in dict.fromkeys([*(one or {}), *(other or {})])]


def words(choice: View | None) -> str | None:
    """A short description of a choice: engine and version, method, parallelism."""
    if not choice:
        return None
    parts = [f"{choice.get('engine')} {choice.get('engine_version')}", str(choice.get("quantization")), f"tp {choice.get('tensor_parallel')}"]
    if choice.get("pipeline_parallel", 1) > 1:
        parts.append(f"pp {choice['pipeline_parallel']}")
    if choice.get("replicas", 1) > 1:
        parts.append(f"{choice['replicas']} replicas")
    return " · ".join(parts)
