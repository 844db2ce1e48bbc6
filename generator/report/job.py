"""A quantization job in a few lines, for a terminal; the wording is in `templates/job.j2`. Floor 7, pure."""

from __future__ import annotations

from generator.errors import printable
from generator.facts.job import Job, Needs


def job_lines(job: Job) -> list[str]:
    """The job's tool, its result, and its resource needs."""
    return needs_lines(job.needs, 1, job)


def needs_lines(needs: Needs, gpus: int, job: Job | None = None) -> list[str]:
    """The resource needs of a job; all `gpus` need the same."""
    from generator.render.templates import render  # imported lazily: few plans have a job

    return printable(render("job.j2", job=job, needs=needs, gpus=gpus)).splitlines()
