"""The launch of one candidate: its command line on this machine and in a container, its environment, its files.

Floor 6, pure. Script, Compose file, smoke test and PLAN.md all read this, so that they always agree."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from posixpath import basename
from typing import Any

from generator.errors import internal
from generator.facts.engine import Engine, resolve_engine, way_of
from generator.plan import Candidate, Plan
from generator.quantity import ceil_div
from generator.record import dataclass
from generator.render.seal import draft
from generator.render.spelling import LAUNCH, Spelled, check_dashes, entry_of, put, spell, takes_file
from generator.render.weights import StartUp, Weights, start_up, weights_of
from generator.render.words import Beside, Home, Ref, Word
from generator.rulebook.book import RuleBook

OWN = ("script", "compose")
"""The targets of this room, which are the default; the others are rooms of their own."""
CONFIG_INSIDE = "/gen-deploy"
BALANCER, BALANCER_INSIDE = "nginx.conf", "nginx.compose.conf"
"""What nginx in front of several copies reads on this machine, and in its container."""
LAST_PORT = 65535
LOOPBACK = "127.0.0.1"
VISIBLE = {"nvidia": "CUDA_VISIBLE_DEVICES", "amd": "HIP_VISIBLE_DEVICES", "intel": "ZE_AFFINITY_MASK"}
"""The variable that limits a process to some GPUs, by vendor."""


@dataclass(frozen=True)
class Launch:
    """One candidate, ready for rendering. `deploy` is the spec's section of that name with defaults."""

    plan: Plan
    candidate: Candidate
    engine: Engine
    deploy: Mapping[str, Any]
    vendor: str
    gpus_per_node: int
    back: str
    book: RuleBook

    @property
    def facts(self) -> Mapping[str, Any]:
        """The facts of the engine."""
        return self.engine.facts

    @cached_property
    def weights(self) -> Weights:
        """The location of the weights."""
        return weights_of(self.plan, self.candidate, self.back)

    @cached_property
    def start_up(self) -> StartUp:
        """How long the server may take until it answers."""
        return start_up(self.plan, self.candidate, self.book)

    @cached_property
    def spelled(self) -> Spelled:
        """The settings in the engine's spelling, with the user's extra arguments."""
        spelled = spell(self.engine, self.candidate.settings)
        if self.nodes > 1 and self.has("nodes"):
            put(spelled, self.engine, "nodes", self.nodes)
        if extra := (self.deploy.get("extra_args") or {}).get(self.engine.name):
            from generator.render.extra import add_extra  # imported lazily: few specs have any

            add_extra(spelled, self.engine, extra, self.book)
        if takes_file(self.engine) == "all" and self.has("served_name"):
            spelled.config = {entry_of(self.engine, "served_name")["key"]: self.served, **spelled.config}
        return spelled

    @cached_property
    def seal(self) -> str:
        """The placeholder for the folder's seal in this engine's files, until the seal is known."""
        return draft(self.plan.spec)

    @property
    def gpus(self) -> int:
        """GPUs of this deployment, over all nodes and copies."""
        return self.server_gpus * self.copies

    @cached_property
    def server_gpus(self) -> int:
        """GPUs of one server."""
        return self.candidate.gpus // self.copies

    @cached_property
    def copies(self) -> int:
        """Number of servers behind one address: the replicas, unless one server runs them by its own data parallelism."""
        return 1 if self.candidate.settings.get("data_parallel") == self.candidate.replicas else self.candidate.replicas

    @property
    def first_port(self) -> int:
        """The port of the first of several copies on this machine; those of the others follow."""
        return self.port + 1 if self.port + self.copies <= LAST_PORT else self.port - self.copies

    @cached_property
    def nodes(self) -> int:
        """Number of machines for one copy of the model."""
        return max(1, ceil_div(self.server_gpus, self.gpus_per_node))

    @cached_property
    def machine_gpus(self) -> int:
        """GPUs of one server on one machine; 0 where the processor computes."""
        return 0 if self.vendor == "cpu" else min(self.server_gpus, self.gpus_per_node)

    @cached_property
    def host(self) -> str:
        """The address to listen on."""
        return str(self.candidate.settings.get("host") or self.deploy.get("host") or "127.0.0.1")

    @cached_property
    def port(self) -> int:
        """The port on this machine."""
        return int(self.candidate.settings.get("port") or self.deploy.get("port") or self.facts["port"])

    @property
    def base_url(self) -> str:
        """The server's address for programs on this machine."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else "::1" if self.host == "::" else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @cached_property
    def hub(self) -> Mapping[str, Any]:
        """How the engine loads from the hub that the spec, or a variable of the spec, names; empty for files on this machine."""
        named, env = self.plan.spec["model"].get("hub"), self.deploy.get("env") or {}
        switched = (
            name for name, way in (self.facts.get("loads_from") or {}).items()
            if any(env.get(variable, "").lower() == value.lower() for variable, value in (way.get("env") or {}).items())
        )  # fmt: skip
        return {} if self.weights.local else way_of(self.facts, named or next(switched, None))

    @property
    def offline(self) -> bool:
        """Whether the weights are a folder or file that is already there, so that nothing is downloaded."""
        return self.weights.local and bool(self.plan.spec["model"].get("path"))

    @cached_property
    def cache(self) -> tuple[str, str | None]:
        """The folder of downloads in a container, and the variable that names it."""
        inside = {**self.facts["container"], **self.hub}
        return inside["cache_path"], inside.get("cache_env")

    @cached_property
    def served(self) -> str:
        """The requested served name."""
        return str(self.candidate.settings.get("served_name") or self.deploy.get("served_name") or self.plan.name)

    @cached_property
    def request_name(self) -> str:
        """The name that requests give: what was asked for, or the model's own where the engine knows no other."""
        return self.served if self.has("served_name") or self.creates_model else self.weights.shown

    @cached_property
    def creates_model(self) -> bool:
        """Whether the server takes its models by `create` from a Modelfile, not at its start."""
        return bool((self.facts.get("config_file") or {}).get("format") == "modelfile")

    def has(self, setting: str) -> bool:
        """Whether the engine can spell a setting at this version."""
        return self.engine.spelling(setting) is not None

    @cached_property
    def config_name(self) -> str | None:
        """The name of the engine's own YAML file, if it has one with content."""
        return str(self.facts["config_file"]["name"]) if takes_file(self.engine) != "nothing" and self.spelled.config else None

    def program(self) -> list[Word]:
        """The command that starts the engine on this machine."""
        return list(self.facts["command"])

    def words(self, inside: bool = False) -> list[Word]:
        """The arguments, on this machine or inside a container."""
        positional, flags = self.options(inside)
        return [*positional, *Spelled(flags).argv()]

    def options(self, inside: bool = False) -> tuple[list[Word], dict[str, list[Word] | None]]:
        """The same as the words that stand alone, and the values of each option (None for a switch)."""
        if self.creates_model:
            return [], {}
        address = {"host": self.host, "port": self.port}
        if inside:
            address = {"host": "0.0.0.0", "port": self.facts["container"]["port"]}
        elif self.copies > 1:
            address = {"host": LOOPBACK}  # the script adds the port of each copy
        positional, flags = self._model(inside)
        if self.config_name:
            file = f"{CONFIG_INSIDE}/{self.config_name}" if inside else Beside(self.config_name)
            flags[self.facts["config_file"]["flag"]] = [file]
        if takes_file(self.engine) != "all" and self.has("served_name"):
            flags[entry_of(self.engine, "served_name")["flag"]] = [self.served]
        flags |= {flag: values for flag, values in self.spelled.flags.items() if flag not in flags}
        flags |= {entry_of(self.engine, name)["flag"]: [str(value)] for name, value in address.items()}
        if self.deploy.get("api_key_from") and "api_key_flag" in self.facts:
            flags[self.facts["api_key_flag"]] = [self.api_key]
        check_dashes(self.engine, (*positional, self.served, *(values[0] for values in flags.values() if values), *self.spelled.config.values()))
        return positional, flags

    def _model(self, inside: bool) -> tuple[list[Word], dict[str, list[Word] | None]]:
        weights = self.weights
        place: Word = (weights.inside if inside else weights.host) if weights.local else weights.name
        if self.has("hf_repo") and not weights.local:
            return [], self._at_commit(inside) if weights.is_file_name and self.candidate.revision and "file_address" in self.facts else self._repository()
        entry = entry_of(self.engine, "model")
        return ([place], {}) if entry.get("positional") else ([], {entry["flag"]: [place]})

    def _repository(self) -> dict[str, list[Word] | None]:
        weights = self.weights
        repo, file = entry_of(self.engine, "hf_repo")["flag"], entry_of(self.engine, "hf_file")["flag"]
        if weights.is_file_name:
            return {repo: [weights.name], file: [str(weights.file)]}
        return {repo: [f"{weights.name}:{weights.file.upper()}" if weights.file else weights.name]}

    def _at_commit(self, inside: bool) -> dict[str, list[Word] | None]:
        """Files by their address at a commit, and where they are kept: of each commit in a folder of its own, as the engine goes by names.

        Without the place llama.cpp b11312 starts as a router without a model."""
        name, commit, at, env = self.weights.name, str(self.candidate.revision), self.facts["file_address"], self.deploy.get("env") or {}
        base = next((env[variable] for variable in at["env"] if variable in env), at["base"]).rstrip("/")
        variable = self.facts["container"]["cache_env"]
        kept = self.cache[0] if inside else env.get(variable)
        found: dict[str, list[Word] | None] = {}
        for key, file in (("model", self.weights.file), ("mmproj", self.candidate.projector)):
            if file:
                place = f"{name.replace('/', '--')}/{commit[:12]}/{basename(file)}"
                found[entry_of(self.engine, key)["flag"]] = [Home(f"{at['kept']}/{place}") if kept is None else f"{kept}/{place}"]
                found[entry_of(self.engine, f"{key}_url")["flag"]] = [f"{base}/{name}/resolve/{commit}/{file}"]
        return found

    @property
    def api_key(self) -> Ref:
        """The API key, as a reference to its environment variable."""
        name = str(self.deploy["api_key_from"])
        return Ref(name, f"set {name} to the API key for clients")

    @cached_property
    def takes_key(self) -> bool:
        """Whether the engine can require an API key."""
        return "api_key_env" in self.facts or "api_key_flag" in self.facts

    @property
    def key_shown(self) -> bool:
        """Whether the key is a command-line argument, because the engine reads no variable for it."""
        return bool(self.deploy.get("api_key_from")) and self.takes_key and "api_key_env" not in self.facts

    @property
    def client_key(self) -> Ref | None:
        """The API key that clients send, if the server requires one."""
        return self.api_key if self.deploy.get("api_key_from") and self.takes_key else None

    def create(self, modelfile: Word) -> list[Word]:
        """The words by which a running server makes its model from a Modelfile, quantized if that is the plan's job."""
        job = self.candidate.job
        own = ["-q", job.scheme] if job is not None and job.tool == self.engine.name else []
        return ["create", self.served, *own, "-f", modelfile]

    def env(self) -> dict[str, Word]:
        """The environment of both script and container: the engine's, the key by reference, the spec's."""
        env: dict[str, Word] = {**self.spelled.env, **self.hub.get("env", {})}
        if self.offline:
            env |= self.facts.get("offline", {}).get("env", {})
        if self.deploy.get("api_key_from") and "api_key_env" in self.facts:
            env[self.facts["api_key_env"]] = self.api_key
        return {**env, **(self.deploy.get("env") or {})}

    @property
    def devices(self) -> tuple[int, ...]:
        """The numbers of this machine's cards that the spec gives to the deployment; none where it takes the first."""
        return tuple(self.plan.spec["hardware"].get("devices") or ())[: self.gpus]

    @property
    def slice(self) -> str:
        """The MIG profile of the slice that the engine runs on, empty for a whole GPU; which slice that is, only the machine's owner knows."""
        return str(self.plan.spec["hardware"].get("mig") or "")

    @property
    def back_end(self) -> Mapping[str, Any]:
        """The facts of the back end that computes; empty for an engine without a choice of them."""
        known: Mapping[str, Mapping[str, Any]] = self.facts.get("back_ends") or {}
        return known.get(self.candidate.back_end or "", {})

    @cached_property
    def variable(self) -> str | None:
        """The variable that limits a process to some GPUs."""
        return self.back_end.get("variable") if self.back_end else VISIBLE.get(self.vendor)

    @property
    def visible(self) -> tuple[str, str] | None:
        """The variable that limits the engine to the planned GPUs, if it would use others; no numbers for a MIG slice."""
        name = self.variable
        if name is None:
            return None
        if self.devices or self.slice:
            return name, ",".join(map(str, self.devices))
        return (name, ",".join(map(str, range(self.gpus)))) if self.facts.get("uses_all_gpus") and self.gpus < self.gpus_per_node else None


def launch_of(plan: Plan, candidate: Candidate, book: RuleBook, back: str) -> Launch:
    """The launch of a candidate. Raises an internal error if the candidate spans nodes and the engine has no option for that."""
    engine = resolve_engine(candidate.engine, candidate.engine_version, book)
    hardware = plan.spec["hardware"]
    deploy, per_node = plan.spec.get("deploy") or {}, int(hardware.get("gpus_per_node") or 1)
    launch = Launch(plan, candidate, engine, deploy, str(plan.facts["gpu.vendor"]), per_node, back, book)
    if launch.nodes > 1 and not (launch.has("nodes") or "mpi" in launch.facts):
        raise internal("no-flag", f"{engine.name} {engine.version} starts on a single node only, but {launch.gpus} GPUs are planned")
    if launch.copies > 1 and (launch.nodes > 1 or launch.creates_model or launch.variable is None):
        raise internal("no-copies", f"the files start one copy of {engine.name} on {launch.vendor}, but {launch.copies} are planned")
    unknown = [name for name in candidate.settings if name not in LAUNCH and not engine.has(name)]
    if unknown:
        raise internal("no-flag", f"{engine.name} {engine.version} has no spelling for {', '.join(map(repr, unknown))}")
    return launch
