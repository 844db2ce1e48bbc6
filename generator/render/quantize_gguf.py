"""`quantize/run.sh` of a GGUF job: download, convert, importance matrix, quantize, check.

Floor 6, pure. All values from a spec are assignments at the top of the script, quoted and verified; the rest of the script is constant."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import basename, normpath

from generator.errors import fail
from generator.facts.job import WEIGHTS, Job
from generator.plan import Plan
from generator.record import dataclass
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.script import array, exported, same_exports
from generator.render.weights import host_path
from generator.render.words import Word, bash, comment, expected
from generator.sizing.gguf_overrides import pattern, read_overrides
from generator.spec.deployment import is_path
from generator.verify.data import same_words


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
