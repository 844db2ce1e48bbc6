"""What a job is: the tool that makes a checkpoint, how, and what that takes.

Floor 3, pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from generator.quantity import gib

FOLDER = "quantize"
"""The folder of a job's files, beside those of the engines."""
WEIGHTS = "weights"
"""The folder in it that holds what the job made."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a job takes, in bytes; `time_class` is of one A100.

    `gpu_memory` is 0 where it runs on the CPU; of a job that trains it is what each GPU holds, else that of all together.
    `disk` holds what is downloaded, what lies there in between, and the result.
    """

    gpu_memory: int
    host_memory: int
    disk: int
    time_class: str = "unknown"
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Texts that a method looks at: a dataset of a hub with its split, or a `file` of the spec; `samples` of `tokens` tokens."""

    samples: int
    tokens: int
    dataset: str | None = None
    split: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job: `tool` at `version` makes `method` by its `scheme`.

    `ignore` are the modules that stay in 16 bits, in the tool's words; `tensor_types` (GGUF) tensors that get a type of
    their own. `output_bytes` is the predicted size of the result on disk, `bits_per_weight` of all its parameters;
    `quantization` what its config.json will say; a result whose size is off by more than `tolerance` of it is not what was
    planned. `dtype` is the 16-bit type of what stays wide. `output` is where the result lies, relative to the folder of the spec's
    files (`quantize/…`).
    """

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
    """The job in a folder of its own, `quantize-ENGINE`: another engine of the plan needs another one."""
    return replace(job, output=f"{FOLDER}-{engine}/{job.output.partition('/')[2]}")


def needs_json(needs: Needs) -> dict[str, object]:
    """What a job takes, as plain data: GiB, and decimal GB for the disk."""
    return {
        "gpu_memory_gib": round(gib(needs.gpu_memory), 2),
        "host_memory_gib": round(gib(needs.host_memory), 2),
        "disk_gb": round(needs.disk / 1e9, 1),
        "time_class": needs.time_class,
    }


def job_json(job: Job | None) -> dict[str, object] | None:
    """The object `quantize` of `plan --json`; GiB, and decimal GB for the disk."""
    if job is None:
        return None
    calibration = job.calibration
    return {
        "tool": job.tool,
        "version": job.version,
        "method": job.method,
        "scheme": job.scheme,
        "group_size": job.group_size,
        "ignore": list(job.ignore),
        "tensor_types": dict(job.tensor_types),
        "imatrix": job.imatrix,
        "calibration": calibration
        and {
            "dataset": calibration.dataset,
            "split": calibration.split,
            "file": calibration.file,
            "samples": calibration.samples,
            "tokens": calibration.tokens,
        },
        "needs": needs_json(job.needs),
        "output": job.output,
        "output_size_gib": round(gib(job.output_bytes), 3),
        "bits_per_weight": round(job.bits_per_weight, 3),
        "source": job.source,
    }
