"""A job that trains, distils or prunes: which method, what it takes on the spec's GPUs, and what its job.yaml says. Floor 5, pure. Unlike
the jobs that make weights for a plan, these are asked for: no rule chooses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from generator.architecture.shape import ModelArchitecture
from generator.decide.context import Context, numbers_of, shapes_of
from generator.errors import InputError, Place, did_you_mean, fail, fold
from generator.facts.engine import resolve_engine, support_of
from generator.facts.job import WEIGHTS, Needs
from generator.facts.model import shape_of
from generator.quantize.training import least_gpus, training_needs
from generator.record import dataclass

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.rulebook.sections import Entry, TrainingMethod

MOST_GPUS = 64
"""How far the fewest GPUs that would do are looked for."""


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A job with its method: the entry of `training_jobs`, job.yaml's data, needs on each of `gpus` GPUs, and what a reader must know."""

    name: str
    method: str
    entry: Entry
    facts: TrainingMethod
    data: Mapping[str, Any]
    needs: Needs
    gpus: int
    notes: tuple[str, ...]


def training_job(context: Context, name: str, method: str | None) -> TrainingJob:
    """The job `name` for a spec; raises `InputError` for what there is not, and for a result that the pinned engine does not load."""
    jobs = context.book.section("training_jobs")
    if name not in jobs:
        raise fail("unknown-job", f"{name!r} is no job of this rule set{did_you_mean(name, jobs)} (there are: {', '.join(jobs) or 'none'})")
    entry = jobs[name]
    chosen = _method(context, name, entry["methods"], method)
    facts, engine = entry["methods"][chosen], context.pinned("engine")
    if engine is not None and facts["engines"] and engine not in facts["engines"]:
        message = f"what {name} with {chosen} makes is not for {engine}: {facts.get('note', '')} (for {', '.join(facts['engines'])})"
        raise InputError(context.spec.problem(("pin", "engine"), "result-not-for-engine", message))
    teacher, model = _teacher(context, facts), context.model.architecture
    numbers = numbers_of(context.book, facts["version"])
    data = _data(context, entry, facts, teacher[0] if teacher else None)
    training, texts = data.get("training") or {}, data["data"]

    def needs(gpus: int) -> Needs:
        return training_needs(
            teacher[1] if teacher else model, facts, numbers, gpus=gpus, tokens=training.get("max_length") or texts["tokens"],
            batch=training.get("batch_size", 1), samples=texts["samples"], student=model if teacher else None, lora_rank=training.get("lora_rank", 0),
        )  # fmt: skip

    gpus = context.gpus if facts["memory"]["kind"] != "sequential" else 1
    found = needs(gpus)
    return TrainingJob(name, chosen, entry, facts, data, found, gpus, tuple(_notes(context, facts, found, needs)))


def _method(context: Context, job: str, methods: Mapping[str, TrainingMethod], asked: str | None) -> str:
    if asked is not None:
        if asked not in methods:
            raise fail("unknown-method", f"{job} has no method {asked!r}{did_you_mean(asked, methods)} (it has {', '.join(methods)})")
        if asked == "experts" and not context.model.architecture.moe:
            raise fail("no-experts", f"{context.model.id} is no mixture of experts: there are none to take away")
        return asked
    pinned, engine = context.pinned("quantization"), context.pinned("engine")
    if pinned in methods:
        return str(pinned)
    if "experts" in methods and context.model.architecture.moe:
        return "experts"
    others = {name: entry for name, entry in methods.items() if name != "experts"}
    suited = [name for name, entry in others.items() if engine is None or not entry["engines"] or engine in entry["engines"]]
    # what several engines load goes first, then what the hardware runs best
    return min(suited or others, key=lambda name: (engine is None and len(methods[name]["engines"]) == 1, _place(context, name, methods[name]["engines"])))


def _place(context: Context, method: str, engines: Sequence[str]) -> int:
    """How well the engines run a quantisation method on the spec's hardware, best first; 0 for what is no such method."""
    if method not in context.book.section("methods"):
        return 0
    wanted = [context.pinned("engine")] if context.pinned("engine") else engines
    found = [resolve_engine(engine, context.pinned("engine_version"), context.book) for engine in wanted]
    cells = {support_of(context.book, engine, method, context.gpu.architecture, shapes_of(context))[0] for engine in found}
    return next((place for place, cell in enumerate(("yes", "degraded")) if cell in cells), 2)


def _data(context: Context, entry: Entry, facts: TrainingMethod, teacher: Mapping[str, object] | None) -> dict[str, Any]:
    """The content of a method's job.yaml: `settings` as they are, `numbers` by their thresholds, the data that the spec names."""
    layers, numbers = context.model.architecture.layers, numbers_of(context.book, facts["version"])
    made: dict[str, Any] = {"model": _loaded(context, context.model.id, context.model.revision), "output": WEIGHTS, "seed": 0}
    if teacher is not None:
        made["teacher"] = teacher
    for section in dict.fromkeys((*entry["numbers"], *facts.get("numbers", {}), *facts["settings"])):
        named = {**entry["numbers"].get(section, {}), **facts.get("numbers", {}).get(section, {})}
        made[section] = {**facts["settings"].get(section, {}), **{key: int(n) if (n := numbers(word)).is_integer() else n for key, word in named.items()}}
    if share := made.get("pruning", {}).get("layers"):  # the share of them that goes
        made["pruning"]["layers"] = layers - int(layers * share)
    given = (context.spec.quantize or {}).get("calibration") or {}
    texts = {"dataset": given.get("dataset") or "HuggingFaceH4/ultrachat_200k", "split": given.get("split") or "train_sft"}
    made["data"] |= {"file": given["file"]} if given.get("file") else texts
    made["data"] |= {key: given[key] for key in ("samples", "tokens") if key in given}
    return made


def _loaded(context: Context, name: object, revision: object) -> dict[str, object]:
    return {"id": name, "revision": revision, "trust_remote_code": bool(context.spec.deploy.get("trust_remote_code"))}


def _teacher(context: Context, facts: TrainingMethod) -> tuple[dict[str, object], ModelArchitecture] | None:
    """What job.yaml says of the teacher, and its architecture: a catalogue id, or an id with a config.json; None where there is none."""
    if facts["memory"]["teacher"] != "other":
        return None
    given = (context.spec.quantize or {}).get("teacher")
    if given is None:
        message = "a student needs a teacher: `quantize: {teacher: ID}` names one (the spec's model is the student)"
        raise InputError(context.spec.problem(("model",), "missing-key", message))
    said: dict[str, object] = {"id": given} if isinstance(given, str) else dict(given)
    place = context.spec.document.place(("quantize", "teacher"))
    entry = _loaded(context, said["id"], said.get("revision"))
    if said.get("config"):
        from generator.architecture.config import from_config
        from generator.facts.model import read_config

        path = context.spec.named_file(("quantize", "teacher", "config"), str(said["config"]))
        config = read_config(path, lambda beside: context.spec.readable(("quantize", "teacher", "config"), beside))
        return entry, from_config(config, context.book.section("families"), Place(str(path)))
    name = context.book.index("models").get(fold(str(said["id"])))
    shape = shape_of(name, context.book) if name is not None else None
    if shape is None:
        near = did_you_mean(str(said["id"]), context.book.section("models"))
        raise fail("unknown-model", f"the teacher {said['id']!r} is not in the catalogue{near}: `teacher: {{id: …, config: …}}` says how it is built", place)
    return {**entry, "id": name}, shape


def _notes(context: Context, facts: TrainingMethod, found: Needs, needs: Callable[[int], Needs]) -> Iterator[str]:
    capacity = context.gpu.device.capacity
    if context.gpu.vendor != "cpu" and found.gpu_memory > capacity:
        enough = "a larger one is needed"
        if facts["memory"]["kind"] == "training":
            least = least_gpus(needs, capacity, MOST_GPUS)
            enough = f"{least} of them would do" if least else f"no number of them up to {MOST_GPUS} would do"
        yield f"it needs {found.gpu_memory / 2**30:.0f} GiB on each GPU, which has {capacity / 2**30:.0f}: {enough}, by estimate"
    if not facts["engines"]:
        yield f"{facts['note']}: the result is as large and as slow as before"
    if facts["proven"] != "run":
        yield "this job has not been run to its end here; its option names were checked against the library"
