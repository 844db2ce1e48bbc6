"""Units of systemd: a service for the engine on this machine, and Quadlet's container for Podman. Floor 6, pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from generator.errors import internal
from generator.platforms import OWN_FILES, Data, Facts, served
from generator.render.launch import Launch
from generator.render.script import host_env
from generator.render.words import Beside, Ref, Word, unit_words


def values(launch: Launch, facts: Facts) -> Data:
    """The words of the command and the variables, those that are secrets apart; of a container also its mounts and its health check."""
    if facts["runs"] == "image":
        server, create = served(launch)
        visible = [*range(launch.gpus)] if launch.gpus < launch.gpus_per_node else ["all"]
        found: Data = {
            **server, "create": create, "own_files": OWN_FILES,
            "words": [*server.get("entrypoint", ())[1:], *server["command"]], "cards": sorted(launch.devices) or visible,
            "health": json.dumps(server["healthcheck"]["test"][1:]), "dollars": True,
        }  # fmt: skip
    else:
        environment = {**host_env(launch), **({launch.visible[0]: launch.visible[1]} if launch.visible else {})}
        words: list[Word] = [f"/etc/{launch.plan.name}/{w.path}" if isinstance(w, Beside) else w for w in (*launch.program(), *launch.words())]
        found = {"words": words, "environment": environment, "dollars": False}
    env: dict[str, Word | None] = found["environment"]
    found["variables"] = [f"{name}={value}" for name, value in env.items() if isinstance(value, str)]
    found["secrets"] = {name: value.name for name, value in env.items() if isinstance(value, Ref)}
    return found


def check(launch: Launch, facts: Facts, values: Data, texts: Mapping[str, str]) -> None:
    """The command and the variables, read as systemd reads them."""
    lines = [line for text in texts.values() for line in text.splitlines()]
    read = [unit_words(line.partition("=")[2], values["dollars"]) for line in lines if line.startswith('Environment="')]
    command = [unit_words(line.partition('"')[1] + line.partition('"')[2]) for line in lines if line.startswith(("Exec=", "ExecStart="))]
    meant = [[one] for one in values["variables"]]
    words = [f"${{{word.name}}}{word.suffix}" if isinstance(word, Ref) else word for word in values["words"]]
    if [one for one in read if one in meant] != meant or command not in ([], [words]):
        raise internal("not-as-meant", "a unit does not parse to the intended words")
