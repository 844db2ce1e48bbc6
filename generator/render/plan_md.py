"""`PLAN.md`: the plan for a person. Floor 6, pure. This module prepares the content as plain data; the template defines the layout."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from generator.decide.names import is_loopback
from generator.facts.job import job_json
from generator.plan import Plan, Rejection
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.compose import image_of
from generator.render.launch import OWN, Launch
from generator.render.seal import with_digest
from generator.render.templates import render
from generator.rulebook.book import RuleBook

BAR = 60
"""Width of the memory bar in characters."""

TERMS = (
    ("weights", "weights", "█"), ("kv_cache", "KV cache", "▓"), ("activations", "activations", "▒"), ("cuda_graphs", "CUDA graphs", "░"),
    ("runtime", "runtime buffers", "▚"), ("draft", "draft", "▞"), ("adapters", "adapters", "▘"),
)  # fmt: skip

Data = dict[str, Any]


def plan_md(plan: Plan, data: Data, launches: Sequence[Launch], book: RuleBook, header: str, paths: Sequence[str]) -> Artifact:
    """The page of a plan; `data` is its `kept` form, `paths` are the other generated files."""
    settings = (data["choice"] or {}).get("settings", {})
    first = launches[0] if launches else None
    jobs = {job.folder: job for launch in launches if (job := launch.candidate.job) is not None}
    page = {
        **data,
        "header": header,
        "licence": plan.facts.get("model.licence"),
        "title": first.facts["title"] if first else "",
        "vendor": first.vendor if first else "",
        "gpus": first.gpus if first else 0,
        "bar": bar(data["memory"]),
        "local": bool(first and first.weights.local),
        "download": None if first and first.weights.local else _download(data),
        "terms": {key: label for key, label, _ in TERMS},
        "settings": [[name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)] for name, value in settings.items()],
        "rejected": rejected(plan.rejected),
        "notes": [note for launch in launches for note in notes(launch)],
        "runs": [_run(launch, paths) for launch in launches],
        "jobs": [{**(job_json(job) or {}), "folder": folder} for folder, job in jobs.items()],
        "smoke": "smoke.sh" in paths,
        "sources": book.section("sources"),
    }
    return Artifact("PLAN.md", with_digest(templates.render("PLAN.md.j2", **page)))


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


def rejected(rejections: Iterable[Rejection]) -> list[Data]:
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


def _run(launch: Launch, paths: Sequence[str]) -> Data:
    folder = launch.engine.name
    files = {name: f"{folder}/{name}" for name in ("serve.sh", "compose.yaml", "bench.sh", "eval.sh") if f"{folder}/{name}" in paths}
    return {
        "title": launch.facts["title"], "name": folder, "version": launch.engine.version, "files": files, "url": f"{launch.base_url}/v1",
        "others": [
            [part.format(engine=folder, name=launch.plan.name, port=launch.port) for part in line]
            for target in launch.deploy.get("targets") or () if target not in OWN for line in launch.book.section("platforms")[target]["start"].items()
        ],
        "nodes": launch.nodes, "loopback": is_loopback(launch.host), "model": launch.request_name,
        "image": image_of(launch) if "compose.yaml" in files else None,
    }  # fmt: skip


def notes(launch: Launch) -> list[str]:
    """What to read before running the files of one engine: sentences in Markdown, most severe first, worded in `templates/notes.md.j2`."""
    said = any("expose.api_key" in warning.read for warning in launch.plan.warnings)
    exposed = not is_loopback(launch.host) and not said
    return render("notes.md.j2", launch=launch, exposed=exposed, image=image_of(launch)).splitlines()
