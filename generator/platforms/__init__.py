"""Platforms beside script and Compose: one renderer each, all reading the one launch. Floor 6, pure.
What a platform is given and refuses is data (`rules/facts/platforms/`), its wording a template (`templates/platforms/`); a renderer makes
the values of the templates and reads the files back. It is imported only when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, Protocol, cast

from generator.errors import Problem, internal
from generator.plan import Candidate, Plan, changed
from generator.readers.document import KeyPath
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.compose import creation_of, image_of, server_of
from generator.render.launch import OWN, Launch, launch_of
from generator.render.script import summary
from generator.render.words import Beside, Home, Word
from generator.rulebook.book import RuleBook
from generator.spec.deployment import DeploymentSpec

Facts = Mapping[str, Any]
Data = dict[str, Any]


class Renderer(Protocol):
    """What the module of a platform offers."""

    def values(self, launch: Launch, facts: Facts) -> Data:
        """What the templates of the platform are given beside launch, facts and header."""

    def check(self, launch: Launch, facts: Facts, values: Data, texts: Mapping[str, str]) -> None:
        """Read the files back; raises an internal error unless they say what the launch says."""


def platform_files(whole: Launch, targets: Sequence[str], header: str) -> list[Artifact]:
    """The files of one candidate for these platforms, read back."""
    found: list[Artifact] = []
    for target in targets:
        facts = whole.book.section("platforms")[target]
        launch = _of_one_server(whole, facts)
        if said := list(refused(launch, target, facts)):
            raise internal("not-carried", f"{target}: {said[0][1]}")
        room = cast("Renderer", import_module(f"generator.platforms.{facts['renderer']}"))
        values = room.values(launch, facts)
        common: Data = {"header": header, "what": summary(launch), "launch": launch, "facts": facts, "name": launch.plan.name, "target": target}
        texts: dict[str, str] = {}
        for path, template in facts["files"].items():
            text = templates.render(f"platforms/{template}", **common, **values, written=list(texts))
            if text.strip():
                texts[path.format(name=launch.plan.name)] = text
        room.check(launch, facts, values, texts)
        found += [Artifact(f"{launch.engine.name}/{path}", text, executable=path.endswith(".sh")) for path, text in texts.items()]
    return found


def _of_one_server(launch: Launch, facts: Facts) -> Launch:
    """The launch of one server; where the platform itself starts whole replicas, none of them runs the others by its own data parallelism."""
    candidate = launch.candidate
    if "replicas" not in facts or candidate.replicas == 1:
        return launch
    settings = {name: value for name, value in candidate.settings.items() if (name, value) != ("data_parallel", candidate.replicas)}
    return replace(launch, candidate=changed(candidate, settings=settings))


def refusals(plan: Plan, candidates: Iterable[Candidate], book: RuleBook, spec: DeploymentSpec) -> list[Problem]:
    """What the platforms of a spec cannot carry of its plan, at the target's place in the spec, or at that of the value."""
    found = []
    for candidate in candidates:
        launch = launch_of(plan, candidate, book, "")
        said = (spec.document.data.get("deploy") or {}).get("targets", [])
        for target in (target for target in plan.spec["deploy"]["targets"] if target not in OWN):
            at: KeyPath = ("deploy", "targets", said.index(target)) if target in said else ("deploy",)
            for path, why in refused(launch, target, book.section("platforms")[target]):
                found.append(spec.problem(path if path and path in spec.document.marks else at, "target-refused", f"{target}: {why}"))
    return found


def refused(launch: Launch, target: str, facts: Facts) -> Iterable[tuple[tuple[str, ...], str]]:
    """What a platform cannot carry of a launch: the place in the spec where it is said, and why."""
    launch = _of_one_server(launch, facts)
    if launch.engine.name not in facts.get("engines", (launch.engine.name,)):
        yield (), f"it cannot start {launch.facts['title']} ({', '.join(facts['engines'])} only); {facts['words']['engines']}"
    name, known = launch.plan.name, facts.get("refuses", {})
    if len(name) > facts.get("longest_name", len(name)):
        yield ("name",), f"{name!r} is longer than the {facts['longest_name']} characters that its own names leave; write a shorter `name`"
    if not re.fullmatch(facts.get("name_pattern", ".*"), name):
        yield ("name",), f"{name!r} is not {facts['name_form']}; write another `name`"
    yield from ((path, known[condition]) for condition, path in _conditions(launch, facts["runs"] == "image") if condition in known)


def _conditions(launch: Launch, inside: bool) -> Iterable[tuple[str, tuple[str, ...]]]:
    """What may keep a launch from a platform, each with its place in the spec."""
    yield ("several-machines" if launch.nodes > 1 else "one-machine"), ()
    if inside and image_of(launch) is None:
        yield "no-image", ()
        return
    held = {
        "copies": (launch.copies > 1, ("deploy", "replicas")), "devices": (bool(launch.devices), ("hardware", "devices")),
        "slice": (bool(launch.slice), ("hardware", "mig")), "key-as-argument": (launch.key_shown, ("deploy", "api_key_from")),
        "cache-folder": (bool(launch.deploy.get("cache_dir")), ("deploy", "cache_dir")),
    }  # fmt: skip
    yield from ((condition, path) for condition, (holds, path) in held.items() if holds)
    server: Data = served(launch)[0] if inside else {"command": launch.words(), "volumes": [], "mounts": []}
    words: list[Word] = server["command"]
    paths = [word.path for word in words if isinstance(word, Beside) and word.path != launch.config_name]
    paths += [mount["source"] for mount in server["mounts"] if mount["source"] not in OWN_FILES]
    if any(isinstance(one, Home) or one.startswith(("./", "../")) for one in (*words, *paths) if isinstance(one, str | Home)):
        yield "relative-path", ("model",)
    if any(":" in str(mount["source"]) for mount in server["volumes"]):
        yield "colon", ("model",)
    if any(isinstance(mount["target"], str) and not mount["target"].startswith("/") for mount in server["volumes"]):
        yield "relative-target", ("serve", "adapters")
    for condition, bad in (("empty-word", ""), ("lone-semicolon", ";")):
        if bad in words:
            yield condition, ("deploy", "served_name")


OWN_FILES = ("./config.yaml", "./Modelfile")
"""Files of the engine's folder, which each platform brings along in its own way."""


def served(launch: Launch) -> tuple[Data, Data | None]:
    """The container of one server, with the `mounts` of both, and the one that creates its model; values are words."""
    image = image_of(launch)
    if image is None:
        raise internal("no-image", f"{launch.engine.name} has no container image for {launch.vendor}")
    server, create = server_of(launch, image), creation_of(launch, image) if launch.creates_model else None
    return {**server, "mounts": [*server["volumes"], *(create or {}).get("volumes", ())]}, create


def metrics_of(launch: Launch) -> Mapping[str, str]:
    """The names of the engine's metrics; empty where it has none, or has them only with an option that the launch lacks."""
    found: Mapping[str, str] = launch.facts.get("prometheus") or {}
    given = {*launch.spelled.flags, *(f"--{key}" for key in launch.spelled.config)}
    return found if found.get("switch") in (None, *given) else {}
