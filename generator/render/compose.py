"""`compose.yaml`: the engine's container image with the same command line as the script.

Floor 6, pure. `services` describes the containers in words, which other platforms read too; `escaped` makes Compose's own text of them:
it expands `$` in every value, so data doubles it. Several copies of a model behind one address are servers of their own behind nginx,
where the engine's own data parallelism makes no whole copies (`copies` of an engine's facts)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from generator.errors import internal
from generator.quantity import in_span, version_key
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.launch import BALANCER, BALANCER_INSIDE, CONFIG_INSIDE, LOOPBACK, Launch
from generator.render.script import modelfile_inside, summary
from generator.render.seal import FILE
from generator.render.spelling import entry_of
from generator.render.weights import container_path
from generator.render.words import Beside, Home, Ref, Word
from generator.render.yaml_text import block
from generator.spec.deployment import is_path
from generator.verify.data import same_yaml

Data = dict[str, Any]
AMD = ("/dev/kfd", "/dev/dri")
"""The devices of AMD's GPUs that ROCm needs."""


def image_of(launch: Launch) -> str | None:
    """The spec's image for the chosen engine, else the catalogue's for this GPU vendor and version, if any."""
    choice = launch.plan.choice
    if launch.deploy.get("image") and choice is not None and choice.engine == launch.engine.name:
        return str(launch.deploy["image"])
    if launch.candidate.image:
        return launch.candidate.image
    key = version_key(launch.engine.version)
    for row in launch.facts["images"]:
        fits = in_span(row, key)
        fits = fits and launch.plan.facts.get("gpu.architecture") in row.get("architectures", (launch.plan.facts.get("gpu.architecture"),))
        fits = fits and launch.candidate.back_end in (None, row.get("back_end", launch.candidate.back_end))
        if row["vendor"] == launch.vendor and fits:
            return str(row["image"]).replace("{version}", launch.engine.version)
    return None


def compose(launch: Launch, header: str) -> Artifact | None:
    """The Compose file of a candidate; None without an image, or for several nodes."""
    image = image_of(launch)
    if image is None or launch.nodes > 1:
        return None
    data: Data = {"name": launch.plan.name, "services": services(launch, image)}
    named = {"cache": not launch.deploy.get("cache_dir"), "compiled": _compiled(launch)}
    if any(named.values()):
        data["volumes"] = {name: {} for name, used in named.items() if used}
    written = escaped(data)
    devices = launch.back_end.get("devices", AMD) if launch.vendor == "amd" else ()
    notes = templates.render("compose-notes.j2", launch=launch, devices=devices).splitlines()
    text = templates.render("data.yaml.j2", header=header, seal="", notes=[summary(launch), *notes], body=block(written))
    same_yaml(text, written, "compose.yaml")
    return Artifact(f"{launch.engine.name}/compose.yaml", text)


def escaped(value: object) -> object:
    """Data with `$` doubled in every value; words that stand for something at run time are the only expansions."""
    match value:
        case Ref(name, hint, suffix):
            return f"${{{name}:?{hint}}}" + suffix.replace("$", "$$")
        case Home(path):
            return "${HOME}/" + path.replace("$", "$$")
        case Beside():
            raise internal("bad-word", "a host path cannot be used in a container")
        case str():
            return value.replace("$", "$$")
        case Mapping():
            return {name: escaped(item) for name, item in value.items()}
        case list() | tuple():
            return [escaped(item) for item in value]
        case _:
            return value


def services(launch: Launch, image: str) -> Data:
    """The services of a Compose file: the server, and for Ollama the creation of the model."""
    one = server_of(launch, image)
    if launch.copies > 1:
        return of_compose(launch, {key: value for key, value in one.items() if key != "ports"}, one["ports"])
    return {launch.engine.name: one, **({"create": creation_of(launch, image)} if launch.creates_model else {})}


def server_of(launch: Launch, image: str) -> dict[str, Any]:
    """The container of one server: values are words, and sources of mounts with `./` or `../` lie beside the file."""
    inside = launch.facts["container"]
    server: Data = {"image": image}
    if inside.get("explicit_entrypoint"):
        server["entrypoint"] = list(inside["entrypoint"])
    server["command"] = [*inside["prefix"], *launch.words(inside=True)]
    server["env_file"] = [f"./{FILE.format(launch.seal)}"]
    server["environment"] = environment(launch)
    server["ports"] = [f"{_published(launch.host)}:{launch.port}:{inside['port']}"]
    server["volumes"] = [_cache(launch), *_compiled(launch), *_mounts(launch)]
    server |= _devices(launch)
    if inside["shm_gib"]:
        server["shm_size"] = f"{inside['shm_gib']}gb"
    if inside.get("ulimits"):
        server["ulimits"] = dict(inside["ulimits"])
    server["healthcheck"] = _health(launch)
    server["restart"] = "unless-stopped"
    return server


def environment(launch: Launch) -> Data:
    """The container's environment; the user's own token is passed through if set."""
    inside = launch.facts["container"]
    env: Data = {}
    path, variable = launch.cache
    if launch.facts.get("token_env") and not (launch.offline or launch.hub.get("env")):
        env[launch.facts["token_env"]] = None
    if variable:
        env[variable] = path
    if launch.creates_model:
        env[entry_of(launch.engine, "host")["env"]] = f"0.0.0.0:{inside['port']}"
    return {**env, **_cards(launch), **launch.env()}


def _cards(launch: Launch) -> Data:
    """The variable that names the cards inside a container: those that it has are counted from 0 with NVIDIA, elsewhere it sees all."""
    ordered = sorted(launch.devices)
    if launch.visible is not None and launch.vendor != "nvidia":
        return dict([launch.visible])
    if launch.visible is None or ordered == list(launch.devices):
        return {}
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", launch.visible[0]: ",".join(str(ordered.index(number)) for number in launch.devices)}


def _published(host: str) -> str:
    """The host address to publish a port on; anything but an address becomes the loopback."""
    try:
        ip_address(host)
    except ValueError:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _bind(source: str, target: str, back: str, read_only: bool) -> Data:
    """A file or folder of the spec in a container."""
    path = container_path(source if is_path(source) else f"./{source}", back)
    return {"type": "bind", "source": path, "target": target, **({"read_only": True} if read_only else {})}


def _cache(launch: Launch) -> Data:
    target, folder = launch.cache[0], launch.deploy.get("cache_dir")
    return _bind(str(folder), target, launch.back, read_only=False) if folder else {"type": "volume", "source": "cache", "target": target}


def _compiled(launch: Launch) -> list[Data]:
    """What the engine compiles at its first start, kept for the next."""
    target = launch.facts["container"].get("compile_cache")
    return [{"type": "volume", "source": "compiled", "target": target}] if target and launch.vendor != "cpu" else []


def _mounts(launch: Launch) -> list[Data]:
    if launch.creates_model:
        return []
    mounts = []
    if launch.config_name:
        mounts.append(mounted(launch.config_name, f"{CONFIG_INSIDE}/{launch.config_name}"))
    places = [*launch.candidate.adapters.values(), str((launch.candidate.speculative or {}).get("model") or "")]
    mounts += [_bind(place, place, launch.back, read_only=True) for place in dict.fromkeys(filter(is_path, places))]  # where the words say
    if launch.weights.local:
        mounts.append(_bind(*launch.weights.mount, launch.weights.back, read_only=True))
    return mounts


def _devices(launch: Launch) -> Data:
    match launch.vendor:
        case "nvidia":
            ids: list[Word] = [str(number) for number in sorted(launch.devices)]
            if launch.slice:
                ids = [Ref("MIG_DEVICE", f"set MIG_DEVICE to a {launch.slice} slice: its UUID, or card:slice such as 0:1")]
            which: Data = {"device_ids": ids} if ids else {"count": min(launch.gpus, launch.gpus_per_node)}
            gpu = {"driver": "nvidia", **which, "capabilities": ["gpu"]}
            return {"deploy": {"resources": {"reservations": {"devices": [gpu]}}}}
        case "amd":
            return {"devices": list(launch.back_end.get("devices", AMD)), "group_add": ["video"]}
        case "intel":
            return {"devices": ["/dev/dri"], "group_add": ["video"]}
        case _:
            return {}


def _health(launch: Launch) -> Data:
    inside = launch.facts["container"]
    times, probe = inside["health_check"], inside["probe"]
    url = f"http://127.0.0.1:{inside['port']}{launch.facts['health']}"
    if probe == "python3":
        test = ["CMD", "python3", "-c", f"import urllib.request as r; r.build_opener(r.ProxyHandler({{}})).open({url!r}, timeout={times['timeout_s']})"]
    elif probe == "curl":
        test = ["CMD", "curl", "-fsS", "--noproxy", "*", "-o", "/dev/null", url]
    else:
        test = ["CMD", *probe]
    return {
        "test": test,
        "interval": f"{times['interval_s']}s",
        "timeout": f"{times['timeout_s']}s",
        "retries": times["retries"],
        "start_period": f"{launch.start_up.seconds}s",
    }


def creation_of(launch: Launch, image: str) -> dict[str, Any]:
    """The one-shot service that creates the model in the running server."""
    folder, model = modelfile_inside(launch)
    volumes = [mounted("Modelfile", f"{folder}/Modelfile")]
    if model is not None:
        volumes.append(_bind(launch.weights.name, model, launch.weights.back, read_only=True))
    volumes += [_bind(place, place, launch.back, read_only=True) for place in launch.candidate.adapters.values()]  # what ADAPTER names
    return {
        "image": image,
        "entrypoint": launch.program()[:1],
        "command": launch.create(f"{folder}/Modelfile"),
        "environment": {
            entry_of(launch.engine, "host")["env"]: f"http://{launch.engine.name}:{launch.facts['container']['port']}",
            "NO_PROXY": launch.engine.name,
        },
        "volumes": volumes,
        "depends_on": {launch.engine.name: {"condition": "service_healthy"}},
        "restart": "on-failure",
    }


SERVICE = "nginx"


def balancer(launch: Launch, header: str, inside: bool) -> Artifact | None:
    """The configuration of nginx on this machine or in a container; None for one server."""
    if launch.copies == 1:
        return None
    port = launch.facts["container"]["port"]
    host = f"[{launch.host}]" if ":" in launch.host else launch.host
    text = templates.render(
        "nginx.conf.j2",
        header=header,
        seal=launch.seal,
        facts=launch.facts["copies"]["balancer"],
        listen=port if inside else f"{host}:{launch.port}",
        servers=[f"{name}:{port}" for name in _names(launch)] if inside else [f"{LOOPBACK}:{launch.first_port + i}" for i in range(launch.copies)],
    )
    return Artifact(f"{launch.engine.name}/{BALANCER_INSIDE if inside else BALANCER}", text)


def of_compose(launch: Launch, server: Data, ports: list[str]) -> Data:
    """A service for each copy, all like the first but for their GPUs, and one for nginx, which has the published ports."""
    names, variable = _names(launch), str(launch.variable)
    given = str(server["environment"].get(variable) or "").split(",")
    all_gpus = given if len(given) >= launch.gpus else [str(i) for i in range(launch.gpus)]
    size = launch.server_gpus
    own = [{variable: ",".join(all_gpus[i * size : (i + 1) * size])} for i in range(launch.copies)]
    services: Data = {names[0]: {**server, "environment": {**server["environment"], **own[0]}}}
    services |= {name: {"extends": {"service": names[0]}, "environment": gpus} for name, gpus in zip(names[1:], own[1:], strict=True)}
    services[SERVICE] = {
        "image": launch.facts["copies"]["balancer"]["image"],
        "entrypoint": ["nginx"],
        "command": ["-e", "stderr", "-p", "/tmp", "-c", f"{CONFIG_INSIDE}/{BALANCER_INSIDE}"],
        "env_file": server["env_file"],
        "ports": ports,
        "volumes": [mounted(BALANCER_INSIDE, f"{CONFIG_INSIDE}/{BALANCER_INSIDE}")],
        "depends_on": {name: {"condition": "service_healthy", "restart": True} for name in names},
        "restart": server["restart"],
    }
    return services


def mounted(name: str, target: str) -> Data:
    """A file of this folder in a container."""
    return {"type": "bind", "source": f"./{name}", "target": target, "read_only": True}


def _names(launch: Launch) -> list[str]:
    return [f"{launch.engine.name}-{i + 1}" for i in range(launch.copies)]
