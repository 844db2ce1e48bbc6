"""Notes to read before running the files of one engine; their wording is in `templates/notes.md.j2`. Floor 6, pure."""

from __future__ import annotations

from generator.decide.names import is_loopback
from generator.render.compose import image_of
from generator.render.launch import Launch
from generator.render.templates import render


def notes(launch: Launch) -> list[str]:
    """Sentences in Markdown, most severe first."""
    said = any("expose.api_key" in warning.read for warning in launch.plan.warnings)
    exposed = not is_loopback(launch.host) and not said
    return render("notes.md.j2", launch=launch, exposed=exposed, image=image_of(launch)).splitlines()
