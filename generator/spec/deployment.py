"""The spec as frozen data, and all problems of its file at once, each at its place.

Floor 2, pure except for reading the schema. Defaults that depend on the profile are rules, not code. Secrets are
detected by key name or form, and refused before any message can repeat them: their names and forms are data (`rules/secrets.json`) outside
the rule sets, so no rule set can switch them off."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.errors import InputError, Problem
from generator.readers.boundary import WAY_OUT, lies_in
from generator.readers.document import Document, KeyPath, read_yaml
from generator.readers.problems import in_order, schema_problems, text_problems, texts
from generator.readers.resources import shipped
from generator.record import dataclass
from generator.rulebook.renamed import in_spec
from generator.rulebook.schemas import Schema, accepts

if TYPE_CHECKING:
    from generator.hub.lock import Lock

VERSION = 1
HUGGING_FACE = "huggingface"


@dataclass(frozen=True)
class ModelRequest:
    """The spec's model section; paths are as written, relative to the spec.

    `form` is the method of a `prepared` checkpoint that the id names, or of the GGUF file that `path` is; the spec never says either."""

    id: str
    revision: str | None = None
    config: str | None = None
    gguf: str | None = None
    safetensors: str | None = None
    parameters: float | None = None
    path: str | None = None
    hub: str | None = None
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    form: str | None = None
    prepared: str | None = None

    @property
    def local(self) -> bool:
        """Whether the weights are files on the machine that serves."""
        return bool(self.path or self.gguf) or is_path(self.id)

    @property
    def elsewhere(self) -> str | None:
        """The hub that the weights are loaded from, if it is not Hugging Face."""
        return None if self.local or self.hub == HUGGING_FACE else self.hub


@dataclass(frozen=True)
class HardwareRequest:
    """The spec's hardware section. `gpu` is a catalogue name or the fields of an unlisted GPU (GiB, GB/s).

    With `gpus_auto` the decision sets `gpus_per_node` to the smallest number that meets the objectives. `devices` are the driver's
    numbers of the cards. `gpus` are groups of unequal cards, of which a decision takes `cards`, one entry each; `at` is where `gpu` stands."""

    gpu: str | Mapping[str, object]
    gpus_per_node: int = 1
    nodes: int = 1
    memory_gib: float | None = None
    interconnect: str | None = None
    host_memory_gib: float | None = None
    host_bandwidth_gb_per_s: float | None = None
    gpus_auto: bool = False
    mig: str | None = None
    devices: tuple[int, ...] = ()
    share_gib: float | None = None
    machine: str | None = None
    network: str | None = None
    download_mb_per_s: float | None = None
    disk_mb_per_s: float | None = None
    gpus: tuple[Mapping[str, Any], ...] = ()
    cards: tuple[str | Mapping[str, object], ...] = ()
    at: KeyPath = ("hardware", "gpu")


@dataclass(frozen=True)
class DeploymentSpec:
    """One spec. `workload`, `serve`, `pin`, `quantize` and `deploy` contain only the user's keys; `folder` is the folder of the file.

    `labels` are words of the owner's own. `quantize` is None if the spec does not request a quantization job. `within` are the allowed
    folders (symlinks resolved) for the files it names; None: anywhere. `lock` is what was looked up on a model hub (None: nothing was)."""

    name: str
    model: ModelRequest
    hardware: HardwareRequest
    workload: Mapping[str, Any]
    pin: Mapping[str, Any]
    deploy: Mapping[str, Any]
    document: Document
    folder: Path
    quantize: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    serve: Mapping[str, Any] = field(default_factory=dict)
    within: tuple[str, ...] | None = None
    lock: Lock | None = None

    def named_file(self, path: KeyPath, written: str) -> Path:
        """The file named at `path`: relative to the spec, absolute, or in the home folder with `~/`.

        Raises `InputError` if it is outside `within`."""
        if written.startswith("~/"):
            with contextlib.suppress(RuntimeError):  # without a home, `~` is a folder name
                return self.readable(path, Path.home() / written[2:])
        return self.readable(path, self.folder / written)

    def readable(self, path: KeyPath, found: Path) -> Path:
        """A file that the spec refers to at `path`; raises `InputError` if it is outside `within`."""
        if self.within is not None and not lies_in(found, self.within):
            message = f"{path[-1]}: {found.name!r} is outside the project, or inside .git; {WAY_OUT}"
            raise InputError(self.problem(path, "outside-project", message))
        return found

    @property
    def file(self) -> Path:
        """The spec's file."""
        return self.folder / Path(self.document.name).name

    @property
    def words(self) -> str:
        """The spec as the command line names it: its file, or the words that stand in its place."""
        gpus, gpu = self.hardware.gpus_per_node, self.hardware.gpu
        return self.document.name or f'-m {self.model.id} -g "{f"{gpus}x " if gpus > 1 else ""}{gpu}"'

    def problem(self, path: KeyPath, code: str, message: str, key: bool = False) -> Problem:
        """A problem at a part of this spec."""
        return Problem(code, message, self.document.place(path, key))


@lru_cache(1)
def schema() -> Schema:
    """The JSON Schema of a spec, with references resolved."""
    data = shipped("schemas/spec.json")
    return {key: _inlined(part, data["$defs"]) for key, part in data.items() if key != "$defs"}


def _inlined(part: object, shared: Mapping[str, Mapping[str, object]]) -> object:
    if isinstance(part, list):
        return [_inlined(inner, shared) for inner in part]
    if not isinstance(part, dict):
        return part
    said = {key: _inlined(inner, shared) for key, inner in part.items() if key not in ("$ref", "$defs")}
    return {**shared[part["$ref"].rpartition("/")[2]], **said} if "$ref" in part else said


@lru_cache(1)
def _validator() -> Any:
    from jsonschema.validators import Draft202012Validator

    return Draft202012Validator(schema())


def problems_of(document: Document) -> list[Problem]:
    """All schema violations of a spec, in file order."""
    if accepts(schema(), document.data):
        return []
    return schema_problems(document, _validator().iter_errors(document.data), _homes())


def _homes() -> dict[str, str]:
    """Where each key of a section stands, and the spec's word for what engines and people call otherwise."""
    keys = {key: f"{name}.{key}" for name, part in schema()["properties"].items() for key in part.get("properties", ())}
    return {**keys, **{word: home for home, words in schema()["called"].items() for word in words}}


def label(stem: str) -> str:
    """A DNS label from a file's stem: `My spec_2` becomes `my-spec-2`; empty if no character is usable."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower())
    return "-".join(part for part in kept.split("-") if part)[:63].rstrip("-")


def from_document(document: Document, path: Path) -> tuple[DeploymentSpec | None, list[Problem]]:
    """The spec of a document, or all its schema violations."""
    if not isinstance(document.data, dict):
        return None, [Problem("wrong-type", "a spec is a mapping with `model` and `hardware`", document.place())]
    if secrets := secret_problems(document):
        return None, in_order(secrets)  # reported alone: another message could repeat a secret
    document = document._replace(data=whole(document.data, schema()))
    found = problems_of(document)
    if found and (now := in_spec(document)) is not document:
        document, found = now, problems_of(now)
    problems = in_order([*(found or _clashes(document)), *text_problems(document)])
    name = document.data.get("name") or label(path.stem)
    if not name:
        problems.append(Problem("missing-key", f"cannot derive a name from {path.name!r}: add `name`", document.place()))
    if problems:
        return None, problems
    data = document.data
    model = data["model"] if isinstance(data["model"], dict) else {"id": data["model"]}
    return (
        DeploymentSpec(
            name, ModelRequest(**model), _hardware(data["hardware"]), data.get("workload") or {},
            data.get("pin") or {}, data.get("deploy") or {}, document, path.parent,
            data.get("quantize"), data.get("labels") or {}, data.get("serve") or {},
        ),
        [],
    )  # fmt: skip


def is_path(text: str) -> bool:
    """Whether a model or checkpoint is a place on a machine rather than a repository."""
    return text.startswith(("/", "./", "../", "~/")) or text in (".", "..")


def cards_of(gpus: Iterable[Mapping[str, Any]]) -> int:
    """Cards in `hardware.gpus`."""
    return sum(int(group.get("count", 1)) for group in gpus)


_CLASHING = {"gpus": ("gpu", "gpus_per_node", "nodes", "memory_gib", "mig"), "mig": ("devices", "interconnect")}
"""Keys of the hardware section that exclude one another."""


def _clashes(document: Document) -> list[Problem]:
    """Keys of a valid hardware section that contradict one another."""
    data = document.data["hardware"]
    found = [(two, f"`{two}` cannot stand beside `{one}`") for one, others in _CLASHING.items() if one in data for two in others if two in data]
    if devices := data.get("devices"):
        count = cards_of(data.get("gpus", ())) or data.get("gpus_per_node", len(devices))
        if count != len(devices):
            found.append(("devices", f"`devices` names {len(devices)}, but {count} GPUs are given: leave gpus_per_node out, or name as many"))
    return [Problem("contradiction", f"hardware: {message}", document.place(("hardware", key), key=True)) for key, message in found]


def _hardware(data: Mapping[str, Any]) -> HardwareRequest:
    """The machine, with `gpus_per_node: auto` and unequal cards left to the decision."""
    if data.get("gpus_per_node") == "auto":
        return HardwareRequest(**{**data, "gpus_per_node": 1}, gpus_auto=True)
    if "devices" in data:
        data = {**data, "devices": tuple(map(int, data["devices"])), "gpus_per_node": len(data["devices"])}
    if "gpus" in data:
        gpus = tuple(data["gpus"])
        data = {**data, "gpus": gpus, "gpu": gpus[0]["gpu"], "gpus_per_node": cards_of(gpus), "at": ("hardware", "gpus", 0, "gpu")}
    return HardwareRequest(**data)


def whole(value: object, rule: Schema) -> Any:
    """The data with `32.0` and `1e5` converted to integers where the schema wants one, and `128k` to the number that its `units` make of it."""
    if isinstance(value, dict):
        known = {**(rule.get("then") or {}).get("properties", {}), **rule.get("properties", {})}
        return {key: whole(inner, known.get(key) or {}) for key, inner in value.items()}
    if isinstance(value, str) and "units" in rule and re.search(rule["pattern"], value):
        value = round(float(value[:-1]) * rule["units"][value[-1].lower()])
    forms = [rule, *rule.get("anyOf", ())]
    if isinstance(value, float) and value.is_integer() and any("integer" in form.get("type", ()) for form in forms):
        return int(value)
    return value


def read_spec(path: Path, document: Document | None = None) -> DeploymentSpec:
    """A spec from its file, or from a document in its place; in a project, the files it names must be inside. Raises `InputError` with all
    its problems."""
    spec, problems = from_document(document or read_yaml(path), path)
    if spec is None:
        raise InputError(problems)
    from generator.spec.project import bounds  # imported lazily: the public API may not need a project

    spec = with_lock(spec)
    files = spec.model.config or spec.model.gguf or spec.quantize
    return replace(spec, within=bounds(spec.folder)) if files else spec


def with_lock(spec: DeploymentSpec) -> DeploymentSpec:
    """The spec with what the lock of its folder says, if there is one."""
    from generator.spec.project import lock_path  # imported lazily: the public API may not need a project

    path = lock_path(spec.folder)
    if not path.is_file():
        return spec
    from generator.hub.lock import read_lock  # imported lazily: many specs have no lock

    return replace(spec, lock=read_lock(path))


SECRETS = "secrets.json"
ELSEWHERE = "set it in the environment that starts the server; for the API key of clients, name its variable in deploy.api_key_from"


def is_secret_name(name: str) -> bool:
    """Whether an option or variable with this name holds a secret."""
    known = shipped(SECRETS)["names"]
    words = " " + re.sub(r"[-_.]+|(?<=[a-z0-9])(?=[A-Z])", " ", name).lower().rstrip(" 0123456789")
    return words.endswith(tuple(f" {end}" for end in known["ends"])) and not words.endswith(tuple(f" {end}" for end in known["not"]))


def secret_in(text: str) -> str | None:
    """The kind of secret found in a text; None for none."""
    for shape in shipped(SECRETS)["values"]:
        if shape["holds"] in text and re.search(shape["pattern"], text):
            return str(shape["title"])
    return None


def secret_problems(document: Document) -> list[Problem]:
    """All secrets in a spec, at their places; no message repeats a secret."""
    found = []
    for path, text, key in texts((), document.data):
        if title := secret_in(text):
            where = "a key" if key else ".".join(map(str, path))
            found.append(_refused(document, path, f"{where} holds {title}", key))
    for path, value in _settings(document.data):
        if is_secret_name(str(path[-1])) and _is_text(value) and not secret_in(str(value)):
            found.append(_refused(document, path, f"{'.'.join(map(str, path))} is a secret by its name", False))
    return found


def _refused(document: Document, path: KeyPath, what: str, key: bool) -> Problem:
    return Problem("secret", f"{what}, and no file may contain one: {ELSEWHERE}", document.place(path, key))


def _is_text(value: object) -> bool:
    """Whether a value could be a secret, unlike switches and words such as `auto`."""
    values = value if isinstance(value, list) else [value]
    return any(isinstance(one, str | int | float) and not isinstance(one, bool) and str(one).lower() not in shipped(SECRETS)["harmless"] for one in values)


def _settings(data: object) -> Iterator[tuple[KeyPath, object]]:
    """The spec's free-form names: environment variables, and options by engine, with the keys inside them."""
    deploy = data.get("deploy") if isinstance(data, dict) else None
    if isinstance(deploy, dict):
        for key in ("env", "extra_args"):
            yield from _leaves(("deploy", key), deploy.get(key))


def _leaves(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, object]]:
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield from _leaves((*path, name), inner)
    if not isinstance(value, dict):
        yield path, value
