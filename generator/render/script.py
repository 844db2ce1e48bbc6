"""`serve.sh`: runs the engine on PATH with `exec`; and the engine's own config file, if it has one; of Ollama the Modelfile: the model's source
and its parameters (other settings are in the server's environment). Floor 6, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from posixpath import normpath

from generator.decide.names import is_loopback
from generator.errors import internal
from generator.facts.model_names import HOSTS
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.launch import BALANCER, CONFIG_INSIDE, Launch
from generator.render.spelling import entry_of
from generator.render.weights import container_path, host_path
from generator.render.words import Beside, Home, Word, bash, comment, expected, plain
from generator.render.yaml_text import block
from generator.spec.deployment import is_path
from generator.verify.data import same_words, same_yaml
from generator.verify.modelfile import Command, ModelfileError, quote, read


def script(launch: Launch, header: str) -> Artifact:
    """The script of one candidate, verified by parsing its words and exports again."""
    words = [*launch.program(), *launch.words()]
    create: list[Word] = [*launch.program()[:1], *launch.create(Beside("Modelfile"))] if launch.creates_model else []
    env = host_env(launch)
    made = launch.weights.host if launch.candidate.origin == "made" else None
    args, exports = array("args", words), exported(env)
    sealed = [name for name in (launch.config_name, "Modelfile" if create else None, BALANCER if launch.copies > 1 else None) if name]
    text = templates.render(
        "serve.sh.j2", header=header, what=summary(launch), launch=launch, sealed=sealed, version_command=plain(launch.facts["version_command"]),
        args=args, exports=exports, loopback=is_loopback(launch.host), create=plain(create),
        client_host=bash(launch.base_url.removeprefix("http://")), made=bash(made) if made else "",
    )  # fmt: skip
    same_words(args, ["args=(", *map(expected, words), ")"], text)
    same_exports(env, text)
    return Artifact(f"{launch.engine.name}/serve.sh", text, executable=True)


def array(name: str, words: list[Word]) -> str:
    """A bash array, one flag with its values per line."""
    lines: list[str] = []
    for word in words:
        if lines and not (isinstance(word, str) and word.startswith("-")) and lines[-1].startswith("--"):
            lines[-1] += " " + bash(word)
        else:
            lines.append(bash(word))
    return "\n".join([f"{name}=(", *(f"  {line}" for line in lines), ")"])


def exported(env: Mapping[str, Word]) -> list[str]:
    """Lines that export variables."""
    return [f"export {name}={bash(value)}" for name, value in env.items()]


def same_exports(env: Mapping[str, Word], text: str) -> None:
    """Raise an internal error unless a script has the lines of `exported`, and they parse to these variables."""
    same_words("\n".join(exported(env)), [w for name, value in env.items() for w in ("export", f"{name}={expected(value)}")], text)


def host_env(launch: Launch) -> dict[str, Word]:
    """The environment of the script: the engine's own, its cache folder, the spec's."""
    env = launch.env()
    if launch.creates_model:
        host = f"[{launch.host}]" if ":" in launch.host else launch.host
        env = {entry_of(launch.engine, "host")["env"]: f"{host}:{launch.port}", **env}
    if launch.deploy.get("cache_dir"):
        name = launch.cache[1]
        if name is None and launch.has("models_dir"):
            name = entry_of(launch.engine, "models_dir")["env"]
        if name:
            folder = str(launch.deploy["cache_dir"])
            env = {name: host_path(folder if is_path(folder) else f"./{folder}", launch.back), **env}
    return env


def summary(launch: Launch) -> str:
    """The candidate in a line."""
    c = launch.candidate
    gpus = f"{launch.gpus} GPU{'s' if launch.gpus > 1 else ''}" if launch.vendor != "cpu" else "CPU"
    return comment(f"{launch.facts['title']} {launch.engine.version}, {launch.weights.name}, {c.method}, {gpus}")


def config(launch: Launch, header: str) -> Artifact | None:
    """The engine's own YAML file, or None if it would be empty."""
    name = launch.config_name
    if name is None:
        return None
    return data_file(f"{launch.engine.name}/{name}", header, launch.seal, [summary(launch)], launch.spelled.config)


def data_file(path: str, header: str, seal: str, notes: Sequence[str], data: Mapping[str, object]) -> Artifact:
    """A YAML file with notes at its top, verified by parsing it again."""
    text = templates.render("data.yaml.j2", header=header, seal=seal, notes=notes, body=block(data))
    same_yaml(text, data, path)
    return Artifact(path, text)


def modelfile(launch: Launch, header: str) -> Artifact:
    """The Modelfile for this machine, verified by parsing it again."""
    return Artifact(f"{launch.engine.name}/Modelfile", _text(launch, header, source(launch)))


def modelfile_inside(launch: Launch) -> tuple[str, str | None]:
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
