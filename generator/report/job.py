"""A quantization job in a few lines, for a terminal; the wording is in `templates/job.j2`. Floor 7, pure."""

from __future__ import annotations

from generator.errors import printable
from generator.facts.job import Job, Needs
from generator.render.templates import render


def job_lines(job: Job) -> list[str]:
    """The job's tool, its result, and its resource needs."""
    return printable(render("job.j2", job=job, needs=job.needs, gpus=1)).splitlines()


def needs_lines(needs: Needs, gpus: int) -> list[str]:
    """The resource needs of a job; all `gpus` need the same."""
    return printable(render("job.j2", job=None, needs=needs, gpus=gpus)).splitlines()
