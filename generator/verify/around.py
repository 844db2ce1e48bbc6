"""What stands around the servers of some files, where no schema sees a fault: objects that must fit each other, and the room of each server.

Floor 6, pure but for the files beside a command. Words, cures and what platforms take by default are data (`rules/faults.json`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from generator.errors import InputError, Problem
from generator.readers.document import Document, KeyPath, parse_yaml, read_json
from generator.readers.resources import shipped
from generator.rulebook.book import RuleBook
from generator.spec.deployment import is_secret_name, secret_in
from generator.verify.argv import Argument, arguments
from generator.verify.catalogue import Catalogue
from generator.verify.data import Text, below, containers_of
from generator.verify.launches import Launch, with_config
from generator.verify.room import FAULTS, Room, above, mappings, said, whole, within
from generator.verify.semantics import given_options


class Pods(NamedTuple):
    """The pods of one template: the object that it stands in, its own data, and how many there may be at once."""

    document: Document
    data: Mapping[str, Any]
    most: int


def faults(documents: Sequence[Document], servers: Sequence[tuple[Launch, Catalogue]], book: RuleBook, hardware: Any, model: str | None) -> Iterator[Problem]:
    """All findings around the servers of some files; `hardware` and `model` are the user's, where the files do not say them."""
    scaled = {_named(within(one.data, "spec", "scaleTargetRef")): whole(within(one.data, "spec").get("maxReplicas")) for one in documents}
    pods = [pod for document in documents for pod in _pods(document, scaled)]
    for document in documents:
        for path, one in containers_of(document.data):
            yield from _container(document, path, one)
        yield from _object(document, pods, {within(one.data).get("kind") for one in documents} <= {*shipped(FAULTS)["kinds"]})
    for launch, known in servers:
        maps = launch.room.maps if launch.room else ()
        launch = with_config(launch, known.config_flag, lambda name, maps=maps: _mapped(name, maps, documents))  # type: ignore[misc]
        yield from _secrets(launch, known)
        if launch.room is not None:
            yield from _world(launch, known, launch.room)
            yield from _start(launch, known, launch.room, book, hardware, model)
            yield from (said("host-access", launch.room.place, what=what) for what in launch.room.opened)


def _named(reference: Mapping[str, Any], *keys: str) -> str:
    return f"{reference.get('kind')} {within(reference, *keys).get('name')}"


def _pods(document: Document, scaled: Mapping[str, int | None]) -> Iterator[Pods]:
    """The templates of pods in an object, or the pod that it is; `scaled` are the most replicas of objects by what scales them."""
    replicas, data = whole(within(document.data, "spec").get("replicas", 1)), within(document.data)
    copies = max(1 if replicas is None else replicas, scaled.get(_named(data, "metadata")) or 0)
    for path, one in below(data):
        if mappings(within(one, "spec").get("containers")):
            size = next((whole(group.get("size")) for group in above(data, path) if "workerTemplate" in group), None)
            yield Pods(document, one, copies * (size or 1))


def _container(document: Document, path: KeyPath, one: Mapping[str, Any]) -> Iterator[Problem]:
    """GPUs that are requested and not limited alike, probes of no port, a probe that kills what still starts."""
    requests, limits = (within(one, "resources", key) for key in ("requests", "limits"))
    for name in [*requests, *(name for name in limits if name not in requests)]:
        if "/" in str(name) and str(requests.get(name, limits.get(name))) != str(limits.get(name)):
            yield said("device-request", document.place((*path, "resources")), name=name)
    ports = _ports([one])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        port = str((within(one, probe, "httpGet") or within(one, probe, "tcpSocket")).get("port", ""))
        if port and _closed(port, ports):
            yield said("probe-without-port", document.place((*path, probe)), what=probe, port=port, of="the container")
    if one.get("livenessProbe") and not one.get("startupProbe"):
        yield said("early-liveness", document.place((*path, "livenessProbe")))


def _ports(containers: Sequence[Mapping[str, Any]]) -> set[str]:
    return {str(port[key]) for one in containers for port in mappings(one.get("ports")) for key in ("name", "containerPort") if key in port}


def _closed(port: str, ports: set[str]) -> bool:
    """Whether no container opens a port; where none says what it opens, only a name cannot be right."""
    return port not in ports and (bool(ports) or not port.isdigit())


def _object(document: Document, pods: Sequence[Pods], whole_view: bool) -> Iterator[Problem]:
    """What an object says of others: bounds, labels, ports, volumes; and a secret that it holds. Without the whole view pods may be hidden."""
    data = within(document.data)
    spec, kind, title, known = within(data, "spec"), f"{data.get('kind')}", _named(data, "metadata"), shipped(FAULTS)
    least, most = whole(spec.get("minReplicas", 1)), whole(spec.get("maxReplicas"))
    if least is not None and most is not None and least > most:
        yield said("replicas-cross", document.place(("spec", "minReplicas")), least=least, most=most)
    near = [pod for pod in pods if len({within(one, "metadata").get("namespace") for one in (pod.document.data, data)} - {None}) < 2]
    where = ("spec", "podSelector" if "podSelector" in spec else "selector")
    wanted = within(data, *where, *known["objects"].get(kind, "").split())
    if wanted and kind in known["objects"] and near and whole_view:
        own = [pod for pod in near if pod.document is document] or near
        asked = {key: value for key, value in wanted.items() if not f"{key}".startswith(tuple(known["automatic"]))}.items()
        chosen = [pod for pod in own if asked <= within(pod.data, "metadata", "labels").items()]
        if not chosen:
            yield said("selector-without-pods", document.place(where), what=title, wanted=", ".join(f"{key}={value}" for key, value in wanted.items()))
        ports = _ports([one for pod in chosen for one in mappings(within(pod.data, "spec").get("containers"))])
        for i, port in enumerate(mappings(spec.get("ports")) if kind == "Service" and chosen else ()):
            target = f"{port.get('targetPort', port.get('port'))}"
            if _closed(target, ports):
                yield said("probe-without-port", document.place(("spec", "ports", i)), what=title, port=target, of="a pod that it selects")
    if kind == "PersistentVolumeClaim" and not any(mode in f"{spec.get('accessModes')}" for mode in known["shared"]):
        claim, used = within(data, "metadata").get("name"), 0
        for pod in (pod for pod in near if within(pod.document.data).get("kind") != "Job"):
            volumes = mappings(within(pod.data, "spec").get("volumes"))
            used += pod.most if any(within(volume, "persistentVolumeClaim").get("claimName") == claim for volume in volumes) else 0
        if used > 1:
            yield said("one-node-volume", document.place(("spec", "accessModes")), claim=claim, pods=used)
    for field in ("data", "stringData") if kind == "Secret" else ():
        for name, value in within(data, field).items():
            if _is_secret(f"{value}", True):
                yield said("secret-in-file", document.place((field, name)), what=title)


def _mapped(name: str, maps: Collection[object], documents: Sequence[Document]) -> Document | None:
    """A configuration file that a ConfigMap of these names holds."""
    with suppress(InputError):  # another program's file
        for one in documents:
            text = within(one.data, "data").get(name) if within(one.data, "metadata").get("name") in maps else None
            if isinstance(text, str):
                return parse_yaml(text, "")
    return None


def _is_secret(text: str, named: bool) -> bool:
    """Whether a text is a secret by its form or, where its name says that it is one, no placeholder."""
    return secret_in(text) is not None or (named and not re.match(shipped(FAULTS)["placeholder"], text, re.IGNORECASE))


def _secrets(launch: Launch, known: Catalogue) -> Iterator[Problem]:
    options = [(one.name, one.last) for one in arguments(launch.words, known) if isinstance(one, Argument) and one.values]
    for name, text in (*launch.env.items(), *options):
        if text.known and _is_secret(text.text, is_secret_name(name)):
            yield said("secret-in-file", text.place, what=name)


def _world(launch: Launch, known: Catalogue, room: Room) -> Iterator[Problem]:
    """The GPUs that the server spreads over against those that it gets, and the rank of each machine."""
    form = known.facts.get("world")
    given = {name: text for name, (text, _) in given_options(launch.words, launch.env, known).items()}
    if form is None or any(not text.known for name, text in given.items() if name in form["gpus"]):
        return
    counted = [name for name in form["gpus"] if name in given and form.get("within", {}).get(name) not in given]
    figures = [whole(given[name].text) or 1 for name in counted]
    world, told = prod(figures), given.get(form.get("nodes", ""), Text("", room.place))
    nodes, gpus = room.nodes or whole(told.text) or 1, whole(given["gpus"].text) if "gpus" in given else room.gpus
    elsewhere = form.get("all") or known.config_flag in given  # a configuration that is not among the files
    if gpus is not None and (counted or not elsewhere) and world != nodes * gpus:
        code = "world-size" if world > nodes * gpus else "idle-devices"
        how = " x ".join(f"{name} {figure}" for name, figure in zip(counted, figures, strict=True)) or "one, unless it is told"
        yield said(code, room.place, world=world, how=how, given=nodes * gpus, nodes=nodes, gpus=gpus)
    if room.nodes in (None, 1) or form.get("nodes") not in known.taken or _names(form.get("others", ()), room.text):
        return
    if whole(told.text) not in (None, room.nodes):
        yield said("nodes-differ", told.place, option=form["nodes"], told=told.text, nodes=room.nodes)
    for option in (form["nodes"], *form["ranks"]):
        if option not in given and not _names([name for name in known.taken[option].names if name.startswith("--")], room.text):
            yield said("rank-missing", room.place, nodes=room.nodes, option=option)


def _names(words: Iterable[str], text: str) -> bool:
    """Whether one of some words stands in a text by itself."""
    return any(re.search(rf"(?<![\w-]){word}(?![\w-])", text) for word in words)


def _rates(folder: Path) -> dict[str, Any]:
    """How fast the machine of a generated folder downloads and reads, as the plan above it says."""
    for one in (folder, *folder.parents[:2]):
        with suppress(InputError):
            return {key: rate for key, rate in within(read_json(one / "plan.json"), "spec", "hardware").items() if key.endswith("_mb_per_s")}
    return {}


def _start(launch: Launch, known: Catalogue, room: Room, book: RuleBook, hardware: Any, model: str | None) -> Iterator[Problem]:
    """A time to start in that is shorter than download and reading of the weights take, where the model is known."""
    if room.seconds is None:
        return
    from generator.decide.decision import decide  # imported lazily: only files that bound a start need it
    from generator.render.weights import start_up
    from generator.spec.words import spec_of
    from generator.verify.restated import restated

    folder, given = Path(room.place.path).parent, {"gpus_per_node": room.gpus, "nodes": room.nodes}
    machine = {**shipped(FAULTS)["stand_in"], **{key: count for key, count in given.items() if count}, **_rates(folder)}
    try:
        plan = decide(spec_of(restated(launch, known, hardware or machine, model, folder, book).data, folder), book).plan
    except InputError:
        return
    candidate = plan.choice or next((one.candidate for one in plan.rejected if one.candidate.memory is not None), None)
    if candidate is not None:
        steps = start_up(plan, candidate, book)
        needed = sum(one.seconds for one in steps.steps if one.megabytes is not None)
        if room.seconds < needed:
            yield said("start-too-short", room.place, what=room.limit, given=f"{room.seconds:.0f}", gb=f"{steps.weights / 1e9:.1f}", needed=f"{needed:.0f}")
