"""The model of a spec: its architecture, and where its weights are to be had in which form. Floor 3; reads only the files that the spec
names, a config.json as engines read it: with ModelOpt's `hf_quant_config.json` beside it, and Python's numbers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from generator.architecture.quantization import with_quant_file
from generator.architecture.shape import ModelArchitecture, Stored
from generator.errors import InputError, Place, Problem, did_you_mean, fail, fold
from generator.facts.engine import names_on
from generator.facts.model_names import unknown_model
from generator.quantity import GIB
from generator.readers.document import read_json
from generator.record import dataclass
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.rulebook.table import first_source
from generator.spec.deployment import DeploymentSpec

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.facts.locked import Locked
    from generator.readers.gguf_header import GgufHeader
    from generator.rulebook.sections import Checkpoint as Listed
    from generator.rulebook.sections import Model as Entry


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights in a prepared form.

    `origin` is `named` (the spec names it), `published` (the catalogue lists it) or `given` (the model itself is in
    this form); `layout` the form in which they lie, `file` a file's name or the word to find it by (GGUF), `padded`
    lengths of matrices that its maker rounded up so that they divide. `ignore` names the roles of the architecture that
    its maker left in 16 bits (None: not known), `in_fp8` those stored in FP8 in whatever method, `narrow` those of the method that most makers
    leave in 16 bits, `size` is that of its files in bytes, as exact as the source (0: not known), `exact` whether somebody looked it up, at the
    commit `revision`; `fp8_cache`: it has scales for an FP8 KV cache. `tensors` are those of a GGUF whose header is known;
    they go before `size` and before the method's mixture. `projector` is the file of its vision tower, with its bytes."""

    id: str
    origin: str
    layout: str | None = None
    group_size: int | None = None
    file: str | None = None
    source: str | None = None
    padded: Mapping[int, int] = field(default_factory=dict)
    ignore: tuple[str, ...] | None = None
    in_fp8: tuple[str, ...] = ()
    narrow: tuple[str, ...] = ()
    size: int = 0
    publisher: str | None = None
    exact: bool = False
    revision: str | None = None
    fp8_cache: bool = False
    tensors: tuple[Stored, ...] = ()
    projector: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `own_method` is the method in which its own weights are stored, None for 16 bits.

    `checkpoints` has the best one of each method: what the spec names, else the first that the catalogue lists;
    `published` has all that the catalogue lists, best first.

    `billion` is its size in billions of parameters: as stated by the spec or the catalogue, else counted. `config` is its
    config.json as read or catalogued, None where there is none. `listed` is its id in the catalogue, `tags` what its entry says
    that it was made for (source `model-tags`); None where it is not in it; `task` is what its server does. `overrides` are what a command
    must say in place of its config.json, by task; `yarn_original` the tokens that YaRN's factor counts from (0: its own context), `drafts`
    what drafts for it, by method.
    `tokenizer_code`: its tokenizer too is the repository's code."""

    id: str
    revision: str | None
    architecture: ModelArchitecture
    basis: str
    listed: str | None = None
    tags: frozenset[str] | None = None
    family: str | None = None
    chat: bool | None = None
    licence: str | None = None
    gated: bool = False
    needs_remote_code: bool = False
    tokenizer_code: bool = False
    task: str = "generate"
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    yarn_original: int = 0
    drafts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    own_method: str | None = None
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    published: Mapping[str, tuple[Checkpoint, ...]] = field(default_factory=dict)
    tool_call_parser: Mapping[str, str] = field(default_factory=dict)
    reasoning_parser: Mapping[str, str] = field(default_factory=dict)
    tokenizer_mode: Mapping[str, str] = field(default_factory=dict)
    tool_template: Mapping[str, str] = field(default_factory=dict)
    min_version: Mapping[str, str] = field(default_factory=dict)
    fp16_gb: float | None = None
    billion: float = 0.0
    source: str | None = None
    config: Mapping[str, object] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """What engines know it by: the classes and the family that its config.json names; empty without one."""
        named = (self.config or {}).get("architectures")
        words = [*(named if isinstance(named, list) else ()), (self.config or {}).get("model_type")]
        return tuple(word for word in words if isinstance(word, str))


def resolve_model(spec: DeploymentSpec, book: RuleBook) -> Model:
    """The model of a spec: by its own files where it names some, else from the catalogue. Raises `InputError` for a model that is neither,
    for files that cannot be read or understood, and for checkpoints of methods that do not exist."""
    request = spec.model
    name = book.index("models").get(fold(request.id))
    entry: Entry = _entry(book, name) if name is not None else {}
    fallback = book.fallback("model")
    locked = _locked(spec, entry, book)
    fallen = name in (None, fallback) and not (request.config or request.gguf or request.parameters or locked)
    if fallen:
        if fallback is None:
            raise InputError(unknown_model(spec, book))
        entry = _entry(book, fallback)
    elif locked is not None:
        entry = locked.entry
    own_id = request.id if name is None or request.config or request.gguf else name
    architecture, basis, config = _architecture(spec, name, entry, locked, book)
    own = architecture.quantization.method if architecture.quantization else None
    if request.gguf:
        own = architecture.gguf_type
    methods, ids = book.section("methods"), names_on(book, request.elsewhere)
    several = published(entry) if locked is None else locked.checkpoints
    listed = {method: tuple(replace(one, id=ids.get(one.id, one.id)) for one in some) for method, some in several.items()} if ids else several
    found = {} if request.form or request.path else listed  # what the spec names is not replaced by what others have published
    family = book.section("families").get(architecture.model_type, {}) if name is None else {}  # parsers of a family are for models not listed
    if own is not None and own not in methods:
        place = spec.document.place(("model",))
        raise fail("unknown-method", f"the weights are stored as {own!r}, which is no method we know{did_you_mean(own, methods)}", place)
    stated = request.parameters / 1e9 if request.parameters and basis == "parameters" else entry.get("parameters_billion")
    return Model(
        id=request.path if request.path and not request.form else ids.get(own_id, own_id),
        revision=None if request.path else (None if locked else request.revision) or (None if request.form or ids else entry.get("revision")),
        architecture=architecture, basis="fallback" if fallen else basis, listed=name,
        tags=None if name is None else frozenset(entry.get("tags") or ()), family=entry.get("family"), chat=entry.get("chat"),
        licence=locked.licence if locked else None, gated=bool(entry.get("gated")) and not request.path and not ids,
        needs_remote_code=bool(entry.get("trust_remote_code")), tokenizer_code=entry.get("trust_remote_code") == "tokenizer",
        task=entry.get("task", "generate"), overrides=entry.get("overrides") or {}, drafts=entry.get("drafts") or {},
        yarn_original=int(book.section("families").get(architecture.model_type, {}).get("yarn_original", 0)),
        own_method=own, checkpoints=_checkpoints(spec, listed, book), published=found,
        tool_call_parser=entry.get("tool_call_parser", family.get("tool_call_parser")) or {},
        reasoning_parser=entry.get("reasoning_parser", family.get("reasoning_parser")) or {},
        tokenizer_mode=entry.get("tokenizer_mode") or {}, tool_template=entry.get("tool_template") or {},
        min_version=entry.get("min_version") or {}, fp16_gb=entry.get("fp16_gb"),
        billion=stated or architecture.parameters / 1e9, source=first_source(entry.get("source")), config=config,
    )  # fmt: skip


def _locked(spec: DeploymentSpec, entry: Entry, book: RuleBook) -> Locked | None:
    """What the lock says of the model; None where it says nothing, or there is no lock."""
    if spec.lock is None or spec.model.gguf or spec.model.parameters or spec.model.elsewhere:
        return None
    from generator.facts.locked import locked_of  # imported lazily: many specs have no lock

    return locked_of(spec, entry, book)


@remembered
def _entry(book: RuleBook, name: str) -> Entry:
    """A catalogue entry with its shape: `same_shape_as` lends a config, `config_overrides` changes parts of it."""
    models = book.section("models")
    entry = lender = models[name]
    seen = {name}
    while lender.get("config") is None and (other := lender.get("same_shape_as", name)) not in seen:
        if other not in models:
            raise InputError(Problem("unknown-model", f"{name} has the shape of {other!r}, which is not in the catalogue, or is off"))
        seen.add(other)
        lender = models[other]
    config = lender.get("config")
    return {**entry, "config": {**(config or {}), **(entry.get("config_overrides") or {})} if config else None}


def _architecture(
    spec: DeploymentSpec, name: str | None, entry: Entry, locked: Locked | None, book: RuleBook
) -> tuple[ModelArchitecture, str, Mapping[str, object] | None]:
    request = spec.model
    if request.gguf:
        from generator.architecture.gguf import from_gguf
        from generator.readers.gguf_header import GgufHeader, read_gguf

        with _named_by(spec, "gguf", request.gguf):
            path = spec.named_file(("model", "gguf"), request.gguf)
            kept = _recorded(spec, path, request.gguf)
            header = kept if isinstance(kept, GgufHeader) else read_gguf(path)
            return from_gguf(header, book.section("families"), book.section("methods")), "gguf", None
    if request.config:
        from generator.architecture.config import UnknownFamily, from_config
        from generator.facts.model import read_config

        with _named_by(spec, "config", request.config):
            path = spec.named_file(("model", "config"), request.config)
            if os.path.isdir(path):  # noqa: PTH112 - is_dir() raises for long names
                path = spec.readable(("model", "config"), path / "config.json")
            config = read_config(path, lambda beside: spec.readable(("model", "config"), beside))
            try:
                architecture = from_config(config, book.section("families"), Place(str(path)))
            except UnknownFamily as error:
                from generator.facts.unlisted import explained

                raise explained(error, config, book) from None
        if request.safetensors:
            from generator.readers.safetensors_header import tensor_bytes

            with _named_by(spec, "safetensors", request.safetensors):
                weights = _safetensors_path(spec, request.safetensors)
                kept = _recorded(spec, weights, request.safetensors)
                architecture = replace(architecture, tensor_bytes=kept if isinstance(kept, int) else tensor_bytes(weights))
        return architecture, "config", config
    if locked is not None:
        return locked.architecture, "lock", entry["config"]
    listed = shape_of(name, book) if name is not None and entry else None
    if listed is not None:
        return listed, "catalogue", entry["config"]
    from generator.facts.unlisted import typical

    parameters = request.parameters or 1e9 * float(entry.get("parameters_billion") or 0)
    if not parameters:
        raise fail("unknown-model", f"the catalogue does not say how {name!r} is built", spec.document.place(("model",)))
    return typical(parameters), "parameters" if request.parameters else "catalogue", None


def _recorded(spec: DeploymentSpec, path: Path, written: str) -> GgufHeader | int | None:
    """What the lock has of local weights that are not here: a GGUF header, or the bytes of safetensors files."""
    if spec.lock is None or not spec.lock.local or path.exists():
        return None
    from generator.facts.locked import local_key
    from generator.hub.lock import bytes_of

    found = spec.lock.local.get(local_key(spec, written))
    return bytes_of(found, Place(str(spec.lock.path))) if isinstance(found, tuple) else found


def config_of(name: str, book: RuleBook) -> Mapping[str, object] | None:
    """The config.json of a catalogue entry, with what it borrows; None where the catalogue has only a size."""
    return _entry(book, name)["config"]


def shape_of(name: str, book: RuleBook) -> ModelArchitecture | None:
    """The architecture of a catalogue entry; None where the catalogue has only a size."""
    return _shape(book, name)


@remembered
def _shape(book: RuleBook, name: str) -> ModelArchitecture | None:
    from generator.architecture.config import from_config

    config = _entry(book, name)["config"]
    return from_config(config, book.section("families")) if config else None


WITHOUT = {
    "config": "",
    "gguf": "; the plan needs its header: run `gen-deploy lock` where the file is, and commit the lock, or name a `config` (config.json) in its place",
    "safetensors": "; the plan needs its header: run `gen-deploy lock` where it is and commit the lock, or leave `safetensors` out: `config` alone estimates",
}
"""What to do about model files that are not there."""


@contextlib.contextmanager
def _named_by(spec: DeploymentSpec, key: str, written: str) -> Iterator[None]:
    """A file that cannot be read at all is reported where the spec names it; what is wrong inside, inside. Files are named from where the
    spec's own name stands: what is compared lies in a temporary folder, which nobody wants to hear of."""
    try:
        yield
    except InputError as error:
        place = spec.document.place(("model", key))
        raise InputError(_at_spec(spec, p, key, written, place) for p in error.problems) from None


def _at_spec(spec: DeploymentSpec, problem: Problem, key: str, written: str, place: Place) -> Problem:
    inside, folder = problem.place, f"{spec.folder}/"
    if inside is not None and inside.path.startswith(folder):
        shown = os.path.join(os.path.dirname(spec.document.name), inside.path.removeprefix(folder))  # noqa: PTH118, PTH120 - Path drops `./`
        inside = inside._replace(path=shown if Path(spec.document.name).parent == spec.folder else os.path.normpath(shown))
    if problem.code not in ("unreadable", "lfs-pointer"):
        return problem._replace(place=inside)
    return Problem(problem.code, f"{inside.path if inside else written}: {problem.message}{WITHOUT[key]}", place)


def _safetensors_path(spec: DeploymentSpec, written: str) -> Path:
    """A file, or an index; the files that it names lie beside it, but each of them can be a symlink."""
    path = spec.named_file(("model", "safetensors"), written)
    if spec.within is not None and path.suffix == ".json":
        from generator.readers.safetensors_header import read_index

        for name in read_index(path).files:
            spec.readable(("model", "safetensors"), path.with_name(name))
    return path


def published(entry: Entry) -> dict[str, tuple[Checkpoint, ...]]:
    """What the catalogue lists for a model, by method: one checkpoint or several, best first."""
    found: dict[str, list[Checkpoint]] = {}
    for method, listed in (entry.get("checkpoints") or {}).items():
        for one in listed if isinstance(listed, list) else [listed]:
            for word in one.get("types") or (None,):
                found.setdefault(method if word is None else f"gguf-{word}", []).append(_checkpoint(method, one, word))
    return {method: tuple(several) for method, several in found.items() if method != "gguf"}


def _checkpoint(method: str, listed: Listed, word: str | None) -> Checkpoint:
    source = first_source(listed.get("source"))
    if method.startswith("gguf"):
        size = round(GIB * ((listed.get("gib") or {}).get(word or "") or 0))
        return Checkpoint(listed["id"], "published", "gguf", None, word or listed.get("file") or method.removeprefix("gguf-"), source, size=size)
    ignore = listed.get("ignore")
    return Checkpoint(
        listed["id"], "published", listed.get("layout"), listed.get("group_size"), None, source,
        {int(k): v for k, v in (listed.get("padded") or {}).items()}, None if ignore is None else tuple(ignore), tuple(listed.get("in_fp8", ())),
        tuple(listed.get("narrow", ())), listed.get("bytes") or round(1e9 * (listed.get("gb") or 0)), listed.get("publisher") or listed["id"].partition("/")[0],
        fp8_cache=bool(listed.get("fp8_cache")),
    )  # fmt: skip


def _checkpoints(spec: DeploymentSpec, listed: Mapping[str, tuple[Checkpoint, ...]], book: RuleBook) -> dict[str, Checkpoint]:
    """The best checkpoint of each method: what the spec names, with what the catalogue knows of it or else of its maker's habits, else the first
    that is listed."""
    methods, request = book.section("methods"), spec.model
    found = {} if request.form or request.path else {method: several[0] for method, several in listed.items()}
    for method, target in request.checkpoints.items():
        if method not in methods:
            near = did_you_mean(method, methods)
            place = spec.document.place(("model", "checkpoints", method), key=True)
            raise fail("unknown-method", f"{method!r} is no method{near} (`gen-deploy list methods` lists them)", place)
        known = next((one for one in listed.get(method, ()) if fold(one.id) in (fold(target), fold(request.prepared or ""))), None)
        layout = "gguf" if method.startswith("gguf") else None
        word = method.removeprefix("gguf-") if layout else None
        if known is None and word is None:
            habit: Listed | None = (methods[method].get("makers") or {}).get(target.partition("/")[0])
            known = _checkpoint(method, {**habit, "id": target}, None) if habit else None
        found[method] = replace(known, id=target, origin="named") if known else Checkpoint(target, "named", layout, None, word, None)
    return found


QUANT_FILE = "hf_quant_config.json"


def read_config(path: Path, allowed: Callable[[Path], Path] | None = None) -> Mapping[str, object]:
    """The config at `path`, with the quantization that the file beside it names; `allowed` raises where that file may not be read. Python
    writes `Infinity` and `NaN` into JSON, and published configs hold them; in other files they are errors."""
    config, beside = read_json(path, constants=True), path.with_name(QUANT_FILE)
    if not beside.is_file():
        return config
    return with_quant_file(config, read_json(allowed(beside) if allowed else beside, constants=True))
