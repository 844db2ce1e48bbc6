"""The files of a training, distillation or pruning job.

Floor 6, pure. Programs are copied unchanged: all values from a spec are in `job.yaml`, and only there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.decide.training import TrainingJob
from generator.render.artifact import Artifact
from generator.render.quantize import IGNORED, beside, program, run_script
from generator.render.script import data_file
from generator.render.seal import draft, sealed
from generator.render.words import comment
from generator.spec.deployment import is_path


def training_files(job: TrainingJob, header: str, back: str, env: Mapping[str, str] | None = None) -> tuple[Artifact, ...]:
    """The files of a job, in a folder with its name; `back` leads from that folder to the folder of the spec, `env` are the spec's variables."""
    data, seal = placed(job.data, back), draft(job.data)
    notes = [f"Read by {job.entry['program']}. Paths are relative to this folder.", *(comment(note) for note in job.notes)]
    shared = job.gpus > 1 and job.facts["memory"]["kind"] == "training"
    names = [str(job.entry["program"]), *job.entry["common"], *(["fsdp2.yaml"] if shared else [])]
    files = (
        data_file(f"{job.name}/job.yaml", header, seal, notes, data),
        *(Artifact(f"{job.name}/{name}", program(name)) for name in names),
        Artifact(f"{job.name}/requirements.txt", "".join(f"{line}\n" for line in job.facts["requirements"])),
        run_script(
            job.name, header, seal, str(job.entry["title"]), {**job.facts, "title": job.facts["library"]}, job.needs,
            program=str(job.entry["program"]), processes=job.gpus if shared else 0, notes=job.notes, env=env,
        ),
        Artifact(f"{job.name}/.gitignore", IGNORED),
    )  # fmt: skip
    return tuple(sealed(files, seal, header))


def placed(data: Mapping[str, Any], back: str) -> dict[str, object]:
    """job.yaml's data with the spec's paths relative to the job's folder."""
    found = {**data, "data": dict(data["data"])}
    for name in ("model", "teacher"):
        if name in found and is_path(str(found[name]["id"])):
            found[name] = {**found[name], "id": beside(str(found[name]["id"]), back)}
    if found["data"].get("file"):
        found["data"]["file"] = beside(str(found["data"]["file"]), back)
    return found

