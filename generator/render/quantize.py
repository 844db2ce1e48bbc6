"""`quantize/`: the job that produces the weights of a plan: its data, its program, and a script that runs it.

Floor 6, pure. Programs are copied unchanged: all values from a spec are in `job.yaml`, and only there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from generator.facts.job import Job, Needs
from generator.plan import Candidate, Plan
from generator.readers.resources import folder
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.quantize_gguf import quantize_gguf, source_of
from generator.render.script import data_file, exported, same_exports
from generator.render.seal import draft
from generator.render.weights import container_path
from generator.render.words import comment
from generator.rulebook.book import RuleBook
from generator.spec.deployment import is_path

IGNORED = "weights/\nweights.*\njob-report.json\nsource/\n*.gguf\n*.part.*\njob-env/\n.running\n__pycache__/\n*.log\n"
"""Output of a job, complete or interrupted, is never committed."""
SEED = 42
"""Seed of the choice of calibration texts: any number works; the same number gives the same weights."""


def quantize(job: Job, plan: Plan, book: RuleBook, header: str, back: str) -> tuple[Artifact, ...]:
    """The files of a job; `back` leads from a folder beside an engine's to the folder of the spec."""
    ignored, seal = Artifact(f"{job.folder}/.gitignore", IGNORED), draft(plan.spec)
    tool = book.section("quantizers")[job.tool]
    variables: Mapping[str, str] = (plan.spec.get("deploy") or {}).get("env") or {}
    if "program" not in tool:
        shared = [Artifact(f"{job.folder}/{name}", program(name)) for name in tool.get("common") or ()]
        return quantize_gguf(job, source_of(plan, back), header, seal, variables), *shared, ignored
    recipe = job.recipe
    data = job_data(job, plan, back)
    title = comment(tool["title"])
    return (
        data_file(f"{job.folder}/job.yaml", header, seal, [f"Read by job.py: the task of {title} {job.version}, and the expected result."], data),
        *([data_file(f"{job.folder}/recipe.yaml", header, seal, [f"The recipe in {title}'s own format."], recipe)] if recipe else []),
        Artifact(f"{job.folder}/job.py", program(str(tool["program"]))),
        *(Artifact(f"{job.folder}/{name}", program(name)) for name in tool.get("common") or ()),
        Artifact(f"{job.folder}/requirements.txt", "".join(f"{line}\n" for line in tool["requirements"])),
        run_script(
            job.folder, header, seal, f"Makes {job.method} weights", tool, job.needs, notes=job.notes,
            reads=("job.yaml", "recipe.yaml") if recipe else ("job.yaml",), env=variables, devices=plan.spec["hardware"].get("devices") or (),
        ),
        ignored,
    )


def jobs(plan: Plan, candidates: Sequence[Candidate], book: RuleBook, header: str, back: str) -> list[Artifact]:
    """The files of these candidates' jobs: in `quantize/`, and in `quantize-ENGINE/` if another engine needs its own job."""
    found = [candidate.job for candidate in candidates if candidate.job is not None]
    distinct = list({job.folder: job for job in found}.values())
    return [artifact for job in distinct for artifact in quantize(job, plan, book, header, back)]


def job_data(job: Job, plan: Plan, back: str) -> dict[str, object]:
    """The input of `job.py`. Paths are relative to its folder."""
    model, deploy = plan.spec["model"], plan.spec.get("deploy") or {}
    calibration, source = job.calibration, str(model.get("path") or model["id"])
    return {
        "tool": job.tool,
        "tool_version": job.version,
        "model": {
            "id": beside(source, back) if is_path(source) else source,
            "revision": model.get("revision"),
            "trust_remote_code": bool(deploy.get("trust_remote_code")),
        },
        "dtype": job.dtype,
        "method": job.method,
        "scheme": job.scheme,
        "group_size": job.group_size,
        "desc_act": job.desc_act,
        "ignore": list(job.ignore),
        "output": job.output.removeprefix(f"{job.folder}/"),
        "calibration": calibration
        and {
            "dataset": calibration.dataset, "dataset_config": calibration.dataset_config, "split": calibration.split, "revision": None,
            "file": beside(calibration.file, back) if calibration.file else None, "samples": calibration.samples,
            "column": calibration.column, "tokens": calibration.tokens, "least_share": calibration.least_share, "seed": SEED,
        },
        "pipeline": "calibrated" if calibration else "data-free",
        "expect": {"bytes": job.output_bytes, "tolerance": job.tolerance, "quantization": dict(job.quantization), "quality": dict(job.bounds)},
    }


def beside(path: str, back: str) -> str:
    """A path of the spec, relative to the folder of the job."""
    return path if path.startswith("~/") else str(container_path(path, back))


@lru_cache(16)
def program(name: str) -> str:
    """The text of a shipped program."""
    return (folder("templates") / "quantize" / name).read_text(encoding="utf-8")


def run_script(
    folder: str, header: str, seal: str, what: str, library: Mapping[str, object], needs: Needs, *, reads: Sequence[str] = ("job.yaml",),
    program: str = "job.py", processes: int = 0, notes: Sequence[str] = (), devices: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> Artifact:  # fmt: skip
    """`run.sh` of a job in Python: checks the library's version and the disk, then runs the program.

    `library` has title, version and package; `reads` are its sealed files; `processes` above 1 are started by accelerate, one per GPU, and
    `needs` is per GPU. `devices` are the cards that the spec names, `env` its variables (a mirror of the hub, a proxy)."""
    text = templates.render(
        "quantize/run.sh.j2", header=header, seal=seal, sealed=list(reads), what=comment(what), library=library, needs=needs,
        notes=[comment(note) for note in notes], program=program, processes=processes, devices=",".join(map(str, devices)), exports=exported(env or {}),
    )  # fmt: skip
    same_exports(env or {}, text)
    return Artifact(f"{folder}/run.sh", text, executable=True)
