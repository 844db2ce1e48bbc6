"""What a job of the plan leaves on disk, and the job itself. Floor 5, pure. Imported where a job is looked for: few decisions need one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from generator.architecture.shape import ModelArchitecture
from generator.decide.context import Context, numbers_of
from generator.decide.job_weights import MADE, TOOLS_OF_GGUF, Made, asked, gguf_source
from generator.errors import InputError, Problem
from generator.facts.job import WEIGHTS, Calibration, Job
from generator.facts.model import Checkpoint, config_of
from generator.plan import Candidate
from generator.quantity import GIB
from generator.quantize.gguf import gguf_needs, gguf_output, overridden
from generator.quantize.needs import job_needs
from generator.quantize.recipe import ignored, made_architecture, not_said, quantization_of, recipe_of, stored_beside, wide_of
from generator.rulebook.book import RuleBook
from generator.rulebook.memo import remembered
from generator.sizing.gguf_overrides import read_overrides
from generator.sizing.tensors import cuts
from generator.sizing.weights import checkpoint_bytes

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import JobNames
    from generator.rulebook.sections import Method


def made_of(context: Context, method: str, values: Mapping[str, object], group_size: int | None = None) -> Made | None:
    """The checkpoint that a job makes; None where the tool cannot be told what must stay wide. Remembered per decision."""
    return _made(context, method, tuple(values.items()), group_size)


@remembered
def _made(context: Context, method: str, said: tuple[tuple[str, object], ...], group_size: int | None) -> Made | None:
    values: Mapping[str, Any] = dict(said)
    book, name = context.book, values["quantize_tool"]
    tool, entry, architecture = book.section("quantizers")[name], book.section("methods")[method], context.model.architecture
    own = asked(context)
    if name in TOOLS_OF_GGUF:
        entry = _overridden(context, entry)
        # types that the quantiser refuses without an importance matrix, where one was set by hand
        refused = {kind["gguf"]["base"].lower() for kind in book.section("methods").values() if (kind.get("gguf") or {}).get("imatrix") == "required"}
        if any(str(kind).lower() in refused for kind in ((entry.get("gguf") or {}).get("overrides") or {}).values()):
            values = {**values, "imatrix": True}
        return Made(name, values, entry, architecture, "gguf")
    wide = wide_of(entry, tool, architecture, own)
    if not_said(tool, architecture, wide) or context.model.config is None:
        return None
    maker = tool["makes"][method]
    ignore = ignored(tool, architecture, wide)
    size = group_size or next(iter(maker.get("group_sizes") or ()), None)
    cache = tool.get("kv_cache") if values.get("kv_cache_scales") else None
    quantization = quantization_of(maker, ignore, size, values.get("desc_act"))
    if context.model.basis == "catalogue" and context.model.listed:
        stored = _stored(book, context.model.listed, name, method, ignore, size, values.get("desc_act"))
    else:
        stored = _as_made(book, context.model.config, quantization)
    proved = book.section("transforms").get(name, {}).get("modifiers", {}).get(maker.get("transform"), {}).get("proved", ())
    left_out = None if context.model.config.get("model_type") in proved else maker.get("transform")
    return None if stored is None else Made(name, values, entry, stored, tool["layout"], ignore, size, {**quantization, **(cache or {})}, left_out)


def _overridden(context: Context, entry: Method) -> Method:
    """The method with the types that the spec sets by hand; what is wrong with one is reported where the spec says it."""
    try:
        entry = overridden(entry, context.model.architecture, asked(context))
        read_overrides((entry.get("gguf") or {}).get("overrides") or {}, context.book.section("ggml_types"))
    except InputError as error:
        place = context.spec.document.place(("quantize", "tensor_types"))
        raise InputError([Problem(p.code, p.message, p.place or place) for p in error.problems]) from None
    return entry


@remembered
def _stored(
    book: RuleBook, model: str, tool: str, method: str, ignore: tuple[str, ...], size: int | None, desc_act: bool | None
) -> ModelArchitecture | None:
    """A catalogued model as the job stores it: kept with the rules."""
    return _as_made(book, config_of(model, book) or {}, quantization_of(book.section("quantizers")[tool]["makes"][method], ignore, size, desc_act))


def _as_made(book: RuleBook, config: Mapping[str, object], quantization: Mapping[str, object]) -> ModelArchitecture | None:
    try:
        return made_architecture(config, quantization, book.section("families"))
    except InputError:  # a model whose own words for its modules are not understood this way
        return None


def checkpoint_of(made: Made, method: str) -> Checkpoint:
    """What the engine loads: a folder or a file that lies beside the other files of the spec."""
    if made.layout != "gguf":
        return Checkpoint(f"./quantize/{WEIGHTS}", MADE, made.layout, made.group_size, fp8_cache="kv_cache_scheme" in (made.quantization or {}))
    word = method.removeprefix("gguf-")
    kind = "F16" if made.tool == "ollama" else word.upper()
    return Checkpoint(f"./quantize/{WEIGHTS}/model-{kind}.gguf", MADE, "gguf", None, word)


def group_sizes(context: Context, made: Made, method: str) -> tuple[int, ...]:
    """The group sizes that the tool can make, the largest first; the one that the spec asks for alone."""
    maker = (context.book.section("quantizers")[made.tool].get("makes") or {}).get(method) or {}
    sizes = tuple(maker.get("group_sizes") or ())
    wanted = asked(context).get("group_size")
    return (int(wanted),) if wanted and sizes else sizes


def divides(made: Made, tensor_parallel: int, group: int, experts_whole: bool) -> bool:
    """Whether each GPU's share of every matrix that is quantised is whole groups (on one GPU: whether its rows are)."""
    kept = tuple(m for m in made.architecture.matrices if m.storage is not None)  # what stays wide needs no groups
    if any(m.columns % group for m in kept if m.columns > 1):
        return False
    return cuts(replace(made.architecture, matrices=kept)).divide(tensor_parallel, group, experts_whole, outputs_too=False)


def job_of(context: Context, candidate: Candidate, made: Made) -> Job:
    """The job behind a candidate whose weights are made."""
    book, values = context.book, made.values
    tool = book.section("quantizers")[made.tool]
    numbers = numbers_of(book, candidate.engine_version)
    calibration = _calibration(context, values)
    output = checkpoint_of(made, candidate.method).id.removeprefix("./")
    parameters = max(1, context.model.architecture.parameters)
    if made.layout == "gguf":
        types = book.section("ggml_types")
        imatrix = bool(values.get("imatrix")) or bool(asked(context).get("calibration"))
        sixteen = made.tool == "ollama"
        entry = book.section("methods")["gguf-f16"] if sixteen else made.method
        size, bits = gguf_output(context.model.architecture, entry, types, imatrix=imatrix, header_per_token=numbers("quantize.gguf_header_bytes"))
        needs = gguf_needs(context.model.architecture, size, types, book.section("methods"), numbers, imatrix=imatrix, from_gguf=gguf_source(context))
        scheme = tool["types"][candidate.method] if sixteen else candidate.method.removeprefix("gguf-").upper()
        return Job(
            made.tool, candidate.engine_version if candidate.engine == "llama.cpp" else tool["version"], candidate.method, scheme, output, size, bits, needs,
            dtype=_dtype(context), tolerance=numbers("quantize.tolerance"),
            tensor_types=dict((made.method.get("gguf") or {}).get("overrides") or {}), calibration=calibration if imatrix else None, imatrix=imatrix,
            bounds=(tool.get("bounds") or {}).get(str(entry["weight_bits"]), {}), source="lcpp-quant",
        )  # fmt: skip
    maker = tool["makes"][candidate.method]
    size = checkpoint_bytes(made.architecture, {}, files="made") + stored_beside(made.architecture, maker.get("stored") or {})
    algorithm = "gptq" if made.transform else maker["algorithm"]
    kind = (context.model.config or {}).get("model_type")
    notes = (f"{made.transform} is left out: with {made.tool} {tool['version']} it is not proved for {kind}",) if made.transform else ()
    samples, tokens = (calibration.samples, calibration.tokens) if calibration else (0, 0)
    return Job(
        made.tool, tool["version"], candidate.method, maker["scheme"], output, size, 8 * size / parameters,
        job_needs(context.model.architecture, algorithm, size, numbers, samples=samples, tokens=tokens),
        group_size=made.group_size, desc_act=None if values.get("desc_act") is None else bool(values["desc_act"]), ignore=made.ignore, calibration=calibration,
        quantization=made.quantization or {}, bounds=maker.get("bounds") or {}, notes=notes,
        recipe=recipe_of(
            maker, made.ignore, made.group_size, plain=made.transform is not None,
            kv_cache={key: part for key, part in (made.quantization or {}).items() if key in (tool.get("kv_cache") or {})},
        ),
        dtype=_dtype(context), tolerance=numbers("quantize.tolerance"),
        source=next(iter(maker["source"]), None),
    )  # fmt: skip


def _calibration(context: Context, values: Mapping[str, Any]) -> Calibration | None:
    """The texts that are looked at: by the rows, with what the spec says laid over."""
    own = asked(context).get("calibration") or {}
    if "calibration_samples" not in values and not own:
        return None
    samples, tokens = own.get("samples") or values.get("calibration_samples"), own.get("tokens") or values.get("calibration_tokens")
    if samples is None or tokens is None:
        samples = samples or int(context.book.number("calibration.gptq_samples"))
        tokens = tokens or int(context.book.number("calibration.gptq_tokens"))
    least = context.book.number("calibration.least_share")
    if own.get("file"):
        return Calibration(int(samples), int(tokens), file=own["file"], column=own.get("column"), least_share=least)
    named = own.get("dataset")
    return Calibration(
        int(samples), int(tokens), dataset=named or values.get("calibration_dataset"), dataset_config=own.get("dataset_config"), column=own.get("column"),
        split=own.get("split") or (None if named else values.get("calibration_split")) or "train", least_share=least,
    )  # fmt: skip


def job_names(context: Context, job: Job) -> JobNames:
    """What rules may read of the job behind the choice. ModelOpt spreads the model over all GPUs; the others use one."""
    gpus = context.gpus if context.book.section("quantizers")[job.tool].get("all_gpus") else 1
    host = context.spec.hardware.host_memory_gib
    unified = context.gpu.vendor in ("cpu", "apple")
    return {
        "quantize.fits_gpu": unified or job.needs.gpu_memory <= gpus * context.gpu.device.capacity,
        "quantize.fits_host": None if host is None else job.needs.host_memory <= host * GIB,
    }


def _dtype(context: Context) -> str:
    """The type in which a job loads the model: its own, where that has 16 bits."""
    return "float16" if context.model.architecture.dtype == "fp16" else "bfloat16"
