"""Several copies of a model behind one address: nginx in front of servers of their own, where the engine's own data parallelism
makes no whole copies (`copies` of an engine's facts).

Floor 6, pure."""

from __future__ import annotations

from typing import Any

from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.launch import CONFIG_INSIDE, LOOPBACK, Launch

Data = dict[str, Any]
SCRIPT, COMPOSE = "nginx.conf", "nginx.compose.conf"
"""What nginx reads on this machine, and in its container."""
SERVICE = "nginx"


def balancer(launch: Launch, header: str, inside: bool) -> Artifact | None:
    """The configuration of nginx on this machine or in a container; None for one server."""
    if launch.copies == 1:
        return None
    port = launch.facts["container"]["port"]
    host = f"[{launch.host}]" if ":" in launch.host else launch.host
    text = templates.render(
        "nginx.conf.j2",
        header=header,
        seal=launch.seal,
        facts=launch.facts["copies"]["balancer"],
        listen=port if inside else f"{host}:{launch.port}",
        servers=[f"{name}:{port}" for name in _names(launch)] if inside else [f"{LOOPBACK}:{launch.first_port + i}" for i in range(launch.copies)],
    )
    return Artifact(f"{launch.engine.name}/{COMPOSE if inside else SCRIPT}", text)


def of_compose(launch: Launch, server: Data, ports: list[str]) -> Data:
    """A service for each copy, all like the first but for their GPUs, and one for nginx, which has the published ports."""
    names, variable = _names(launch), str(launch.variable)
    given = str(server["environment"].get(variable) or "").split(",")
    all_gpus = given if len(given) >= launch.gpus else [str(i) for i in range(launch.gpus)]
    size = launch.server_gpus
    own = [{variable: ",".join(all_gpus[i * size : (i + 1) * size])} for i in range(launch.copies)]
    services: Data = {names[0]: {**server, "environment": {**server["environment"], **own[0]}}}
    services |= {name: {"extends": {"service": names[0]}, "environment": gpus} for name, gpus in zip(names[1:], own[1:], strict=True)}
    services[SERVICE] = {
        "image": launch.facts["copies"]["balancer"]["image"],
        "entrypoint": ["nginx"],
        "command": ["-e", "stderr", "-p", "/tmp", "-c", f"{CONFIG_INSIDE}/{COMPOSE}"],
        "env_file": server["env_file"],
        "ports": ports,
        "volumes": [mounted(COMPOSE, f"{CONFIG_INSIDE}/{COMPOSE}")],
        "depends_on": {name: {"condition": "service_healthy", "restart": True} for name in names},
        "restart": server["restart"],
    }
    return services


def mounted(name: str, target: str) -> Data:
    """A file of this folder in a container."""
    return {"type": "bind", "source": f"./{name}", "target": target, "read_only": True}


def _names(launch: Launch) -> list[str]:
    return [f"{launch.engine.name}-{i + 1}" for i in range(launch.copies)]
