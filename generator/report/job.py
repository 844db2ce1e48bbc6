"""A job in a few lines, for a terminal.

Floor 7, pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from generator.errors import printable
from generator.facts.job import Job, Needs
from generator.quantity import gib


def job_lines(job: Job) -> Iterator[str]:
    """What the job does, what it makes, and what that takes."""
    group = f", groups of {job.group_size}" if job.group_size else ""
    size = f"{gib(job.output_bytes):.2f} GiB, {job.bits_per_weight:.2f} bits per weight"
    yield printable(f"{job.tool} {job.version} makes {job.method} ({job.scheme}{group}): {size}")
    if job.ignore:
        yield printable(f"stays in 16 bits: {', '.join(job.ignore)}")
    if job.tensor_types:
        yield printable(f"types of their own: {', '.join(f'{name} {kind}' for name, kind in job.tensor_types.items())}")
    if job.calibration:
        texts = job.calibration.file or job.calibration.dataset or "texts that you name"
        yield printable(f"looks at {job.calibration.samples} × {job.calibration.tokens} tokens of {texts}")
    yield from needs_lines(job.needs, 1)


def needs_lines(needs: Needs, gpus: int) -> Iterator[str]:
    """What a job takes; `gpus` that take the same each."""
    each = f"on each of {gpus} GPUs" if gpus > 1 else "of GPU memory"
    gpu = f"{gib(needs.gpu_memory):.1f} GiB {each}, " if needs.gpu_memory else ""
    time = "time not estimated" if needs.time_class == "unknown" else f"{needs.time_class} on one A100"
    yield f"needs, by estimate: {gpu}{gib(needs.host_memory):.1f} GiB of host memory, {needs.disk / 1e9:.1f} GB of disk; {time}"
