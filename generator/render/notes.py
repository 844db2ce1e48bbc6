"""What a reader must know before running the files of one engine.

Floor 6, pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from generator.render.compose import image_of
from generator.render.launch import Launch
from generator.render.markdown import code
from generator.render.script import takes_key


def notes(launch: Launch) -> Iterator[str]:
    """Sentences in Markdown, the gravest first."""
    title, key = launch.facts["title"], launch.deploy.get("api_key_from")
    said = any("expose.api_key" in warning.read for warning in launch.plan.warnings)
    if not launch.loopback and not key and not said:
        yield (
            f"{title} listens on {code(launch.host)}, which other machines can reach, and asks for no API key: "
            f"name a variable in {code('deploy.api_key_from')}, or put a proxy in front."
        )
    if key and not takes_key(launch):
        yield f"{title} has no API key of its own: {code(key)} is not used. Put a proxy in front that asks for it."
    if launch.nodes > 1:
        yield (
            f"{title} runs on {launch.nodes} nodes: start {code(launch.folder + '/serve.sh')} on each, with "
            f"{code('HEAD_ADDRESS')} and {code('NODE_RANK')} set. No Compose file is written for several nodes."
        )
    elif "compose" in (launch.deploy.get("targets") or ["compose"]) and image_of(launch) is None:
        yield f"There is no image of {title} for {launch.vendor}: no Compose file is written."
    if launch.request_name != launch.served:
        yield (
            f"{title} {launch.engine.version} cannot be given a name: clients ask for {code(launch.request_name)}, "
            f"not for {code(launch.served)}."
        )
    copies = launch.candidate.replicas
    if copies > 1 and "data_parallel" not in launch.candidate.settings:
        yield f"{copies} copies of the model are planned, the files start one: give the others their GPUs and ports."
