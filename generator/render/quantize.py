"""`quantize/`: the job that produces the weights of a plan: its data, its program, and a script that runs it.

Floor 6, pure. Programs are copied unchanged: all values from a spec are in `job.yaml`, and only there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from posixpath import basename, normpath
from typing import Any

from generator.decide.training import TrainingJob
from generator.errors import fail
from generator.facts.job import WEIGHTS, Job, Needs
from generator.plan import Candidate, Plan
from generator.readers.resources import folder
from generator.record import dataclass
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.script import array, data_file, exported, same_exports
from generator.render.seal import draft, sealed
from generator.render.weights import container_path, host_path
from generator.render.words import Word, bash, comment, expected
from generator.rulebook.book import RuleBook
from generator.sizing.gguf_mixture import pattern, read_overrides
from generator.spec.deployment import is_path
from generator.verify.data import same_words

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


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The input of a job: a repository (`revision` None: its main branch) or a path of the spec.

    `gguf`: the path is a 16-bit GGUF file. `back` leads from the job's folder to the spec's. `sixteen` is the 16-bit type
    of the converted weights, `trusted` whether the spec allows code from the repository, `needs_code` whether
    the model is known to require it, `multimodal` whether the converter writes a separate projector file."""

    name: str
    revision: str | None
    back: str
    gguf: bool = False
    sixteen: str = "bf16"
    trusted: bool = False
    needs_code: bool = False
    multimodal: bool = False

    @property
    def local(self) -> bool:
        """Whether the model is on this machine."""
        return self.gguf or is_path(self.name)


def source_of(plan: Plan, back: str) -> ModelSource:
    """The model of a plan. A bfloat16 model keeps its type: float16 cannot represent all its values."""
    model, deploy = plan.spec["model"], plan.spec.get("deploy") or {}
    return ModelSource(
        name=str(model.get("gguf") or model.get("path") or model["id"]), revision=model.get("revision"), back=back,
        gguf=bool(model.get("gguf")), sixteen="bf16" if plan.facts.get("model.dtype") == "bf16" else "f16",
        trusted=bool(deploy.get("trust_remote_code")), needs_code=bool(plan.facts.get("model.needs_remote_code")),
        multimodal=bool(plan.facts.get("model.multimodal")),
    )  # fmt: skip


def quantize_gguf(job: Job, model: ModelSource, header: str, seal: str, env: Mapping[str, str] | None = None) -> Artifact:
    """The script of a llama.cpp job, or of its part before `ollama create -q`; verified word by word."""
    ollama = job.tool == "ollama"
    sixteen = "f16" if ollama else model.sixteen
    calibration = job.calibration
    file = calibration.file if calibration else None
    imatrix = job.imatrix and not ollama
    names: dict[str, Word] = {
        "model": host_path(model.name, model.back) if model.local else model.name,
        "made_of": f"{model.name}@{model.revision}" if model.revision else model.name,
        "result": basename(job.output),
    }
    if not model.local:
        names["revision"] = model.revision or ""
    if not model.gguf:
        names["title"] = basename(normpath(model.name))
    if not (ollama and model.gguf):
        names["version"] = job.version
    if imatrix:
        names["calibration"] = host_path(file, model.back) if file else ""
        names["dataset"] = (calibration.dataset or "") if calibration and not file else ""
    assigned = "\n".join(f"{name}={bash(value)}" for name, value in names.items())
    chosen = array("tensor_types", [*_tensor_types(job)])
    _check_word(job.scheme)
    text = templates.render(
        "quantize/gguf.sh.j2", header=header, seal=seal, sealed=[], what=comment(f"{job.scheme} weights of {model.name}"), job=job, model=model,
        assigned=assigned, tensor_types=chosen, exports=exported(env or {}), sixteen=sixteen, folder=WEIGHTS, ollama=ollama, imatrix=imatrix,
        start="gguf" if model.gguf else "folder" if model.local else "hub",
    )  # fmt: skip
    same_words(assigned, [f"{name}={expected(value)}" for name, value in names.items()], text)
    same_exports(env or {}, text)
    same_words(chosen, ["tensor_types=(", *_tensor_types(job), ")"], text)
    return Artifact(f"{job.folder}/run.sh", text, executable=True)


def _tensor_types(job: Job) -> list[str]:
    """Options of llama-quantize. `--output-tensor-type` is avoided: it skips the fallback for rows that are not divisible by the block size."""
    found = read_overrides(job.tensor_types, job.tensor_types.values())
    return [word for override in found for word in ("--tensor-type", f"{pattern(override)}={override.type}")]


def _check_word(scheme: str) -> None:
    if not scheme.replace("_", "").isalnum() or not scheme.isascii():
        raise fail("bad-gguf-type", f"{scheme!r} is not a GGUF file type")
