"""A server's command as a spec: its settings as pins, its other options under `deploy.extra_args`, and what no spec can say.

Floor 6, pure. What a command leaves out is pinned as the engine's own default (`defaults` of its facts), so that a plan starts the same server."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from os.path import isfile
from pathlib import Path
from posixpath import basename
from typing import Any, NamedTuple

from generator.decide.context import Context, resolve
from generator.decide.gates import gates
from generator.errors import InputError, Place, Problem, fold
from generator.facts.engine import Engine, resolve_engine
from generator.quantity import in_span, version_key
from generator.readers.resources import lies_in, shipped
from generator.rulebook.book import RuleBook
from generator.rulebook.table import cell_test
from generator.spec.deployment import is_path, is_secret_name, schema
from generator.spec.words import spec_of
from generator.verify.argv import Argument, Stray, arguments, find
from generator.verify.catalogue import Catalogue, Option
from generator.verify.data import Text, is_option
from generator.verify.launches import Launch
from generator.verify.values import number

WORDS = shipped("commands.json")["settings"]
_IMAGES = re.compile(r"\W*image\W+(\d+)\W*")
_SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([BMT])(?![A-Za-z0-9])", re.IGNORECASE)
_SIZES = {"M": 10**6, "B": 10**9, "T": 10**12}


class Restated(NamedTuple):
    """A command as plain data of a spec, the findings of what it cannot say, and the settings that the command itself gave."""

    data: dict[str, Any]
    unsaid: list[Problem]
    given: dict[str, Text]


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
        words = [entry.get("flag"), entry.get("env"), entry.get("parameter"), *(f"--{key}" for key in [entry.get("key")] if key)]
        for word in filter(None, (*words, *entry.get("also", ()), *entry.get("same", ()))):
            option = find(word, known)[0] if word.startswith("--") else None
            found.setdefault(option.name if option else word, (name, entry))
    return found


def defaults_of(engine: Engine, facts: Mapping[str, object]) -> dict[str, Any]:
    """What an engine takes where a command says nothing: each setting by the first row that holds; a row with conditions needs `facts`."""
    found: dict[str, Any] = {}
    for row in engine.facts.get("defaults") or ():
        holds = (name in facts and cell_test(cell, lambda literal: literal)(facts[name]) for name, cell in (row.get("when") or {}).items())
        if in_span(row, version_key(engine.version)) and all(holds):
            found = {**row["set"], **found}
    return found


def _given(option: Option, name: str, *values: Text) -> Argument:
    """A variable or parameter as if it were an option."""
    return Argument(option, name, "", list(values), values[-1], [])


class _Command:
    def __init__(self, launch: Launch, known: Catalogue, hardware: Mapping[str, Any], folder: Path, book: RuleBook) -> None:
        self.launch, self.known, self.folder, self.book = launch, known, folder, book
        self.engine = resolve_engine(known.engine, known.version, book)
        self.data: dict[str, Any] = {"hardware": dict(hardware), "pin": {"engine": self.engine.name, "engine_version": self.engine.version}}
        self.unsaid: list[Problem] = []
        self.given: dict[str, Text] = {}
        self.extra: dict[str, Any] = {}
        self.drafts: object = None
        self.settings = settings_of(self.engine, known)

    def restated(self, model: str | None) -> Restated:
        if self.launch.model is not None:
            self.given["model"] = self.launch.model
        for one in arguments(self.launch.words, self.known):
            if not isinstance(one, Stray):
                self._argument(one)
            elif self.launch.positionals and "model" not in self.given and not is_option(one.word.text):
                self.given["model"] = one.word
        for name, value in self.launch.env.items():
            self._variable(name, value)
        for name, values in self.launch.parameters.items():
            one = _given(self.known.parameters.get(name) or Option(name, (name,), "string"), name, *values)
            setting, entry = self.settings.get(name, ("", {}))
            self._setting(setting, entry, values[-1], one) if setting else self._extra(one)
        self._ranks()
        self._served()
        self._model(model)
        if (context := self._context()) is not None:
            self._defaults(context)
        if self.extra:
            self.data.setdefault("deploy", {})["extra_args"] = {self.engine.name: self.extra}
        return Restated(self.data, self.unsaid, self.given)

    def _argument(self, one: Argument) -> None:
        setting, entry = self.settings.get(one.option.name, ("", {}))
        value = one.last
        if not value.known:
            self._no(one.name, value, "a variable decides its value")
        elif setting and not one.inner and "member" not in entry:
            self._setting(setting, entry, value, one)
        elif setting == "max_images" and (found := _IMAGES.fullmatch(f"{one.inner} {value.text}")):
            self._setting(setting, entry, value._replace(text=found[1]), one)
        else:
            self._extra(one)

    def _setting(self, setting: str, entry: Mapping[str, Any], value: Text, one: Argument) -> None:
        if setting == "api_key":
            self._no(one.name, value, "a secret stands in no file: name its variable, deploy.api_key_from")
        if setting in WORDS["left_out"]:
            self.given[setting] = value
            return
        if setting == "max_num_batched_tokens" and self.engine.has("ubatch_size"):  # the step is the physical batch there
            self._extra(one)
            return
        pin = WORDS["others"].get(setting, setting)
        if setting in WORDS["of_the_model"]:
            self.given[setting] = value
            return  # read together, when the model is known
        pins = schema()["properties"]["pin"]["properties"]
        path = WORDS["elsewhere"].get(setting) or (("pin", pin) if pin in pins else None)
        said = None if path is None or (pin == "max_model_len" and value.text == "0") else self._value(entry, value)
        if isinstance(said, int) and pins.get(pin, {}).get("type") == "boolean":
            said = said is True or said > 1  # a number of ranks
        if path is None and one.name in self.launch.env and not one.option.name.startswith("-"):
            self.data.setdefault("deploy", {}).setdefault("env", {})[one.name] = value.text
        elif path is None:
            self._extra(one)
        elif said is not None and (pin != setting or path[1] not in self.data.get(path[0], {})):
            self.data.setdefault(path[0], {})[path[1]] = said
        if path is None or said is not None or (pin == "max_model_len" and value.text != "0"):  # else the engine's own default counts
            self.given[setting] = value

    def _value(self, entry: Mapping[str, Any], value: Text) -> object:
        """A value in the words of a spec; None where it says what the engine does by itself."""
        word = (self.known.facts.get("synonyms") or {}).get(value.text, value.text)
        ours = {str(there): here for here, there in (entry.get("values") or {}).items()}.get(word, word)
        if entry["type"] == "switch":
            return value.text != "off"
        figure = number(ours)
        if entry["type"] in ("int", "float"):
            return None if figure is None or figure < 0 else int(figure) if entry["type"] == "int" else figure
        return ours

    def _extra(self, one: Argument) -> None:
        name = one.option.name.lstrip("-")
        if gate := next((gate for gate in gates(self.book, self.engine.name) if gate.refuses(name)), None):
            self._no(one.name, one.last, str(gate.entry["because"]))
            return
        self.extra[name] = one.added_to(self.extra.get(name))

    def _variable(self, name: str, value: Text) -> None:
        if name in (self.known.facts.get("visible") or ()) and re.fullmatch(r"\d+(,\d+)*", value.text):
            self.data["hardware"].pop("gpus_per_node", None)
            self.data["hardware"]["devices"] = [int(number) for number in value.text.split(",")]
            return
        option = self.known.env.get(name)
        if option is not None and (setting := self.settings.get(name) or self.settings.get(option.name)):
            if value.known:
                self._setting(*setting, value, _given(option, name, value))
            else:
                self._no(name, value, "a variable decides its value")
        elif not value.known or is_secret_name(name) or any(gate.holds_variable(name) and not gate.warns for gate in gates(self.book, self.engine.name)):
            self._no(name, value, "it stays in the environment where the server is started")
        elif option is not None and option.name.startswith("--"):
            self._extra(_given(option, name, value))
        else:
            self.data.setdefault("deploy", {}).setdefault("env", {})[name] = value.text

    def _no(self, name: str, value: Text, because: str) -> None:
        self.unsaid.append(Problem("not-in-a-spec", f"{name} is left out: {because}", value.place, "warning"))

    def _served(self) -> None:
        """What drafts tokens, as a spec says it; words that say more stay as they are."""
        drafts = self.extra.get("speculative-config")
        if isinstance(drafts, str):
            with contextlib.suppress(ValueError):
                drafts = json.loads(drafts)
        words = {entry["word"]: method for method, entry in (self.engine.facts.get("speculative") or {}).items()}
        if isinstance(drafts, dict) and drafts.keys() <= {"method", "model", "num_speculative_tokens"} and drafts.get("method") in words:
            said = {"method": words[drafts["method"]], "model": drafts.get("model"), "tokens": drafts.get("num_speculative_tokens")}
            self.data.setdefault("serve", {})["speculative"] = {key: value for key, value in said.items() if value is not None}
            self.drafts = self.extra.pop("speculative-config")

    # -- what the words mean

    def _ranks(self) -> None:
        """Data parallelism as ranks of attention that share the experts, where the command says so; else it means copies."""
        deploy, pin, experts = self.data.get("deploy", {}), self.data["pin"], self.given.get("expert_parallel")
        own, switches = ([span["key"] for span in self.engine.facts["flags"].get(name, ())] for name in ("attention_ranks", "enable_attention_ranks"))
        said = self.extra.keys() & {*own, *switches}
        ranks = next((self.extra[key] for key in said if key in own and isinstance(self.extra[key], int)), deploy.get("replicas", 1))
        if ranks > 1 and (said if own else pin.get("expert_parallel")):
            pin["data_parallel"] = ranks
            deploy.pop("replicas", None)
            if own:  # its option counts the GPUs of all ranks
                pin["tensor_parallel"] = max(1, pin.get("tensor_parallel", 1) // ranks)
            for key in said:
                del self.extra[key]
        whole = pin.get("tensor_parallel", 1) * pin.get("data_parallel", 1)
        if pin.get("expert_parallel") and experts and (number(experts.text) or whole) != whole:  # some of the ranks only
            self.extra[(self.engine.spelling("expert_parallel") or {})["key"]] = int(experts.text)
            del pin["expert_parallel"]

    def _context(self) -> Context | None:
        """Model and machine resolved; an unknown model as what its name says it is made of, or as large as it says. None where it says neither."""
        try:
            return resolve(spec_of(self.data, self.folder), self.book)
        except InputError as error:
            problem = error.problems[0]
            if problem.code in ("no-draft", "unknown-draft", "draft-vocabulary"):  # said as it was, and not counted
                self.extra["speculative-config"] = self.drafts
                del self.data["serve"]["speculative"]
                return self._context()
            known = self._stand_in(str(self.data["model"]["id"])) if problem.code == "unknown-model" else None
            if problem.code != "unknown-model" or (known is None and is_path(str(self.data["model"]["id"]))):
                raise
            place, until = self.given["model"].place if "model" in self.given else Place(""), f"; until then it counts as {known}" if known else ""
            self.unsaid.append(Problem("unknown-model", f"{problem.message}{until}", place, "warning"))
            return resolve(spec_of(self.data, self.folder), self.book) if known else None

    def _stand_in(self, name: str) -> str | None:
        """Say an unknown repository as a checkpoint of the catalogue's model that it is named after, else by the size in its name: as what."""
        repository, method = name.partition(":")[0], self._method_in(name)
        like, size = self._named_like(repository), _SIZE.search(repository)
        if is_path(name) or not (size or (like and method)):
            return None
        made = {"checkpoints": {method: repository}} if method else {}
        if method:
            self.data["pin"]["quantization"] = method
        if like and method:
            self.data["model"] |= {"id": like, **made}
            return f"{like} in {method}"
        assert size is not None
        self.data["model"] |= {"id": repository, "parameters": int(float(size[1]) * _SIZES[size[2].upper()]), **made}
        return f"a dense model of {size[0]} parameters"

    def _model(self, named: str | None) -> None:
        """The model by the catalogue's name, and the folder or file where its weights lie."""
        written = next((self.given[name] for name in ("model", "hf_repo") if name in self.given), None)
        text = written.text if written is not None and written.known else ""
        if not (text or named):
            what = f"the command does not say its model, but {written.text}" if written else "the command names no model"
            raise InputError(Problem("unknown-model", f"{what}: say which it is with --model ID"))
        self.text = text or named or ""
        model = {**self.data.pop("model", {}), "id": named or self.text}
        if not is_path(text) and (text.count("/") > 1 or (text.endswith(".gguf") and "/" not in text)):
            text = f"./{text}"  # no repository
        if is_path(text):
            model |= {"id": named or self._named_like(text) or text, "path": text}
            if text.endswith(".gguf") and not self._method_in(text):
                self.data["pin"]["quantization"] = usual = self.engine.facts["untyped"]["type"]
                self.unsaid.append(Problem("not-in-a-spec", f"{text} does not say its type: it counts as {usual}", self.given["model"].place, "warning"))
        elif named and "/" in text:
            model |= {"checkpoints": {self._method_in(text) or "bf16": text.partition(":")[0]}}
        elif not named and self.engine.facts.get("untyped", {}).get("library") and "/" not in text:
            model |= {"id": self._of_library(text)}
        beside = self.folder / text / "config.json"
        there = isfile(beside)  # noqa: PTH113 (of a name that is too long, pathlib raises an error)
        if text and not text.startswith("/") and there and lies_in(beside, [str(self.folder.resolve())]):
            model = {**model, "id": text if is_path(text) else f"./{text}", "config": str(beside)}
            model.pop("path", None)
        elif model.get("path") == model["id"]:
            del model["path"]
        self.data["model"] = model

    def _of_library(self, text: str) -> str:
        """The catalogue's model of a name such as `qwen3:8b-q8_0`, with its type of weights pinned; the name itself where none is known."""
        name, _, tag = text.partition(":")
        models = [model for model in self.book.section("models") if tag and fold(basename(model)).startswith(fold(name + tag.split("-")[0]))]
        if models:
            self.data["pin"]["quantization"] = self._method_in(tag) or self.engine.facts["untyped"]["type"]
        return min(models, key=len, default=text)

    def _method_in(self, name: str) -> str | None:
        """The method of the weights that a file or repository is named after, with or without its tag."""
        gguf, words = self.engine.facts["formats"] == ["gguf"], fold(basename(name.rstrip("/")))
        kinds = [method for method in self.book.section("methods") if fold(method.removeprefix("gguf-") if gguf else method) in words]
        return max((kind for kind in kinds if kind.startswith("gguf-") or not gguf), key=len, default=None)

    def _named_like(self, text: str) -> str | None:
        """The catalogue's model after which a folder or file is named."""
        name = fold(basename(text.rstrip("/")).removesuffix(".gguf"))
        return max((model for model in self.book.section("models") if name.startswith(fold(basename(model)))), key=len, default=None)

    def _defaults(self, context: Context) -> None:
        """What the command leaves out, as the engine takes it."""
        shape, taken = context.model.architecture, {WORDS["others"].get(setting, setting) for setting in self.given}
        meant = {"model-context": shape.max_context, "model": self.text, "gpus": context.gpus}
        for setting, value in defaults_of(self.engine, {"gpu": context.gpu.name, "gpu.capacity_gib": context.gpu.capacity_gib}).items():
            section, key = WORDS["elsewhere"].get(setting) or ("pin", WORDS["others"].get(setting, setting))
            value = round(1 - value["leaves_gib"] / context.gpu.capacity_gib, 3) if isinstance(value, dict) else meant.get(value, value)
            if key == "max_model_len" and isinstance(value, int):
                value = min(value, shape.max_context or value)  # Ollama takes no more than the model has
            sayable = section != "pin" or key in schema()["properties"]["pin"]["properties"]
            if value != 0 and sayable and key not in taken and key not in self.data.get(section, {}):
                self.data.setdefault(section, {})[key] = value
        self._method(context)
        if self.engine.has("ctx_size") and "max_model_len" in self.data["pin"] and "kv_unified" not in self.given:  # the slots share it out
            self.data["pin"]["max_model_len"] //= max(1, self.data["pin"].get("max_num_seqs", 1))

    def _method(self, context: Context) -> None:
        """The method of the weights: the checkpoint's own, else what the command makes of 16 bits at load."""
        architecture, entry = context.model.architecture, self.engine.spelling("quantization") or {}
        own, word, dtype = context.spec.pin.get("quantization") or context.model.own_method, self.given.get("quantization"), self.given.get("dtype")
        if own is not None and dtype is not None:  # the method says its own type only where it has none of another
            self.extra["dtype"] = dtype.text
        if own is None and word is not None:
            own = {str(there): here for here, there in (entry.get("values") or {}).items()}.get(word.text, word.text)
            if own not in self.book.section("methods"):
                self._no(str(entry.get("flag")), word, f"{word.text} is no method of the catalogue")
                own = None
        if own is None and self.engine.facts["formats"] == ["gguf"]:
            own = self._method_in(self.text) or self.engine.facts["untyped"]["type"]
        if own is None:
            half = "bf16" not in context.gpu.computes or architecture.dtype == "fp16"
            own = {"half": "fp16", "float16": "fp16", "bfloat16": "bf16"}.get(dtype.text if dtype else "", "fp16" if half else "bf16")
        self.data["pin"]["quantization"] = own
