"""Notes to read before running the files of one engine. Floor 6, pure."""

from __future__ import annotations

from generator.decide.names import is_loopback
from generator.render import templates
from generator.render.compose import image_of
from generator.render.launch import Launch
from generator.render.script import takes_key


def notes(launch: Launch) -> list[str]:
    """Sentences in Markdown, most severe first."""
    said = any("expose.api_key" in warning.read for warning in launch.plan.warnings)
    exposed = not is_loopback(launch.host) and not launch.deploy.get("api_key_from") and not said
    return templates.render("notes.md.j2", launch=launch, exposed=exposed, takes_key=takes_key(launch), image=image_of(launch)).splitlines()
