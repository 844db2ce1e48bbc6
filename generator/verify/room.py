"""The room of a server: the GPUs, machines and time that its platform gives it, whatever the platform. Floor 6, pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from generator.errors import Place, Problem
from generator.readers.document import Document
from generator.readers.resources import shipped

FAULTS = "faults.json"
_UNITS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
_BATCH = re.compile(r"(?m)^#SBATCH\s+(--nodes|-N|--gres|--gpus-per-node)[=\s]\s*(\S+)")
_SETTING = re.compile(r"(?m)^(\w+)\s*=\s*(.*)$")
_CARD = re.compile(r"(?m)^AddDevice=nvidia\.com/gpu=\d+\s*$")


@dataclass(frozen=True)
class Room:
    """What a server is given. `gpus` of one machine and `nodes`, each None where that is not said; `seconds` to start in, by the setting `limit`.

    `text` is what surrounds the command: there a rank may stand. `opened` are settings that open the host, `maps` the ConfigMaps that a pod mounts."""

    place: Place
    text: str
    gpus: int | None = None
    nodes: int | None = None
    seconds: float | None = None
    limit: str = ""
    opened: tuple[str, ...] = ()
    maps: tuple[object, ...] = ()


def said(code: str, place: Place | None, **values: object) -> Problem:
    """A finding in the words of the table of faults."""
    entry = shipped(FAULTS)["says"][code]
    return Problem(code, entry["text"].format(**values), place, entry["severity"])


def within(value: object, *keys: str) -> Mapping[str, Any]:
    """The mapping below some keys, empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The mappings of a list; none of other data."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def whole(value: object) -> int | None:
    """A count, written as a number or as text; None for other data."""
    return int(value) if isinstance(value, int | str) and re.fullmatch(r"[0-9]{1,9}", str(value)) else None


def seconds(value: object) -> float | None:
    """A time such as `1h5m30s`, `90` or `2min`, in seconds; None for other data."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value))
    plain = re.fullmatch(r"(\s*\d+(\.\d+)?\s*[a-z]*)+", str(value))
    return sum(float(count) * _UNITS[unit] for count, unit in parts) if plain and {unit for _, unit in parts} <= _UNITS.keys() else None


def _opened(settings: Iterable[tuple[object, object]]) -> tuple[str, ...]:
    """The settings of a container that open its host."""
    known = shipped(FAULTS)["opens"]
    return tuple(f"{name}: {value}" for name, value in settings if str(value).lower() in known.get(name, ()))


def above(data: object, path: Sequence[str | int]) -> list[Mapping[str, Any]]:
    """The mappings of some data down a path, the outermost first."""
    found: list[Any] = [data]
    for key in path:
        found.append(found[-1][key])
    return [one for one in found if isinstance(one, Mapping)]


def of_pod(document: Document, path: Sequence[str | int], container: Mapping[str, Any]) -> Room:
    """The room of a container of Kubernetes."""
    known, around = shipped(FAULTS), above(document.data, path)
    resources = [within(container, "resources", kind) for kind in ("limits", "requests")]
    gpus = next((whole(one[name]) for one in resources for name in known["devices"] if name in one), None)
    deadline = "progressDeadlineSeconds"
    limits = {"startupProbe": budget(within(container, "startupProbe")), deadline: whole(within(around[0], "spec").get(deadline))}
    limit, least = min(((name, time) for name, time in limits.items() if time), key=lambda one: one[1], default=("", None))
    maps = tuple(within(volume, "configMap").get("name") for one in around for volume in mappings(one.get("volumes")))
    settings = [item for one in (*around, within(container, "securityContext")) for item in one.items()]
    size = next((one["size"] for one in around if "workerTemplate" in one and "size" in one), None)
    return Room(document.place(tuple(path)), f"{container}", gpus, whole(size), least, limit, _opened(settings), maps)


def budget(probe: Mapping[str, Any]) -> int | None:
    """Seconds until a probe that never succeeds has the container killed, with the defaults of Kubernetes; None without a probe."""
    first, period, tries = (whole(probe.get(key, usual)) for key, usual in shipped(FAULTS)["probe"].items())
    return None if not probe or first is None or period is None or tries is None else first + period * tries


def of_service(document: Document, path: Sequence[str | int], container: Mapping[str, Any]) -> Room:
    """The room of a service of Compose."""
    devices = mappings(within(container, "deploy", "resources", "reservations").get("devices"))
    counts = [len(one["device_ids"]) if isinstance(one.get("device_ids"), list) else whole(one.get("count")) for one in devices]
    check = {**shipped(FAULTS)["health"], **within(container, "healthcheck")}
    start, every, tries = seconds(check.get("start_period")), seconds(check["interval"]), whole(check["retries"])
    least = None if start is None or every is None or tries is None else start + every * tries
    return Room(document.place(tuple(path)), f"{container}", next(iter(counts), None), None, least, "start_period", _opened(container.items()))


def of_script(text: str, place: Place, words: Sequence[str]) -> Room:
    """The room of a server in a script or a unit; `words` are those of the `docker run` before the server's own, at `place`."""
    unit = dict(_SETTING.findall(text)) if re.search(r"(?m)^\[(Service|Container)\]", text) else {}
    batch = dict(_BATCH.findall(text))
    options: dict[str, str] = {}
    for word, after in pairwise((*words, *unit.get("PodmanArgs", "").split(), "-")):
        key, equals, value = word.lstrip("-").partition("=")
        options |= {key: value if equals else "true" if after.startswith("-") or key == "privileged" else after} if word.startswith("--") else {}
    asked = str(options.get("gpus") or batch.get("--gres") or batch.get("--gpus-per-node", "")).strip("\"'")
    gpus = len(asked.split(",")) if asked.startswith("device=") else len(_CARD.findall(text)) or whole(asked.rpartition(":")[2])
    waits = unit.get("Type") == "notify" or unit.get("Notify") == "healthy" or "ExecStartPost" in unit
    least = seconds(unit.get("TimeoutStartSec")) if waits else None
    if least is not None:
        place = Place(place.path, text[: text.index("TimeoutStartSec")].count("\n") + 1)
    opened = _opened([("network", unit.get("Network")), *options.items()])
    return Room(place, text, gpus, whole(batch.get("--nodes", batch.get("-N", "1"))) if batch else None, least, "TimeoutStartSec", opened)
