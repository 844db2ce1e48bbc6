"""Specs with a hostile text in every place that takes one, and the same specs with a plain word in each of these places.

A shape is a spec of one engine with numbered places. What a place becomes in the files is learnt from its plain word, so a
hostile text is where it belongs exactly if the files are those of the plain words with the texts put in for them.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hostile_values

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tests/data/configs/Qwen__Qwen2.5-7B-Instruct.json"
MOST = 20
"""Values in one spec."""

OPTIONS = {
    "vllm": ["response-role", "ignore-patterns", "generation-config", "tokenizer"],
    "sglang": ["weight-version", "completion-template", "trace-modules", "constrained-json-whitespace-pattern"],
    "tgi": ["otlp-endpoint", "otlp-service-name", "cors-allow-origin", "tokenizer-config-path"],
    "tensorrt-llm": ["tokenizer", "otlp_traces_endpoint"],
    "llama.cpp": ["grammar", "api-prefix", "path"],
    "ollama": ["stop", "OLLAMA_LLM_LIBRARY"],
}
"""Options of each engine that take any text, for `extra_args`."""


@dataclass(frozen=True)
class Place:
    """Where a text stands in a spec: its path (`*` for a key that is the text itself), its kind, what goes before it.

    `arrives` says where it must be found: in some file, or in the environment; empty where it need not be in any.
    """

    path: tuple[str, ...]
    kind: str = "text"
    prefix: str = ""
    arrives: str = ""
    word: bool = False
    """Whether only words of a vocabulary belong here, or it is a key: then the plain spec leaves it out."""

    @property
    def name(self) -> str:
        """The field's name in reports."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Shape:
    """A spec with places."""

    name: str
    engine: str
    fixed: Mapping[str, Any]
    places: tuple[Place, ...]
    files: Mapping[str, Path] = field(default_factory=dict)


def _deploy(engine: str, cache: str, variables: int) -> list[Place]:
    found = [
        Place(("deploy", "served_name"), arrives="" if engine in ("tgi", "tensorrt-llm") else "files"),
        Place(("deploy", "host"), "host", arrives="files"),
        Place(("deploy", "image"), "image", arrives="files"),
        Place(("deploy", "cache_dir"), prefix=cache, arrives="files"),
        Place(("deploy", "namespace"), "label"),
    ]
    found += [Place(("deploy", "extra_args", engine, option), arrives="files") for option in OPTIONS[engine]]
    found += [Place(("deploy", "env", f"HOSTILE_{number}"), arrives="environment") for number in range(variables)]
    return found


def _shape(name: str, engine: str, fixed: dict[str, Any], places: list[Place], cache: str = "") -> Shape:
    many = [*places, *_deploy(engine, cache, 9)][:MOST]
    base = {"hardware": {"gpu": "A100-80GB"}, "pin": {"engine": engine}, **fixed}
    return Shape(name, engine, base, tuple(many), {"config.json": CONFIG})


def shapes() -> list[Shape]:
    """Every shape: each engine with a repository, a path and Ollama's own names; weights to be made; names of parts."""
    found = []
    for engine in ("vllm", "sglang", "tgi", "tensorrt-llm"):
        for form, prefix, cache in (("repository", "org/", ""), ("path", "./", "./"), ("absolute", "/models/", "/srv/"), ("home", "~/", "~/")):
            fixed = {"model": {"config": "config.json"}, "deploy": {"api_key_from": "MY_KEY"} if form != "path" else {}}
            places = [Place(("model", "id"), prefix=prefix, arrives="files")]
            if form == "repository":
                places.append(Place(("model", "revision"), "revision", arrives="files"))
            found.append(_shape(f"{engine}/{form}", engine, fixed, places, cache))
    for engine in ("llama.cpp", "ollama"):
        for form, prefix, cache in (("repository", "org/", "./"), ("path", "./", "~/"), ("absolute", "/models/", "/srv/")):
            fixed = {"model": {"id": "org/model", "config": "config.json"}, "pin": {"engine": engine, "quantization": "gguf-q4_k_m"}}
            found.append(_shape(f"{engine}/{form}", engine, fixed, [Place(("model", "checkpoints", "gguf-q4_k_m"), prefix=prefix, arrives="files")], cache))
    hub = [Place(("model", "id"), prefix="org/", arrives="files"), Place(("model", "revision"), "revision")]
    texts = [Place(("quantize", "calibration", "dataset"), arrives="files"), Place(("quantize", "calibration", "split"), "option", arrives="files")]
    for tool, engine, method in (("llm-compressor", "vllm", "awq"), ("gptqmodel", "sglang", "gptq"), ("modelopt", "tensorrt-llm", "fp8")):
        fixed = {"model": {"config": "config.json"}, "pin": {"engine": engine, "quantization": method}, "quantize": {"tool": tool}}
        fixed["hardware"] = {"gpu": "H100-80GB"}
        found.append(_shape(f"{tool}/{engine}", engine, fixed, [*hub, *(texts if method != "fp8" else [])]))
    local = [Place(("model", "id"), prefix="./", arrives="files"), Place(("quantize", "calibration", "file"), prefix="./", arrives="files")]
    fixed = {"model": {"config": "config.json"}, "pin": {"engine": "vllm", "quantization": "awq"}, "quantize": {"tool": "llm-compressor"}}
    found.append(_shape("llm-compressor/path", "vllm", fixed, local))
    for engine in ("llama.cpp", "ollama"):
        fixed = {"model": {"config": "config.json"}, "pin": {"engine": engine, "quantization": "gguf-q4_k_m"}, "quantize": {"tool": "llama.cpp"}}
        found.append(_shape(f"gguf/{engine}", engine, fixed, [*hub, Place(("quantize", "calibration", "file"), prefix="./")]))
    gpu = {"hardware": {"gpu": {"memory_gib": 80, "compute_capability": 8.0}}, "model": {"id": "org/model", "config": "config.json"}}
    found.append(_shape("gpu/vllm", "vllm", gpu, [Place(("hardware", "gpu", "name"))]))
    open_keys = {"model": {"id": "org/model", "config": "config.json"}, "deploy": {"allow_unknown": True}}
    keys = [Place(("deploy", "extra_args", "vllm", "*"), "option", arrives="files"), Place(("deploy", "env", "*"), "variable", arrives="environment")]
    found.append(_shape("keys/vllm", "vllm", open_keys, keys))
    found.append(_shape("labels/vllm", "vllm", {"model": {"id": "org/model", "config": "config.json"}}, [Place(("labels", "team"))]))
    words = [("model",), ("hardware", "gpu"), ("hardware", "interconnect"), ("workload", "profile"), ("workload", "goal"), ("pin", "engine_version")]
    words += [("pin", "quantization"), ("pin", "kv_cache_dtype"), ("name",), ("deploy", "api_key_from"), ("model", "checkpoints", "*"), ("*",)]
    whole = {"model": {"id": "org/model", "config": "config.json"}}
    found += [_shape(f"word/{'.'.join(path)}", "vllm", whole, [Place(path, "option", word=True)]) for path in words]
    return found


@dataclass
class Case:
    """One spec: a shape, and the text of each place; those in `plain` have their plain word."""

    shape: Shape
    folder: Path
    file: str
    number: int
    texts: dict[int, str]
    refused: dict[int, str] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    spec: str = ""

    @property
    def name(self) -> str:
        """The deployment's name: the folder of its files."""
        return f"s{self.number:07}"

    @property
    def path(self) -> Path:
        """The spec's file."""
        return self.folder / self.file

    def text_of(self, index: int) -> str:
        """What stands in a place now, without what goes before it."""
        return self.texts[index] if index in self.texts and index not in self.refused else plain(index)

    def write(self, chance: random.Random) -> None:
        """The spec's file; `lines` says which place each line holds."""
        data: dict[str, Any] = json.loads(json.dumps(self.shape.fixed))
        data.setdefault("name", self.name)
        for index, place in enumerate(self.shape.places):
            if not place.word or (index in self.texts and index not in self.refused):
                _put(data, place.path, _Text(index, place.prefix + self.text_of(index)))
        lines: list[str] = []
        self.lines = {}
        _emit(data, 0, lines, self.lines, chance)
        self.spec = "\n".join(lines) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for name, source in self.shape.files.items():
            if not (self.folder / name).exists():
                (self.folder / name).write_bytes(source.read_bytes())
        self.path.write_text(self.spec, encoding="utf-8", newline="")


@dataclass(frozen=True)
class _Text:
    index: int
    text: str


def plain(index: int) -> str:
    """The plain word of a place."""
    return f"mk{index:02}zz"


PLAIN = re.compile(r"mk(\d\d)zz")


def _put(data: dict[str, Any], path: tuple[str, ...], text: _Text) -> None:
    inside = data
    for step in path[:-1]:
        held = inside.get(step)
        if not isinstance(held, dict):
            held = inside[step] = {}
        inside = held
    if path[-1] == "*":
        inside[text] = "1"  # type: ignore[index]
    else:
        inside[path[-1]] = text


def _emit(data: Mapping[Any, Any], indent: int, lines: list[str], places: dict[int, int], chance: random.Random) -> None:
    for key, value in data.items():
        head = key
        if isinstance(key, _Text):
            head = _scalar(key.text, chance)
            places[len(lines) + 1] = key.index
        start = " " * indent + f"{head}:"
        if isinstance(value, _Text):
            places[len(lines) + 1] = value.index
            lines.append(f"{start} {_scalar(value.text, chance)}")
        elif isinstance(value, dict):
            lines.append(start if value else start + " {}")
            _emit(value, indent + 2, lines, places, chance)
        else:
            lines.append(f"{start} {json.dumps(value)}")


ODD = "\x85\u00a0\u00ad\u200b\u2028\u2029\u202e\u2066\u3000"
"""Characters that YAML takes as they are, and some readers make something else of."""


def _scalar(text: str, chance: random.Random) -> str:
    """A text as a YAML scalar in quotes on one line: raw where YAML takes it so, else with escapes."""
    dice = chance.random()
    if text.isprintable() and dice < 0.3:
        return "'" + text.replace("'", "''") + "'"
    quoted = json.dumps(text, ensure_ascii=False)
    kept = ODD if 0.8 < dice <= 0.9 else ""
    return "".join(c if (c.isprintable() and (dice < 0.9 or c.isascii())) or c in kept else f"\\U{ord(c):08x}" for c in quoted)


FOLDER_KINDS = [
    "", "a b", "it's", "$(touch pwned)", "$HOME", "`x`", "{{ 7*7 }}", "a;b", "é模型", "[x](y)", "<b>", "a|b", '"q"', "#x", "\\", "-x",
    "::error ::x", "@root", "a$$b", "%s",
]  # fmt: skip
"""What folders and files of specs are called, besides their number."""


def case(shape: Shape, number: int, root: Path, chance: random.Random, hostile: bool = True) -> Case:
    """A case of a shape; without `hostile` the one of plain words, by which the others are judged."""
    texts = {i: hostile_values.value(chance, place.kind) for i, place in enumerate(shape.places)} if hostile else {}
    texts = {i: _of_its_kind(shape, shape.places[i], text) for i, text in texts.items()}
    odd = [chance.choice(FOLDER_KINDS) if chance.random() < 0.5 else "" for _ in range(2)] if hostile else ["", ""]
    return Case(shape, root / "specs" / f"{number:07}{odd[0]}", f"f{odd[1]}.yaml", number, texts)


def _of_its_kind(shape: Shape, place: Place, text: str) -> str:
    """The text, but that it stays what the plain word is: another kind of address, path or repository is written otherwise."""
    if place.word and place.name in ("name", "deploy.api_key_from"):
        return text + "!"  # one that is a name would be the folder's, or a variable that nobody sets
    if place.kind == "host":
        text = text.replace(":", ".")
        return text + "x" if text[-1:].isdigit() else text
    if place.name == "deploy.cache_dir" and not place.prefix:
        return "c" + text if text.startswith(("/", "~/", ".")) else text
    if place.path[:2] == ("model", "checkpoints") and place.prefix == "org/":
        text = text.replace(":", ";")  # behind a colon stands which of a repository's files
    if shape.engine == "ollama" and place.path[0] == "model":
        return text.replace("..", ".")  # how far up a path leads says how deep the Modelfile lies in the container
    return text
