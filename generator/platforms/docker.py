"""`docker.sh`: one `docker run`, as an argv. Floor 6, pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from generator.errors import internal
from generator.platforms import Data, Facts, served
from generator.render.launch import Launch
from generator.render.script import exported, same_exports
from generator.render.words import Beside, Home, Ref, Word, expected


def values(launch: Launch, facts: Facts) -> Data:
    """The server, what creates its model, the mounts of both, and the variables that reach the container by name."""
    server, create = served(launch)
    mounts = [{**one, "source": _source(launch, one)} for one in server["mounts"]]
    passed = {name: value for name, value in server["environment"].items() if isinstance(value, Ref)}
    return {"server": server, "create": create, "mounts": mounts, "passed": passed, "exports": exported(passed)}


def check(launch: Launch, facts: Facts, values: Data, texts: Mapping[str, str]) -> None:
    """The words behind the image and the exported variables, split again."""
    (text,) = texts.values()
    server, read = values["server"], shlex.split(text.split("\nargs=(\n")[1].split("\n)\n")[0])
    meant = [*server.get("entrypoint", ())[1:], *map(expected, server["command"])]
    literal = [f"{name}={value}" for name, value in server["environment"].items() if isinstance(value, str)]
    if read[len(read) - len(meant) - 1 :] != [server["image"], *meant] or not {*literal} <= {*read}:
        raise internal("not-as-meant", "docker.sh does not parse to the intended words")
    same_exports(values["passed"], text)


def _source(launch: Launch, mount: Data) -> Word:
    """The source of a mount, for a field in double quotes of the CSV that Docker reads: those within it are doubled."""
    source: Word = f"{launch.plan.name}-{mount['source']}" if mount["type"] == "volume" else mount["source"]
    if isinstance(source, Home):
        return Home(source.path.replace('"', '""'))
    text = str(source).replace('"', '""')
    return Beside(text.removeprefix("./")) if text.startswith(("./", "../")) and mount["type"] == "bind" else text
