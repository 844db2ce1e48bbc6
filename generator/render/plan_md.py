"""`PLAN.md`: the plan for a person. Floor 6, pure. This module prepares the content as plain data; the template defines the layout."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from generator.facts.job import job_json
from generator.plan import Plan, Rejection
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.compose import image_of
from generator.render.launch import Launch
from generator.render.notes import notes
from generator.render.seal import with_digest
from generator.rulebook.book import RuleBook

BAR = 60
"""Width of the memory bar in characters."""

TERMS = (
    ("weights", "weights", "█"), ("kv_cache", "KV cache", "▓"), ("activations", "activations", "▒"), ("cuda_graphs", "CUDA graphs", "░"),
    ("runtime", "runtime buffers", "▚"),
)  # fmt: skip

Data = dict[str, Any]


def plan_md(plan: Plan, data: Data, launches: Sequence[Launch], book: RuleBook, header: str, paths: Sequence[str]) -> Artifact:
    """The page of a plan; `data` is its `kept` form, `paths` are the other generated files."""
    settings = (data["choice"] or {}).get("settings", {})
    text = templates.render(
        "PLAN.md.j2",
        header=header,
        name=plan.name,
        rules=plan.rules_name,
        spec=data["spec"],
        choice=data["choice"],
        licence=plan.facts.get("model.licence"),
        title=launches[0].facts["title"] if launches else "",
        gpus=launches[0].gpus if launches else 0,
        memory=data["memory"],
        bar=bar(data["memory"]),
        download=None if launches and launches[0].weights.local else _download(data),
        vendor=launches[0].vendor if launches else "",
        toolkit=source("nvidia-container-toolkit", book),
        terms=[(key, label) for key, label, _ in TERMS],
        formulas=formulas(data["memory_terms"], book),
        host=data["host_memory"],
        kv=data["kv_cache"],
        speed=data["performance"],
        thumb=rule_of_thumb(data),
        quality=data["quality"],
        settings=[[name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)] for name, value in settings.items()],
        trace=[_row(entry, book) for entry in data["trace"] if entry["because"] and entry["step"] != "reject"],
        alternatives=data["alternatives"],
        rejected=rejected(plan.rejected, book),
        warnings=data["warnings"],
        notes=[note for launch in launches for note in notes(launch)],
        runs=[_run(launch, paths) for launch in launches],
        jobs=_jobs(launches),
        smoke="smoke.sh" in paths,
    )
    return Artifact("PLAN.md", with_digest(text))


def bar(memory: Mapping[str, float] | None) -> Data | None:
    """One GPU's memory as a bar of characters with a legend; truncated at the capacity."""
    if memory is None or not memory["capacity"]:
        return None
    cells, done = "", 0.0
    for key, _, mark in TERMS:
        done += memory[key]
        cells += mark * (min(BAR, round(done / memory["capacity"] * BAR)) - len(cells))
    legend = "  ".join(f"{mark} {label} {memory[key]:.2f}" for key, label, mark in TERMS if memory[key])
    return {"cells": cells + "·" * (BAR - len(cells)), "legend": f"{legend}  · free {memory['capacity'] - memory['total']:.2f}"}


def formulas(found: Sequence[Data], book: RuleBook, depth: int = 0) -> list[Data]:
    """Each term with its formula, inputs and source, followed by its parts."""
    labels = {name: label for name, label, _ in TERMS}
    rows = []
    for term in found:
        inputs = [f"{name} {one['value']:,.12g}" for name, one in term["inputs"].items()]
        label = f"{'· ' * depth}{labels.get(term['term'], term['term'])}"
        row = {"label": label, "gib": f"{term['gib']:.2f}", "formula": term["formula"], "inputs": "; ".join(inputs)}
        rows.append({**row, "source": source(term["source"], book)})
        rows += formulas(term["parts"], book, depth + 1)
    return rows


def _download(data: Data) -> str | None:
    """GiB of weights to download: as looked up, else about what they take in memory; None where they are made, or quantised from others at the start."""
    choice, memory = data["choice"], data["memory"]
    if choice and "download_gib" in choice:
        return f"{choice['download_gib']:.2f}"
    if not choice or not memory or choice["weights"] in ("online", "made", "missing") or "data_parallel" in choice["settings"]:
        return None
    host = data["host_memory"]
    size = memory["weights"] * choice["tensor_parallel"] * choice["pipeline_parallel"] + (host["gib"] if host else 0)
    return f"about {size:.1f}" if size < 10 else f"about {size:,.0f}"


def rule_of_thumb(data: Data) -> Data | None:
    """The rule of thumb beside the detailed figures (both in GB), with their deviation."""
    memory, rule = data["memory"], data["rule_of_thumb"]
    if not memory or not rule or not rule.get("memory_gb"):
        return None
    gpus = data["choice"]["tensor_parallel"] * data["choice"]["pipeline_parallel"]
    used = memory["total"] - memory["kv_cache"] + memory["kv_needed"]
    detailed = used * gpus * (1 << 30) / 1e9
    return {
        "memory_gb": f"{rule['memory_gb']:.1f}",
        "detailed_gb": f"{detailed:.1f}",
        "apart": f"{100 * (rule['memory_gb'] / detailed - 1):+.0f} %" if detailed else "-",
    }


def source(key: str | None, book: RuleBook) -> Data | None:
    """A source for a reader: its title and address."""
    entry = book.source(key)
    if entry is None:
        return None
    return {"title": str(entry.get("title") or key), "url": str(entry.get("url") or "")}


def _row(entry: Data, book: RuleBook) -> Data:
    did = [f"{name} {shown}" for name, shown in _did(entry)]
    return {"step": entry["step"], "row": entry["row"], "did": "; ".join(did), "because": entry["because"], "source": source(entry["source"], book)}


def _did(entry: Data) -> Iterable[tuple[str, str]]:
    for name, value in entry.items():
        if name in ("step", "row", "read", "because", "source"):
            continue
        if isinstance(value, dict):
            yield name, ", ".join(f"{k} = {v}" for k, v in value.items())
        else:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def rejected(rejections: Iterable[Rejection], book: RuleBook) -> list[Data]:
    """The rejections by engine and by one row against each candidate: of several the commonest, so that few lines say all."""
    found = list(rejections)
    counts = Counter(reason.row for rejection in found for reason in rejection.reasons)
    folded: dict[tuple[str, str], Data] = {}
    for rejection in found:
        reason = min(rejection.reasons, key=lambda one: (-counts[one.row], one.row))
        candidate = rejection.candidate
        entry = folded.setdefault(
            (candidate.engine, reason.row), {"engine": candidate.engine, "methods": [], "count": 0, "row": reason.row, "because": reason.because}
        )
        entry["methods"] = sorted({*entry["methods"], candidate.method})
        entry["count"] += 1
    return [folded[key] for key in sorted(folded)]


def _jobs(launches: Sequence[Launch]) -> list[Data]:
    """The distinct quantization jobs."""
    found = {job.folder: job for launch in launches if (job := launch.candidate.job) is not None}
    return [{**(job_json(job) or {}), "folder": folder} for folder, job in found.items()]


def _run(launch: Launch, paths: Sequence[str]) -> Data:
    folder = launch.engine.name
    files = {name: f"{folder}/{name}" for name in ("serve.sh", "compose.yaml", "bench.sh") if f"{folder}/{name}" in paths}
    return {
        "title": launch.facts["title"], "name": folder, "version": launch.engine.version, "files": files, "url": launch.base_url,
        "model": launch.request_name, "image": image_of(launch) if "compose.yaml" in files else None,
    }  # fmt: skip
