"""Data of a quantization job: tool, method, settings, output and resource needs. Floor 3, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from generator.quantity import gib
from generator.record import dataclass

FOLDER = "quantize"
"""The folder of a job's files, beside those of the engines."""
WEIGHTS = "weights"
"""The output folder inside it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The resource needs of a job, in bytes; `time_class` is for one A100. `gpu_memory` is 0 for CPU jobs, per GPU for training jobs, else
    the total of all GPUs. `disk` is the sum of download, intermediate files and result."""

    gpu_memory: int
    host_memory: int
    disk: int
    time_class: str = "unknown"
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration texts: a hub dataset with its split, or a `file` of the spec; `samples` of `tokens` tokens."""

    samples: int
    tokens: int
    dataset: str | None = None
    split: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job: `tool` at `version` quantizes to `method` with its `scheme`.

    `ignore` are the modules kept in 16 bits, in the tool's names; `tensor_types` (GGUF) tensors with an individual type. `output_bytes` is
    the predicted size of the result on disk, `bits_per_weight` the average over all parameters; `quantization` the expected config.json
    section; a result whose size deviates by more than `tolerance` is not as planned. `dtype` is the 16-bit type of unquantized parts.
    `output` is the path of the result, relative to the folder of the spec's files (`quantize/…`)."""

    tool: str
    version: str
    method: str
    scheme: str
    output: str
    output_bytes: int
    bits_per_weight: float
    needs: Needs
    dtype: str
    tolerance: float
    group_size: int | None = None
    desc_act: bool | None = None
    ignore: tuple[str, ...] = ()
    tensor_types: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None
    imatrix: bool = False
    quantization: Mapping[str, object] = field(default_factory=dict)
    source: str | None = None

    @property
    def folder(self) -> str:
        """The folder of the job's files."""
        return self.output.partition("/")[0]


def moved(job: Job, engine: str) -> Job:
    """The job in its own folder `quantize-ENGINE`, if another engine of the plan needs a different job."""
    return replace(job, output=f"{FOLDER}-{engine}/{job.output.partition('/')[2]}")


def needs_json(needs: Needs) -> dict[str, object]:
    """The resource needs of a job as plain data: GiB, and decimal GB for the disk."""
    return {
        "gpu_memory_gib": round(gib(needs.gpu_memory), 2), "host_memory_gib": round(gib(needs.host_memory), 2),
        "disk_gb": round(needs.disk / 1e9, 1), "time_class": needs.time_class,
    }  # fmt: skip


_SAID = ("tool", "version", "method", "scheme", "group_size", "ignore", "tensor_types", "imatrix")


def job_json(job: Job | None) -> dict[str, object] | None:
    """The object `quantize` of `plan --json`; GiB, and decimal GB for the disk."""
    if job is None:
        return None
    texts = job.calibration and {name: getattr(job.calibration, name) for name in ("dataset", "split", "file", "samples", "tokens")}
    found = {name: getattr(job, name) for name in _SAID} | {"ignore": list(job.ignore), "tensor_types": dict(job.tensor_types)}
    return found | {
        "calibration": texts, "needs": needs_json(job.needs), "output": job.output, "output_size_gib": round(gib(job.output_bytes), 3),
        "bits_per_weight": round(job.bits_per_weight, 3), "source": job.source,
    }  # fmt: skip
