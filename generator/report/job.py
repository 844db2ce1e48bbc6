"""A quantization job in a few lines, for a terminal. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterator

from generator.errors import printable
from generator.facts.job import Job, Needs
from generator.quantity import gib


def job_lines(job: Job) -> Iterator[str]:
    """The job's tool, its result, and its resource needs."""
    group = f", groups of {job.group_size}" if job.group_size else ""
    size = f"{gib(job.output_bytes):.2f} GiB, {job.bits_per_weight:.2f} bits per weight"
    yield printable(f"{job.tool} {job.version} makes {job.method} ({job.scheme}{group}): {size}")
    if job.ignore:
        yield printable(f"kept in 16 bits: {', '.join(job.ignore)}")
    if job.tensor_types:
        yield printable(f"individual types: {', '.join(f'{name} {kind}' for name, kind in job.tensor_types.items())}")
    if job.calibration:
        texts = job.calibration.file or job.calibration.dataset or "your own texts"
        yield printable(f"calibrates on {job.calibration.samples} × {job.calibration.tokens} tokens of {texts}")
    yield from needs_lines(job.needs, 1)


def needs_lines(needs: Needs, gpus: int) -> Iterator[str]:
    """The resource needs of a job; all `gpus` need the same."""
    each = f"on each of {gpus} GPUs" if gpus > 1 else "of GPU memory"
    gpu = f"{gib(needs.gpu_memory):.1f} GiB {each}, " if needs.gpu_memory else ""
    time = "time not estimated" if needs.time_class == "unknown" else f"{needs.time_class} on one A100"
    yield f"estimated needs: {gpu}{gib(needs.host_memory):.1f} GiB of host memory, {needs.disk / 1e9:.1f} GB of disk; {time}"
