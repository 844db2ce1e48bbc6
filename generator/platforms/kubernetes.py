"""Manifests for Kubernetes and LeaderWorkerSet: a pod, and what stands around it. Floor 6, pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from math import ceil
from typing import Any

from generator.decide.names import is_loopback
from generator.errors import internal
from generator.platforms import Data, Facts, metrics_of, served
from generator.quantity import GIB, gib
from generator.render.escape import pod
from generator.render.launch import Launch
from generator.render.script import modelfile
from generator.render.spelling import entry_of
from generator.render.words import Ref, Word
from generator.render.yaml_text import block
from generator.verify.data import containers_of, read_alike, same_data

RANK, HEAD = Ref("LWS_WORKER_INDEX"), "LWS_LEADER_ADDRESS"
"""What LeaderWorkerSet tells each pod of a group."""


def values(launch: Launch, facts: Facts) -> Data:
    """The server and what creates its model, as words; the sizes in GiB, GPUs of a pod, and seconds of its probes."""
    server, create = served(launch)
    sizes, used, health = facts["sizes"], launch.candidate, launch.facts["container"]["health_check"]
    file = re.sub(r"(?m)^#.*\n", "", modelfile(launch, "").text) if create else block(launch.spelled.config)
    config = {launch.config_name or "Modelfile": file} if create or launch.config_name else {}
    gpus = launch.machine_gpus
    held = used.host.bytes if used.host else used.memory.total if used.memory and launch.vendor == "cpu" else 0
    disk, shm = ceil(launch.start_up.weights / GIB * sizes["volume_factor"]), launch.facts["container"]["shm_gib"]
    return {
        "server": server, "create": create, "config": config, "gpus": gpus, "shm": shm, "health": health, "metrics": metrics_of(launch),
        "ranks": [_rank(launch, leads) for leads in (True, False)], "network": launch.plan.spec["hardware"].get("network"),
        "memory_gib": ceil(sizes["host_gib"] + sizes["host_gib_per_gpu"] * gpus + shm + gib(held)), "loopback": is_loopback(launch.host),
        "volume_gib": (0 if launch.weights.local else disk) + sizes["volume_gib"], "model_gib": max(1, disk),
        "digest": sha256(repr(config).encode()).hexdigest()[:16], "tries": ceil(launch.start_up.seconds / health["interval_s"]),
    }  # fmt: skip


def check(launch: Launch, facts: Facts, values: Data, texts: Mapping[str, str]) -> None:
    """Every document parsed by YAML 1.1 and 1.2, and the words and variables of each server in them."""
    found: list[Data] = [read_alike(part, path) for path, text in texts.items() for part in re.split(r"(?m)^---\n", text)]
    servers: list[Any] = [one for document in found for _, one in containers_of(document) if "args" in one]
    server, meant = values["server"], []
    for rank in values["ranks"][: 2 if launch.nodes > 1 else 1]:
        literal = {name: pod(value) for name, value in server["environment"].items() if isinstance(value, str)}
        meant.append([[pod(word) for word in (*server["command"], *rank)], literal])
    read = [[one["args"], {v["name"]: v["value"] for v in one["env"] if v["name"] in meant[0][1]}] for one in servers]
    if not same_data(read, meant):
        raise internal("not-as-meant", "a manifest does not parse to the intended words")


def _rank(launch: Launch, leads: bool) -> list[Word]:
    """What a machine of several adds to the words: its rank, and the address of the first."""
    if launch.nodes == 1:
        return []
    address, headless = entry_of(launch.engine, "head_address"), launch.engine.spelling("headless")
    suffix = f":{address['with_port']}" if address.get("with_port") else ""
    words: list[Word] = [entry_of(launch.engine, "node_rank")["flag"], RANK, address["flag"], Ref(HEAD, "", suffix)]
    return [*words, headless["flag"]] if headless and not leads else words
