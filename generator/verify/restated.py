"""A server's command as a spec: its settings as pins, its other options under `deploy.extra_args`, and what no spec can say.

Floor 6, pure. What a command leaves out is pinned as the engine's own default (`defaults` of its facts), so that a plan starts the same server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from posixpath import basename
from typing import Any, NamedTuple

from generator.decide.context import Context, resolve
from generator.decide.gates import gates
from generator.errors import InputError, Problem, fold
from generator.facts.engine import Engine, resolve_engine
from generator.quantity import version_key
from generator.readers.boundary import lies_in
from generator.readers.json_text import parse
from generator.rulebook.book import RuleBook
from generator.rulebook.table import cell_test
from generator.spec.deployment import is_path, schema
from generator.spec.words import spec_of
from generator.verify.argv import find
from generator.verify.catalogue import Catalogue, Option
from generator.verify.finding import Finding, Text, is_option
from generator.verify.launches import Launch
from generator.verify.values import number

_OTHER_NAMES = {
    "ctx_size": "max_model_len", "context_length": "max_model_len", "cache_type_k": "kv_cache_dtype", "cpu_moe": "cpu_experts",
    "chunked_prefill_size": "max_num_batched_tokens", "ubatch_size": "max_num_batched_tokens", "parallel": "max_num_seqs",
}  # fmt: skip
"""Settings of one engine that say what a pin says; where both stand, the pin's own setting counts less."""
ELSEWHERE = {
    "host": ("deploy", "host"), "port": ("deploy", "port"), "served_name": ("deploy", "served_name"), "data_parallel": ("deploy", "replicas"),
    "trust_remote_code": ("deploy", "trust_remote_code"), "revision": ("model", "revision"), "max_images": ("serve", "images"),
    "nodes": ("hardware", "nodes"),
}  # fmt: skip
"""Settings that a spec says elsewhere than under `pin`."""
_LEFT_OUT = ("node_rank", "head_address", "headless", "cache_type_v", "batch_size", "api_key", "tokenizer_revision")
"""Settings that follow from others in the files of a plan, or that no file may hold."""
OF_THE_MODEL = ("model", "hf_repo", "hf_file", "quantization", "dtype")
_DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


class Restated(NamedTuple):
    """A command as plain data of a spec, the findings of what it cannot say, and the settings that the command itself gave."""

    data: dict[str, Any]
    unsaid: list[Finding]
    given: dict[str, Text]


class Argument(NamedTuple):
    """An option as a command gives it, under the name of its catalogue entry; `inner` is a key inside its JSON value."""

    option: Option
    name: str
    inner: str
    values: list[Text]


def arguments(launch: Launch, known: Catalogue) -> Iterator[Argument | Text]:
    """The options of a command with their values, and its other words."""
    rest = list(launch.words)
    while rest:
        word = rest.pop(0)
        name, equals, joined = word.text.partition("=")
        option = find(name, known)[0] if is_option(word.text) else None
        if option is None:
            yield word
            continue
        values = [Text(joined, word.place, word.known)] if equals else []
        most = len(rest) if option.nargs in ("*", "+") else option.nargs if isinstance(option.nargs, int) else int(option.kind != "switch")
        while not equals and len(values) < most and rest and not is_option(rest[0].text):
            values.append(rest.pop(0))
        inner = name.partition(".")[2] if name not in option.names else ""
        yield Argument(option, name, inner, values or [Text("off" if name in option.off else "on", word.place)])


def restated(launch: Launch, known: Catalogue, hardware: Mapping[str, Any], model: str | None, folder: Path, book: RuleBook) -> Restated:
    """The spec of a command on a machine; `model` is the catalogue's name of what it loads, where its own words hide it.

    A folder with a config.json below `folder`, the launch file's, is read.

    Raises `InputError` where the model or the machine is not known."""
    return _Command(launch, known, hardware, folder, book).restated(model)


def settings_of(engine: Engine, known: Catalogue) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """The neutral setting that each option, variable or parameter says, with its spelling."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for name in engine.facts["flags"]:
        entry = engine.spelling(name) or {}
        for word in (entry.get("flag"), entry.get("env"), entry.get("parameter"), f"--{entry.get('key')}", *entry.get("also", ())):
            option = find(word, known)[0] if word and word.startswith("--") else None
            found.setdefault(option.name if option else str(word), (name, entry))
    return found


class _Command:
    def __init__(self, launch: Launch, known: Catalogue, hardware: Mapping[str, Any], folder: Path, book: RuleBook) -> None:
        self.launch, self.known, self.folder, self.book = launch, known, folder, book
        self.engine = resolve_engine(known.engine, known.version, book)
        self.data: dict[str, Any] = {"hardware": dict(hardware), "pin": {"engine": self.engine.name, "engine_version": self.engine.version}}
        self.unsaid: list[Finding] = []
        self.given: dict[str, Text] = {}
        self.extra: dict[str, Any] = {}
        self.settings = settings_of(self.engine, known)

    def restated(self, model: str | None) -> Restated:
        if self.launch.model is not None:
            self.given["model"] = self.launch.model
        for one in arguments(self.launch, self.known):
            if isinstance(one, Argument):
                self._argument(one)
            elif self.launch.positionals and "model" not in self.given and not is_option(one.text):
                self.given["model"] = one
        for name, value in self.launch.env.items():
            self._variable(name, value)
        for name, values in self.launch.parameters.items():
            one = Argument(Option(name, (name,), str(self.known.facts["parameters"].get(name, {}).get("type", "string"))), name, "", values)
            setting, entry = self.settings.get(name, ("", {}))
            self._setting(setting, entry, values[-1], one) if setting else self._extra(one)
        self._model(model)
        context = resolve(spec_of(self.data, self.folder), self.book)
        self._defaults(context)
        if self.extra:
            self.data.setdefault("deploy", {})["extra_args"] = {self.engine.name: self.extra}
        return Restated(self.data, self.unsaid, self.given)

    def _argument(self, one: Argument) -> None:
        setting, entry = self.settings.get(one.option.name, ("", {}))
        value = one.values[-1]
        if not value.known:
            self._no(one.name, value, "a variable decides its value")
        elif setting and not one.inner and "member" not in entry:
            self._setting(setting, entry, value, one)
        elif setting == "max_images" and (count := number(self._member(one, "image"))) is not None:
            self._setting(setting, entry, Text(str(int(count)), value.place), one)
        else:
            self._extra(one)

    @staticmethod
    def _member(one: Argument, member: str) -> str:
        if one.inner:
            return one.values[-1].text if one.inner == member else ""
        with suppress(InputError):
            data = parse(one.values[-1].text, "", strict=False)
            return str(data.get(member, "")) if isinstance(data, dict) and set(data) == {member} else ""
        return one.values[-1].text.removeprefix(f"{member}=")

    def _setting(self, setting: str, entry: Mapping[str, Any], value: Text, one: Argument) -> None:
        if setting == "api_key":
            self._no(one.name, value, "a secret stands in no file: name its variable, deploy.api_key_from")
        if setting in _LEFT_OUT:
            return
        self.given[setting] = value
        pin = _OTHER_NAMES.get(setting, setting)
        path = ELSEWHERE.get(setting) or (("pin", pin) if pin in schema()["properties"]["pin"]["properties"] else None)
        if setting in OF_THE_MODEL:
            return  # read together, when the model is known
        if path is None:
            self._extra(one)
        elif (said := self._value(entry, value)) is not None and (pin != setting or path[1] not in self.data.get(path[0], {})):
            self.data.setdefault(path[0], {})[path[1]] = said

    def _value(self, entry: Mapping[str, Any], value: Text) -> object:
        """A value in the words of a spec; None where it says what the engine does by itself."""
        ours = {str(word): name for name, word in (entry.get("values") or {}).items()}.get(value.text, value.text)
        if entry["type"] == "switch":
            return value.text != "off"
        figure = number(ours)
        if entry["type"] in ("int", "float"):
            return None if figure is None or figure < 0 else int(figure) if entry["type"] == "int" else figure
        return ours

    def _extra(self, one: Argument) -> None:
        name = one.option.name.lstrip("-")
        if gate := next((gate for gate in gates(self.book, self.engine.name) if not gate.warns and gate.holds(name)), None):
            self._no(one.name, one.values[-1], str(gate.entry["because"]))
            return
        value = self._literal(one)
        if one.inner:
            known, *inner = self.extra.get(name, {}), *one.inner.split(".")
            target = self.extra[name] = known if isinstance(known, dict) else {}
            for part in inner[:-1]:
                target = target.setdefault(part, {})
            target[inner[-1]] = value
        elif one.option.repeatable and name in self.extra:
            self.extra[name] = [*(self.extra[name] if isinstance(self.extra[name], list) else [self.extra[name]]), value]
        else:
            self.extra[name] = value

    def _literal(self, one: Argument) -> object:
        kind, texts = one.option.kind, [value.text for value in one.values]
        if kind == "switch":
            return texts[-1] != "off"
        if len(texts) > 1 or one.option.nargs in ("+", "*"):
            return texts
        if kind.startswith("json") or one.inner:
            with suppress(InputError):
                return parse(texts[0], "", strict=False)
        figure = number(texts[0])
        return texts[0] if kind not in ("int", "uint", "float", "size") or figure is None else int(figure) if figure == int(figure) else figure

    def _variable(self, name: str, value: Text) -> None:
        if name in _DEVICES and re.fullmatch(r"\d+(,\d+)*", value.text):
            self.data["hardware"].pop("gpus_per_node", None)
            self.data["hardware"]["devices"] = [int(number) for number in value.text.split(",")]
            return
        option = self.known.env.get(name)
        if option is not None and (setting := self.settings.get(name) or self.settings.get(option.name)):
            if value.known:
                self._setting(*setting, value, Argument(option, name, "", [value]))
        elif not value.known or any(gate.holds_variable(name) and not gate.warns for gate in gates(self.book, self.engine.name)):
            self._no(name, value, "it stays in the environment where the server is started")
        elif option is not None and option.name.startswith("--"):
            self._extra(Argument(option, name, "", [value]))
        else:
            self.data.setdefault("deploy", {}).setdefault("env", {})[name] = value.text

    def _no(self, name: str, value: Text, because: str) -> None:
        self.unsaid.append(Finding("not-in-a-spec", f"{name} is left out: {because}", value.place, "warning"))

    # -- what the words mean

    def _model(self, named: str | None) -> None:
        """The model by the catalogue's name, and the folder or file where its weights lie."""
        written = next((self.given[name] for name in ("model", "hf_repo") if name in self.given), None)
        text = written.text if written is not None and written.known else ""
        if not (text or named):
            what = f"the command does not say its model, but {written.text}" if written else "the command names no model"
            raise InputError(Problem("unknown-model", f"{what}: say which it is with --model ID"))
        self.text = text or named or ""
        model = {**self.data.pop("model", {}), "id": named or self.text}
        if is_path(text):
            model |= {"id": named or self._named_like(text) or text, "path": text}
        elif not named and "library" in self.engine.facts and "/" not in text:
            model |= {"id": self._of_library(text)}
        beside = self.folder / text / "config.json"
        if text and not text.startswith("/") and beside.is_file() and lies_in(beside, [str(self.folder.resolve())]):
            model = {**model, "id": text if is_path(text) else f"./{text}", "config": str(beside)}
            model.pop("path", None)
        elif model.get("path") == model["id"]:
            del model["path"]
        self.data["model"] = model

    def _of_library(self, text: str) -> str:
        """The catalogue's model of a name such as `qwen3:8b-q8_0`, with its type of weights pinned; the name itself where none is known."""
        name, _, tag = text.partition(":")
        size, *words = tag.split("-")
        models = [model for model in self.book.section("models") if fold(basename(model)).startswith(fold(name + size))]
        types = [method for word in words if (method := f"gguf-{word.lower()}") in self.book.section("methods")]
        if models and size:
            self.data["pin"]["quantization"] = types[-1] if types else self.engine.facts["library"]["type"]
        return min(models, key=len) if models and size else text

    def _named_like(self, text: str) -> str | None:
        """The catalogue's model after which a folder or file is named."""
        name = fold(basename(text.rstrip("/")).removesuffix(".gguf"))
        return max((model for model in self.book.section("models") if name.startswith(fold(basename(model)))), key=len, default=None)

    def _defaults(self, context: Context) -> None:
        """What the command leaves out, as the engine takes it; each setting by the first row that holds."""
        facts = {"gpu": context.gpu.name, "gpu.capacity_gib": context.gpu.capacity_gib}
        shape, taken = context.model.architecture, set(self.given)
        meant = {"model-context": shape.max_context, "model": self.text, "gpus": context.gpus}
        for row in self.engine.facts.get("defaults") or ():
            key, since, until = version_key(self.engine.version), row.get("since"), row.get("until")
            holds = (since is None or key >= version_key(since)) and (until is None or key < version_key(until))
            if not holds or not all(cell_test(cell, lambda literal: literal)(facts[name]) for name, cell in (row.get("when") or {}).items()):
                continue
            for setting, value in row["set"].items():
                path = ELSEWHERE.get(setting) or ("pin", setting)
                if setting not in taken and path[1] not in self.data.get(path[0], {}):
                    self.data.setdefault(path[0], {})[path[1]] = meant.get(value, value)
                taken.add(setting)
        self._method(context)
        slots = self.data["pin"].get("max_num_seqs", 1)
        if "ctx_size" in taken and "kv_unified" not in taken:  # the slots share it out
            self.data["pin"]["max_model_len"] //= max(1, slots)

    def _method(self, context: Context) -> None:
        """The method of the weights: the checkpoint's own, else what the command makes of 16 bits at load."""
        architecture, entry = context.model.architecture, self.engine.spelling("quantization") or {}
        own, word, dtype = context.spec.pin.get("quantization") or context.model.own_method, self.given.get("quantization"), self.given.get("dtype")
        if own is None and word is not None:
            own = {str(there): here for here, there in (entry.get("values") or {}).items()}.get(word.text, word.text)
        elif own is None:
            half = "bf16" not in context.gpu.computes or architecture.dtype == "fp16"
            own = {"half": "fp16", "float16": "fp16", "bfloat16": "bf16"}.get(dtype.text if dtype else "", "fp16" if half else "bf16")
        self.data["pin"]["quantization"] = own
