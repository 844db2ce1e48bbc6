"""The values of the vocabulary's names, stage by stage. Floor 5, pure. Each function gives the names of its stage; the caller lays them
over those of the stages before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from generator.decide.beside import adapter_files
from generator.decide.context import Context, needs, shapes_of
from generator.decide.speculative import speculation_for, word_of
from generator.facts.engine import Engine, back_ends_of, known_on, needs_code, standing, support_of, way_of
from generator.facts.model import Checkpoint
from generator.facts.model_names import pin_accepts
from generator.facts.quality import Quality, quality_of
from generator.quantity import version_key
from generator.rulebook.memo import remembered
from generator.rulebook.table import LABELS, first_source
from generator.spec.deployment import HUGGING_FACE, cards_of

if TYPE_CHECKING:  # every start would pay for building the types
    from generator.decide.vocabulary import EngineNames, MethodNames, PairNames, Sources, SpecNames


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host in ("127.0.0.1", "localhost", "::1"):
        return True
    from ipaddress import ip_address  # nearly every spec has one of those

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@remembered
def spec_names(context: Context) -> tuple[SpecNames, Sources]:
    """Names of the stage `spec`, and the sources of those that come from facts; worked out once a decision."""
    spec, model, gpu, workload = context.spec, context.model, context.gpu, context.workload
    architecture = model.architecture
    hardware, deploy = spec.hardware, spec.deploy
    names: SpecNames = {
        "profile": workload.profile, "goal": workload.goal, "concurrency": workload.concurrency, "input_tokens": workload.input_tokens,
        "output_tokens": workload.output_tokens, "max_context": workload.max_context,
        "context.beyond_model": 0 < max(architecture.max_context, architecture.yarn_context) < workload.max_context,
        "context.extended": context.extension is not None, "context.factor": context.extension and context.extension.factor,
        "context.original": context.extension and context.extension.original, "context.too_short": workload.tokens > workload.max_context,
        "pinned": frozenset(spec.pin),
        "gpu": gpu.name if gpu.listed else None, "gpu.vendor": gpu.vendor, "gpu.architecture": gpu.architecture,
        "gpu.computes": gpu.computes, "gpu.bf16": "bf16" in gpu.computes, "gpu.capacity_gib": gpu.capacity_gib,
        "gpu.capacity_basis": gpu.basis, "gpu.unified": gpu.unified and gpu.vendor != "cpu", "gpu.interconnect": gpu.interconnect,
        "gpu.listed": gpu.listed, "gpu.slice": hardware.mig is not None, "gpu.shared": gpu.device.card > 0,
        "gpus.unequal": bool(gpu.sizes), "gpus.left_out": max(0, cards_of(hardware.gpus) - context.gpus), "gpus": context.gpus,
        "gpus_per_node": hardware.gpus_per_node, "nodes": hardware.nodes, "network": hardware.network,
        "expose.loopback": is_loopback(deploy.get("host", "127.0.0.1")), "expose.api_key": "api_key_from" in deploy,
        "model": model.listed, "model.tags": model.tags, "model.basis": model.basis, "model.billion": model.billion,
        "model.size_known": model.basis != "fallback", "model.family": model.family, "model.moe": architecture.moe,
        "model.mla": architecture.mla, "model.hybrid": architecture.hybrid, "model.multimodal": architecture.multimodal,
        "model.encoder": not architecture.caches, "serve.images": spec.serve.get("images"),
        "task": context.task, "speculative": context.speculation.method if context.speculation else "off",
        "speculative.assumed": context.speculation is not None and context.speculation.assumed,
        "adapters": len(spec.serve.get("adapters") or ()),
        "model.dtype": architecture.dtype, "model.chat": model.chat, "model.licence": model.licence, "model.gated": model.gated,
        "model.needs_remote_code": model.needs_remote_code, "model.hub": None if spec.model.local else spec.model.elsewhere or HUGGING_FACE,
        "model.revision_given": spec.model.revision is not None,
        "quantize.act_order": bool((spec.quantize or {}).get("desc_act")),
        "quantize.kv_scales": spec.pin.get("kv_cache_dtype") in ("fp8", "fp8_e4m3"), "trust_remote_code": bool(deploy.get("trust_remote_code")),
        "served_name": deploy.get("served_name") or spec.name, "served_name.blanks": " " in (deploy.get("served_name") or ""),
        "host": deploy.get("host", "127.0.0.1"), "lock.state": None, "lock.says": None,
    }  # fmt: skip
    sources: Sources = {name: gpu.source for name in names if name == "gpu" or name.startswith("gpu.")}
    sources |= {name: model.source for name in names if name == "model" or name.startswith("model.")}
    names.update({name: spec.labels.get(name.removeprefix(LABELS)) for name in context.book.labels})  # type: ignore[typeddict-item]  # a rule set declares them
    return names, sources


def pair_names(
    context: Context, engine: Engine, method: str, checkpoint: Checkpoint | None, origin: str
) -> tuple[PairNames, Sources, Quality]:
    """Names of the stage `pair`: one engine with one method, whose weights come from `checkpoint` or are `origin`."""
    book, model, gpu = context.book, context.model, context.gpu
    entry = book.section("methods")[method]
    layout = checkpoint.layout if checkpoint else None
    own = model.architecture.quantization
    if layout is None and origin == "given" and own is not None:
        layout = own.layout
    keys: Mapping[str, str] = entry.get("support_key") or {}
    key = keys.get(layout or ("gguf" if entry["family"] == "gguf" else ""), method)
    elsewhere = context.spec.model.elsewhere
    known_there = known_on(book, elsewhere, checkpoint.id if checkpoint else model.id)
    on_hub = None if elsewhere is None else True if known_there else False if origin == "published" else None
    support, source = support_of(book, engine, key, gpu.architecture, shapes_of(context))
    (of_engine, known), (of_method, quality) = _engine_names(context, engine), _method_names(context, method)
    names: PairNames = {
        **of_engine,
        **of_method,
        "checkpoint.fp8_cache": own is not None and own.fp8_cache if origin == "given" else checkpoint is not None and checkpoint.fp8_cache,
        "engine.reads_format": engine.reads(entry),
        "engine.reads_layout": layout not in (engine.facts.get("unread_layouts") or ()),
        "pair.pinned": context.spec.pin.get("engine") == engine.name and "quantization" in context.spec.pin,
        "support": support,
        "weights.origin": origin,
        "weights.gated": _gated(context, checkpoint),
        "weights.on_hub": on_hub,
    }
    lost = dict.fromkeys(("quality.loss", "quality.loss_steps", "quality.measured_steps", "quality.over_limit"), quality.source)
    return names, {**known, "support": source, **lost}, quality


def _gated(context: Context, checkpoint: Checkpoint | None) -> bool:
    """Whether what is loaded asks for a licence: the model's own repository, or one prepared from it, as the lock or the same owner says."""
    model, lock = context.model, context.spec.lock
    locked = lock.repositories.get(checkpoint.id) if lock is not None and checkpoint is not None else None
    if locked is not None:
        return bool(locked.gated)
    return model.gated and (checkpoint is None or checkpoint.id.partition("/")[0] == model.id.partition("/")[0])


@remembered
def _method_names(context: Context, method: str) -> tuple[MethodNames, Quality]:
    """What a pair's names say of its method alone, and what it loses; the same for all engines."""
    entry, experts = context.book.section("methods")[method], context.model.architecture.gguf_experts
    quality, mixture = quality_of(context.book, method, context.model.id, context.model.billion, experts), entry.get("gguf") or {}
    steps = None if quality.value is None else int(max(0.0, quality.value) / context.book.number("quality.level"))
    limit, wanted = context.spec.workload.get("max_quality_loss_percent"), context.spec.pin.get("quantization")
    dtype = dtype_of(context, method)
    names: MethodNames = {
        "method": method, "method.family": entry["family"], "method.bits": entry["weight_bits"],
        "method.pinned": wanted is not None and pin_accepts(wanted, method), "method.imatrix": mixture.get("imatrix") == "required",
        "method.as_published": experts is not None and mixture.get("experts", {}).get("type") == experts, "dtype": dtype,
        "dtype.narrower": dtype == "float16" and context.model.architecture.dtype == "bf16" and entry["family"] != "gguf",
        "quality.loss": quality.value,
        "quality.loss_steps": steps, "quality.measured_steps": steps if context.model.id in context.book.measured else None,
        "quality.over_limit": None if limit is None or quality.value is None else quality.value > limit,
    }  # fmt: skip
    return names, quality


@remembered
def recipe(context: Context, engine: Engine) -> Mapping[str, Any]:
    """What the model needs of an engine whatever the method and the layout."""
    return needs(context, engine, spec_names(context)[0])


@remembered
def _engine_names(context: Context, engine: Engine) -> tuple[EngineNames, Sources]:
    """What a pair's names say of its engine alone, and the sources of that; the same for all its methods."""
    least, loads = context.model.min_version.get(engine.name), standing(context.book, engine, context.model)
    found = speculation_for(context, engine)
    # what computes: the pinned back end, else the first that this hardware can use; None where there is no such choice
    ends = back_ends_of(engine.facts, context.book.section("architectures")[context.gpu.architecture])
    way, registry = way_of(engine.facts, context.spec.model.elsewhere), first_source(context.book.section("registry").get(engine.name, {}).get("source"))
    names: EngineNames = {
        "engine": engine.name, "engine.back_end": context.pinned("back_end") or next(iter(ends), None), "engine.status": engine.facts["status"],
        "engine.runs_on_vendor": context.gpu.vendor in engine.facts["vendors"], "engine.version_listed": engine.listed,
        "engine.version_between": engine.between,
        "engine.whole_prompts": engine.whole_prompts(context.model.architecture),
        "engine.below_safe": "safe_from" in engine.facts and version_key(engine.version) < version_key(engine.facts["safe_from"]),
        "engine.too_old": loads == "newer" or (least is not None and version_key(engine.version) < version_key(least)),
        "engine.dropped": loads == "older", "engine.lacks_model": loads == "never",
        "engine.needs_remote_code": needs_code(context.book, engine, context.model),
        "engine.pinned": context.spec.pin.get("engine") == engine.name,
        "engine.speculates": found is None or (word_of(engine, found.method) is not None and (found.same_vocabulary or "gguf" in engine.facts["formats"])),
        "engine.serves_adapters": engine.has("lora_modules") or (engine.has("lora_files") and adapter_files(context.spec) is not None),
        "engine.extends_context": engine.has("config_overrides") or engine.has("rope_scaling"),
        "engine.serves_task": engine.serves(context.task),
        "engine.loads_hub": "refused" not in way,
        "engine.api_key": "api_key_env" in engine.facts or engine.has("api_key"),
        "tools.parser": engine.takes("tool_call_parser", context.model.tool_call_parser.get(engine.name)),
        "tools.template": context.model.tool_template.get(engine.name), "recipe.kv_cache": recipe(context, engine).get("kv_cache_dtype"),
        "context.beyond_engine": 0 < engine.longest_context(context.model.architecture) < context.workload.max_context,
    }  # fmt: skip
    of_registry = dict.fromkeys(("engine.too_old", "engine.dropped", "engine.lacks_model"), registry)
    return names, {"engine.loads_hub": first_source(way.get("source")), **of_registry}


def dtype_of(context: Context, method: str) -> str:
    """The 16-bit type of what is not quantised: as trained, where the hardware computes in it."""
    if method in ("bf16", "fp16"):
        return "bfloat16" if method == "bf16" else "float16"
    return "bfloat16" if "bf16" in context.gpu.computes and context.model.architecture.dtype != "fp16" else "float16"
