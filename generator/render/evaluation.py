"""`eval.sh`: measures what quantized weights lost against the 16-bit model, on the server that runs.

Floor 6, pure. The program is `templates/eval.py`, unchanged; every value of a spec is in one JSON argument. Tasks by profile: `rules/evaluation.json`."""

from __future__ import annotations

import json

from generator.readers.resources import folder, shipped
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.bench import sequences
from generator.render.launch import Launch
from generator.render.script import exported, same_exports, summary
from generator.render.words import Word, bash, expected
from generator.verify.data import same_json, same_words

SIXTEEN = 16


def evaluation(launch: Launch, header: str) -> Artifact | None:
    """The script of one candidate, verified by parsing its words again; None for weights in 16 bits, which lost nothing, and for other tasks."""
    candidate, spec, said = launch.candidate, launch.plan.spec, shipped("evaluation.json")
    if candidate.task != "generate" or candidate.bits >= SIXTEEN:
        return None
    local = launch.weights.host if launch.weights.local else ""
    gguf = candidate.gguf_file is not None or launch.weights.name.lower().endswith(".gguf")
    profile = spec["workload"]["profile"]
    data = {
        "of": {
            "model": spec["model"]["id"], "revision": spec["model"].get("revision"), "checkpoint": launch.weights.name, "method": candidate.method,
            "engine": candidate.engine, "engine_version": candidate.engine_version,
        },
        "profile": profile, "tasks": {name: said["tasks"][name] for name in said["profiles"][profile]}, "base_url": launch.base_url, "gguf": "",
        "request_name": launch.request_name, "max_model_len": candidate.max_model_len, "concurrency": min(sequences(launch), said["concurrency"]),
        **{key: said[key] for key in ("minutes", "limit", "harness")},
    }  # fmt: skip
    settings = json.dumps(data)
    assigned, file = f"settings={bash(settings)}", f"gguf={bash(local)}"
    env: dict[str, Word] = {**launch.hub.get("env", {}), **(launch.deploy.get("env") or {})}  # the tasks fetch their data from the hub
    text = templates.render(
        "eval.sh.j2", header=header, what=summary(launch), launch=launch, sealed=[], exports=exported(env), tasks=list(data["tasks"]),
        key=bash(launch.client_key) if launch.client_key else "", settings=assigned, file=file, gguf=gguf, **{key: said[key] for key in ("minutes", "harness")},
        text=_shipped("quantize/held_back.txt"), program=_shipped("eval.py"),
    )  # fmt: skip
    same_exports(env, text)
    same_json(settings, data, "the settings of eval.sh")
    same_words(assigned, [f"settings={settings}"], text)
    if gguf:
        same_words(file, [f"gguf={expected(local)}"], text)
    return Artifact(f"{launch.engine.name}/eval.sh", text, executable=True)


def _shipped(name: str) -> str:
    return (folder("templates") / name).read_text(encoding="utf-8").rstrip("\n")
