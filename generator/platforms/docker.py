"""`docker.sh`: one `docker run`, as an argv. Floor 6, pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from generator.platforms import Data, Facts, served
from generator.render.launch import Launch
from generator.render.script import exported, same_exports
from generator.render.words import Beside, Home, Ref, Word, bash, expected
from generator.verify.data import same_words

Parts = tuple[Word, ...]
"""Words that the shell joins to one."""


def values(launch: Launch, facts: Facts) -> Data:
    """The words of `docker run`, and of what creates the model in the running server."""
    server, create = served(launch)
    passed = {name: value for name, value in server["environment"].items() if isinstance(value, Ref)}
    words = [*_options(launch, server, create), (server["image"],), *((word,) for word in (*server.get("entrypoint", ())[1:], *server["command"]))]
    found: Data = {"words": words, "passed": passed, "exports": exported(passed), "args": _array(words), "create": []}
    if create is not None:
        found["create"] = [bash(word) for word in ("docker", "exec", launch.plan.name, *create["entrypoint"], *create["command"])]
    return found


def check(launch: Launch, facts: Facts, values: Data, texts: Mapping[str, str]) -> None:
    """The words and the exported variables, split again."""
    (text,) = texts.values()
    same_words(values["args"], ["args=(", *("".join(map(expected, parts)) for parts in values["words"]), ")"], text)
    same_exports(values["passed"], text)


def _options(launch: Launch, server: Data, create: Data | None) -> Iterator[Parts]:
    yield from (("docker",), ("run",), ("--rm",), (f"--name={launch.plan.name}",))
    if entry := server.get("entrypoint"):
        yield (f"--entrypoint={entry[0]}",)
    for name, value in server["environment"].items():
        yield from (("--env",), (name if value is None or isinstance(value, Ref) else f"{name}={value}",))
    for port in server["ports"]:
        yield (f"--publish={port}",)
    for mount in (*server["volumes"], *(create or {}).get("volumes", ())):
        yield from (("--mount",), _mount(launch.plan.name, mount))
    for request in server.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", ()):
        ids = request.get("device_ids")
        yield (f"--gpus={request['count']}",) if ids is None else ('--gpus="device=', *[part for one in ids for part in (",", one)][1:], '"')
    yield from ((f"--device={device}",) for device in server.get("devices", ()))
    yield from ((f"--group-add={group}",) for group in server.get("group_add", ()))
    if "shm_size" in server:
        yield (f"--shm-size={server['shm_size']}",)
    yield from ((f"--ulimit={kind}={limit}",) for kind, limit in server.get("ulimits", {}).items())


def _mount(name: str, mount: Data) -> Parts:
    """A mount as the CSV that Docker reads: quotes in a field are doubled, and every field is quoted."""
    source: Word = mount["source"]
    if mount["type"] == "volume":
        source = f"{name}-{source}"
    elif isinstance(source, str) and source.startswith(("./", "../")):
        source = Beside(source.removeprefix("./"))
    match source:
        case Beside(path, _):
            inside: Word = Beside(path.replace('"', '""'))
        case Home(path):
            inside = Home(path.replace('"', '""'))
        case _:
            inside = str(source).replace('"', '""')
    target = mount["target"].replace('"', '""')
    return f'"type={mount["type"]}","target={target}",{"readonly," if mount.get("read_only") else ""}"source=', inside, '"'


def _array(words: list[Parts]) -> str:
    return "\n".join(["args=(", *("  " + "".join(map(bash, parts)) for parts in words), ")"])
