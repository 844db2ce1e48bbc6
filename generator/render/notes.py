"""Notes to read before running the files of one engine. Floor 6, pure."""

from __future__ import annotations

from collections.abc import Iterator

from generator.decide.names import is_loopback
from generator.render.compose import image_of
from generator.render.launch import Launch
from generator.render.markdown import code
from generator.render.script import takes_key


def notes(launch: Launch) -> Iterator[str]:
    """Sentences in Markdown, most severe first."""
    title, key = launch.facts["title"], launch.deploy.get("api_key_from")
    said = any("expose.api_key" in warning.read for warning in launch.plan.warnings)
    if not is_loopback(launch.host) and not key and not said:
        yield (
            f"{title} listens on {code(launch.host)}, which other machines can reach, and does not require an API key: "
            f"name a variable in {code('deploy.api_key_from')}, or put a proxy in front."
        )
    if key and not takes_key(launch):
        yield f"{title} does not support an API key: {code(key)} is not used. Put an authenticating proxy in front."
    if launch.nodes > 1:
        yield (
            f"{title} runs on {launch.nodes} nodes: start {code(launch.engine.name + '/serve.sh')} on each, with "
            f"{code('HEAD_ADDRESS')} and {code('NODE_RANK')} set. Compose files are written for single nodes only."
        )
    elif "compose" in (launch.deploy.get("targets") or ["compose"]) and image_of(launch) is None:
        yield f"{title} has no container image for {launch.vendor}, so no Compose file is written."
    if launch.request_name != launch.served:
        yield (
            f"{title} {launch.engine.version} does not support a served name: clients request {code(launch.request_name)}, "
            f"not {code(launch.served)}."
        )
    if launch.copies > 1:
        ports = f"{launch.first_port} to {launch.first_port + launch.copies - 1}"
        yield (
            f"The {launch.copies} replicas are servers of their own; nginx passes each request to the one with the fewest. {code('serve.sh')} "
            f"needs nginx on this machine and the ports {ports} free; {code('compose.yaml')} brings it. {code(launch.facts['health'])} at the "
            "common address is answered by one of them."
        )
