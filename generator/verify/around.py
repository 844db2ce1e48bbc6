"""What stands around the servers of some files, where no schema sees a fault: objects that must fit each other, and the room of each server.

Floor 6, pure but for the files beside a command. Words, cures and what platforms take by default are data (`rules/faults.json`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from generator.errors import InputError, Problem
from generator.readers.document import Document, KeyPath, parse_yaml, read_json
from generator.readers.resources import shipped
from generator.rulebook.book import RuleBook
from generator.spec.secrets import is_secret_name, secret_in
from generator.verify.argv import Argument, arguments
from generator.verify.catalogue import Catalogue
from generator.verify.containers import containers_of
from generator.verify.finding import Text
from generator.verify.launches import Launch, of_config
from generator.verify.room import FAULTS, mappings, said, whole, within
from generator.verify.semantics import given_options
from generator.verify.values import number


class Pods(NamedTuple):
    """The pods of one template: where it stands, its labels and containers, and how many there are at once."""

    document: Document
    path: KeyPath
    labels: Mapping[str, Any]
    spec: Mapping[str, Any]
    replicas: int


def faults(documents: Sequence[Document], servers: Sequence[tuple[Launch, Catalogue]], book: RuleBook, hardware: Any, model: str | None) -> Iterator[Problem]:
    """All findings around the servers of some files; `hardware` and `model` are the user's, where the files do not say them."""
    pods = [one for document in documents for one in _pods(document)]
    for document in documents:
        for path, one in containers_of(document.data):
            yield from _container(document, path, one)
        yield from _object(document, documents, pods)
    for launch, known in servers:
        launch = _with_config_map(launch, known, documents)
        yield from _secrets(launch, known)
        if launch.room is not None:
            yield from _world(launch, known)
            yield from _start(launch, known, book, hardware, model)
            yield from (said("host-access", launch.room.place, what=what) for what in launch.room.opened)


def _pods(document: Document) -> Iterator[Pods]:
    """The templates of pods in an object, or the pod that it is."""
    data = document.data

    def below(value: object, path: KeyPath, group: Mapping[str, Any]) -> Iterator[Pods]:
        if isinstance(value, Mapping):
            group = value if "workerTemplate" in value else group
            if mappings(within(value, "spec").get("containers")):
                machines, most = whole(group.get("size")) or 1, whole(within(data, "spec").get("replicas"))
                replicas = (1 if most is None else most) * (machines if path[-1:] != ("leaderTemplate",) else 1)
                yield Pods(document, path, within(value, "metadata", "labels"), within(value, "spec"), replicas)
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ():
            yield from below(inner, (*path, key), group)

    return below(data, (), {})


def _container(document: Document, path: KeyPath, one: Mapping[str, Any]) -> Iterator[Problem]:
    """GPUs that are requested and not limited alike, probes of no port, a probe that kills what still starts."""
    requests, limits = (within(one, "resources", key) for key in ("requests", "limits"))
    for name in [*requests, *(name for name in limits if name not in requests)]:
        if "/" in str(name) and str(requests.get(name, limits.get(name))) != str(limits.get(name)):
            yield said("device-request", document.place((*path, "resources")), name=name)
    ports = _ports([one])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        port = str((within(one, probe, "httpGet") or within(one, probe, "tcpSocket")).get("port", ""))
        if port not in {"", *ports} and (ports or not port.isdigit()):
            yield said("probe-without-port", document.place((*path, probe)), what=probe, port=port, of="the container")
    if one.get("livenessProbe") and not one.get("startupProbe"):
        yield said("early-liveness", document.place((*path, "livenessProbe")))


def _ports(containers: Sequence[Mapping[str, Any]]) -> set[str]:
    return {str(port[key]) for one in containers for port in mappings(one.get("ports")) for key in ("name", "containerPort") if key in port}


def _object(document: Document, documents: Sequence[Document], pods: Sequence[Pods]) -> Iterator[Problem]:
    """What an object says of others: bounds, labels, ports, volumes; and a secret that it holds."""
    data: Mapping[str, Any] = document.data if isinstance(document.data, Mapping) else {}
    spec, kind, title = within(data, "spec"), data.get("kind"), f"{data.get('kind')} {within(data, 'metadata').get('name')}"
    least, most = whole(spec.get("minReplicas", 1)), whole(spec.get("maxReplicas"))
    if least is not None and most is not None and least > most:
        yield said("replicas-cross", document.place(("spec", "minReplicas")), least=least, most=most)
    for where in (("spec", "selector"), ("spec", "podSelector")):
        found = within(data, *where)
        wanted = found if kind == "Service" else within(found, "matchLabels")
        known = {one.data.get("kind") for one in documents if isinstance(one.data, Mapping)} <= {*shipped(FAULTS)["kinds"]}
        if not wanted or kind in ("ServiceMonitor", "PersistentVolumeClaim") or not known or not pods:
            continue
        chosen = [one for one in pods if _near(one, data) and all(_automatic(key) or one.labels.get(key) == value for key, value in wanted.items())]
        if kind in ("Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"):
            chosen = [one for one in chosen if one.document is document]
        if not chosen:
            yield said("selector-without-pods", document.place(where), what=title, wanted=", ".join(f"{key}={value}" for key, value in wanted.items()))
        ports = _ports([one for pod in chosen for one in mappings(pod.spec.get("containers"))])
        for i, port in enumerate(mappings(spec.get("ports")) if kind == "Service" and chosen else ()):
            target = str(port.get("targetPort", port.get("port")))
            if target not in ports and (ports or not target.isdigit()):
                yield said("probe-without-port", document.place(("spec", "ports", i)), what=title, port=target, of="a pod that it selects")
    if kind == "PersistentVolumeClaim" and {*spec.get("accessModes", ())} <= {*shipped(FAULTS)["one_node"]}:
        claim = within(data, "metadata").get("name")
        count = sum(_most(pod, documents) for pod in pods if _near(pod, data) and claim in _claims(pod))
        if count > 1:
            yield said("one-node-volume", document.place(("spec", "accessModes")), claim=claim, pods=count)
    for field in ("data", "stringData") if kind == "Secret" else ():
        for name, value in within(data, field).items():
            if _is_secret(str(value), True):
                yield said("secret-in-file", document.place((field, name)), what=title)


def _near(pod: Pods, data: Mapping[str, Any]) -> bool:
    """Whether pods and an object may be in one namespace: both in the same, or one in whichever it is applied to."""
    names = [within(one, "metadata").get("namespace") for one in (pod.document.data, data)]
    return None in names or names[0] == names[1]


def _claims(pods: Pods) -> set[Any]:
    """The claims whose volumes pods keep mounted; a Job gives them back."""
    volumes = mappings(pods.spec.get("volumes")) if pods.document.data.get("kind") != "Job" else []
    return {within(volume, "persistentVolumeClaim").get("claimName") for volume in volumes}


def _automatic(label: str) -> bool:
    return label.startswith(tuple(shipped(FAULTS)["automatic"]))


def _most(pods: Pods, documents: Sequence[Document]) -> int:
    """The most pods of a template at once, by its replicas or what scales them."""
    whom = (pods.document.data["kind"], within(pods.document.data, "metadata").get("name"))
    scaled = [within(one.data, "spec") for one in documents]
    targets = [(whole(one.get("maxReplicas")) or 0) for one in scaled if tuple(within(one, "scaleTargetRef").get(key) for key in ("kind", "name")) == whom]
    return max(pods.replicas, *targets, 0)


def _with_config_map(launch: Launch, known: Catalogue, documents: Sequence[Document]) -> Launch:
    """The server with the options of its configuration file, where a ConfigMap of these files holds it."""
    flag = (known.syntax.get("config") or {}).get("flag")
    path = next((after.text for word, after in zip(launch.words, launch.words[1:], strict=False) if word.text == flag), None)
    for document in documents if path is not None and launch.room is not None else ():
        text = within(document.data, "data").get(Path(str(path)).name)
        if isinstance(text, str) and launch.room and within(document.data, "metadata").get("name") in launch.room.maps:
            return replace(launch, words=[*launch.words, *of_config(parse_yaml(text, document.name), launch.engine).words])
    return launch


def _is_secret(text: str, named: bool) -> bool:
    """Whether a text is a secret by its form or, where its name says that it is one, no placeholder."""
    return secret_in(text) is not None or (named and not re.match(shipped(FAULTS)["placeholder"], text, re.IGNORECASE))


def _secrets(launch: Launch, known: Catalogue) -> Iterator[Problem]:
    options = [(one.name, one.last) for one in arguments(launch.words, known) if isinstance(one, Argument) and one.values]
    for name, text in (*launch.env.items(), *options):
        if text.known and _is_secret(text.text, is_secret_name(name)):
            yield said("secret-in-file", text.place, what=name)


def _world(launch: Launch, known: Catalogue) -> Iterator[Problem]:
    """The GPUs that the server spreads over against those that it gets, and the rank of each machine."""
    room, form = launch.room, known.facts.get("world")
    given = {name: text for name, (text, _) in given_options(launch.words, launch.env, known).items()}
    if room is None or form is None or any(not text.known for name, text in given.items() if name in form["gpus"]):
        return
    counted = [name for name in form["gpus"] if name in given and form.get("within", {}).get(name) not in given]
    figures = [int(number(given[name].text) or 1) for name in counted]
    world, told = 1, given.get(form.get("nodes", ""), Text("", room.place))
    for figure in figures:
        world *= figure
    nodes, gpus = room.nodes or whole(told.text) or 1, whole(given["gpus"].text) if "gpus" in given else room.gpus
    elsewhere = form.get("all") or (known.syntax.get("config") or {}).get("flag") in given  # a configuration that is not among the files
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
    for above in (folder, *folder.parents[:2]):
        with suppress(InputError):
            hardware = within(read_json(above / "plan.json"), "spec", "hardware")
            return {key: hardware[key] for key in ("download_mb_per_s", "disk_mb_per_s") if key in hardware}
    return {}


def _start(launch: Launch, known: Catalogue, book: RuleBook, hardware: Any, model: str | None) -> Iterator[Problem]:
    """A time to start in that is shorter than download and reading of the weights take, where the model is known."""
    room = launch.room
    if room is None or room.seconds is None:
        return
    from generator.decide.decision import decide  # imported lazily: only files that bound a start need it
    from generator.render.start_up import start_up
    from generator.spec.words import spec_of
    from generator.verify.restated import restated

    folder, machine = Path(room.place.path).parent, {**shipped(FAULTS)["stand_in"], "nodes": room.nodes or 1}
    machine |= {"gpus_per_node": room.gpus} if room.gpus else {}
    machine |= _rates(folder)
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
