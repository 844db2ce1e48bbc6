"""Ollama's Modelfile: the model's source and its parameters (other settings are in the server's environment). Floor 6, pure."""

from __future__ import annotations

from posixpath import normpath

from generator.errors import internal
from generator.facts.model_names import HOSTS
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.launch import CONFIG_INSIDE, Launch
from generator.render.script import summary
from generator.render.weights import container_path
from generator.render.words import Home
from generator.verify.modelfile import Command, ModelfileError, quote, read


def modelfile(launch: Launch, header: str) -> Artifact:
    """The Modelfile for this machine, verified by parsing it again."""
    return Artifact(f"{launch.engine.name}/Modelfile", _text(launch, header, source(launch)))


def inside(launch: Launch) -> tuple[str, str | None]:
    """The path of the same Modelfile in a container, and of the local model, so that FROM is valid there too."""
    model = source(launch)
    depth = 0 if model.startswith(("/", "~")) else model.count("../")  # an absolute path is found wherever the Modelfile lies
    folder = CONFIG_INSIDE + "/from" * depth
    if not launch.weights.local:
        return folder, None
    return folder, f"/root{model[1:]}" if model.startswith("~/") else normpath(f"{folder}/{model}" if model[0] == "." else model)


def source(launch: Launch) -> str:
    """The value of FROM: a path (relative to the Modelfile's folder), a Hugging Face repository, or an Ollama name."""
    weights = launch.weights
    if weights.local:
        if isinstance(weights.host, Home):
            return weights.name
        return str(container_path(weights.name, weights.back))
    if "/" not in weights.name:
        return weights.name
    repo = weights.name if weights.name.startswith(HOSTS) else f"{launch.hub.get('prefix', '')}{weights.name}"
    tag = weights.file if weights.is_file_name or weights.file is None else weights.file.upper()
    return f"{repo}:{tag}" if tag else repo


def _text(launch: Launch, header: str, model: str) -> str:
    if not model.isprintable():  # excluded by the spec: a line break would become part of the name
        raise internal("bad-text", f"FROM cannot name {model!r}")
    pairs = [(name, value) for name, values in launch.spelled.parameters.items() for value in values]
    expected = [Command("FROM", "", model), *(Command(name, "", value) if name.isupper() else Command("PARAMETER", name, value) for name, value in pairs)]
    try:
        parameters = [[name if name.isupper() else f"PARAMETER {name}", quote(value)] for name, value in pairs]  # ADAPTER is a command
        text = templates.render(
            "Modelfile.j2", header=header, seal=launch.seal, what=summary(launch), model=quote(model), parameters=parameters
        )
        found = read(text)
    except ModelfileError as error:
        raise internal("bad-text", str(error)) from None
    if found != expected:
        raise internal("not-as-meant", f"the Modelfile does not parse to the intended commands: {found!r}")
    return text
