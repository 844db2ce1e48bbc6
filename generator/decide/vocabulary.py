"""The names that rules may read: each declared once, by the stage at which it gets its value.

Floor 5, pure. `scripts/make_vocabulary.py` makes `rules/vocabulary.yaml` of these declarations, and the schemas and docs are
made of that. Whoever makes or reads a name by its literal is checked by mypy; a value of None is `unknown` to a row.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple, TypedDict


class Name(NamedTuple):
    """What is said of a name beside its type: meaning, where values come from as traces show it, unit, and the words it may be.

    `of` names a section of the catalogue whose entries are such words (`methods`), or a key of them (`models.family`).
    """

    meaning: str
    origin: str
    unit: str | None = None
    values: tuple[str, ...] = ()
    of: str | None = None


ARITHMETIC = ("fp16", "bf16", "int8", "fp8", "mxfp4", "nvfp4")
SUPPORT = ("yes", "degraded", "plugin", "no", "unknown")
PINS = (
    "engine", "engine_version", "quantization", "kv_cache_dtype", "tensor_parallel", "pipeline_parallel", "max_model_len", "max_num_seqs",
    "max_num_batched_tokens", "gpu_memory_utilization", "enforce_eager", "cpu_experts", "back_end",
)  # fmt: skip

SpecNames = TypedDict("SpecNames", {
    "profile": Annotated[str, Name("what the deployment is for", "spec", values=("chat", "batch", "rag", "agent", "code", "dev"))],
    "goal": Annotated[str, Name("what counts most", "spec", values=("balanced", "quality", "throughput", "latency", "cost"))],
    "concurrency": Annotated[int | None, Name("sequences at once; unknown: as many as the cache holds and the objectives allow", "spec", "sequence")],
    "input_tokens": Annotated[int, Name("prompt of a typical request", "spec", "token")],
    "output_tokens": Annotated[int, Name("answer of a typical request", "spec", "token")],
    "max_context": Annotated[int, Name("longest sequence that must be possible", "spec", "token")],
    "context.beyond_model": Annotated[bool, Name("the spec asks for more context than the model was made for", "spec")],
    "context.too_short": Annotated[bool, Name("a typical request does not fit into the context that the spec asks for", "spec")],
    "pinned": Annotated[frozenset[str], Name("what the spec pins", "spec", values=PINS)],
    "gpu": Annotated[str | None, Name("the GPU's name in the catalogue; unknown where a spec describes one itself", "gpus", of="gpus")],
    "gpu.vendor": Annotated[str, Name("maker of the accelerator, or cpu", "gpus", values=("nvidia", "amd", "intel", "apple", "cpu"))],
    "gpu.architecture": Annotated[str, Name("column of the compatibility matrix", "gpus", of="architectures")],
    "gpu.computes": Annotated[frozenset[str], Name("arithmetic that the hardware has", "architectures", values=ARITHMETIC)],
    "gpu.bf16": Annotated[bool, Name("the hardware computes in bfloat16", "architectures")],
    "gpu.capacity_gib": Annotated[float, Name("what the driver reports for one GPU", "gpus", "GiB")],
    "gpu.capacity_basis": Annotated[str, Name("where that figure comes from", "gpus", values=("spec", "catalogue", "assumed"))],
    "gpu.unified": Annotated[bool, Name("the accelerator has no memory of its own, and shares the system's", "gpus")],
    "gpu.interconnect": Annotated[str, Name("link between the GPUs of a node", "gpus", values=("nvlink", "xgmi", "pcie", "none"))],
    "gpu.listed": Annotated[bool, Name("the GPU is in the catalogue", "gpus")],
    "gpu.slice": Annotated[bool, Name("a GPU of the spec is a MIG slice: a process sees one, and none reaches another", "spec")],
    "gpu.shared": Annotated[bool, Name("another service lives on the same cards (share_gib)", "spec")],
    "gpus.unequal": Annotated[bool, Name("the layers are spread over cards of different kinds", "spec")],
    "gpus.left_out": Annotated[int, Name("cards of the spec's `gpus` that this deployment does not use", "spec", "GPU")],
    "gpus": Annotated[int, Name("GPUs in all", "spec", "GPU")],
    "gpus_per_node": Annotated[int, Name("GPUs of one node", "spec", "GPU")],
    "nodes": Annotated[int, Name("machines", "spec", "node")],
    "expose.loopback": Annotated[bool, Name("the server listens on the loopback address only", "spec")],
    "expose.api_key": Annotated[bool, Name("the spec names a variable that holds an API key", "spec")],
    "model": Annotated[str | None, Name("the model's id in the catalogue; unknown where it is not in it", "models", of="models")],
    "model.tags": Annotated[frozenset[str] | None, Name(
        "what the model was made for, in words of its entry; unknown where it is not in the catalogue", "models", of="models.tags"
    )],
    "model.basis": Annotated[str, Name(
        "how the shape of the model is known", "models", values=("catalogue", "lock", "config", "gguf", "parameters", "fallback")
    )],
    "model.billion": Annotated[float, Name("parameters in all", "models", "billion parameters")],
    "model.size_known": Annotated[bool, Name("the size of the model is known", "models")],
    "model.family": Annotated[str | None, Name("family in the catalogue", "models", of="models.family")],
    "model.moe": Annotated[bool, Name("routed experts", "models")],
    "model.mla": Annotated[bool, Name("multi-head latent attention", "models")],
    "model.hybrid": Annotated[bool, Name("some layers keep a state instead of keys and values", "models")],
    "model.multimodal": Annotated[bool, Name("the model has a vision or audio tower", "models")],
    "serve.images": Annotated[int | None, Name("most images of a request; 0: the vision tower is left out, unknown: the engine decides", "spec", "image")],
    "model.dtype": Annotated[str, Name("type that the model was trained in", "models", values=("bf16", "fp16", "fp32"))],
    "model.chat": Annotated[bool | None, Name("tuned for instructions or chat", "models")],
    "model.licence": Annotated[str | None, Name("licence of the repository, in the model hub's words; unknown without a lock", "lock")],
    "model.gated": Annotated[bool, Name("the repository asks for a licence to be accepted", "models")],
    "model.needs_remote_code": Annotated[bool, Name("the repository brings code that must be run", "models")],
    "model.hub": Annotated[str | None, Name("hub that the model is loaded from; unknown for local files", "spec", values=("huggingface", "modelscope"))],
    "model.revision_given": Annotated[bool, Name("the spec pins a commit of the model", "spec")],
    "quantize.act_order": Annotated[bool, Name("the spec asks for GPTQ in the order of the columns' importance (quantize: {desc_act: true})", "spec")],
    "trust_remote_code": Annotated[bool, Name("the spec allows the repository's code", "spec")],
    "served_name.blanks": Annotated[bool, Name("the name that clients ask for holds a blank", "spec")],
    "served_name": Annotated[str, Name("name that clients ask for", "spec")],
    "host": Annotated[str, Name("address that the server listens on", "spec")],
    "lock.state": Annotated[str | None, Name(
        "what the lock chose is kept though another choice would now be made, or cannot be kept; unknown where neither is so", "lock",
        values=("newer", "refused")
    )],
    "lock.says": Annotated[str | None, Name("what would be gained, or what is against it", "lock")],
})

EngineNames = TypedDict("EngineNames", {
    "engine": Annotated[str, Name("serving engine", "candidate", of="engines")],
    "engine.back_end": Annotated[str | None, Name(
        "what computes in the engine: the first of its back ends that this hardware can use, or the pinned one; unknown of an engine without "
        "that choice", "architectures", of="engines.back_ends"
    )],
    "engine.status": Annotated[str, Name("whether the engine is developed", "engines", values=("active", "maintenance"))],
    "engine.runs_on_vendor": Annotated[bool, Name("the engine exists for this maker's hardware", "engines")],
    "engine.version_listed": Annotated[bool, Name("the version is in the catalogue", "engines")],
    "engine.below_safe": Annotated[bool, Name("a newer version repairs a published advisory", "engines")],
    "engine.too_old": Annotated[bool, Name("the model needs a newer version of this engine", "models")],
    "engine.dropped": Annotated[bool, Name("only older versions of this engine load the model", "registry")],
    "engine.lacks_model": Annotated[bool, Name("no version of this engine that is known loads the model", "registry")],
    "engine.needs_remote_code": Annotated[bool, Name("this version runs code of the model's repository to load it", "registry")],
    "engine.pinned": Annotated[bool, Name("the spec pins this engine", "spec")],
    "engine.loads_hub": Annotated[bool, Name("the engine loads from the spec's model hub", "engines")],
    "engine.api_key": Annotated[bool, Name("the engine can ask for an API key", "engines")],
    "tools.parser": Annotated[bool, Name("a tool-call parser of this engine is known for the model", "models")],
    "tools.template": Annotated[str | None, Name(
        "chat template of the engine's own that its documentation gives for this model's tool calls", "models", of="models.tool_template"
    )],
})

MethodNames = TypedDict("MethodNames", {
    "method": Annotated[str, Name("quantisation method of the weights", "candidate", of="methods")],
    "method.family": Annotated[str, Name("family of the method", "methods", values=("float", "fp8", "int8", "int4", "fp4", "gguf"))],
    "method.bits": Annotated[float, Name("nominal bits of a weight", "methods", "bit")],
    "method.pinned": Annotated[bool, Name("the spec pins this method", "spec")],
    "method.imatrix": Annotated[bool, Name("the quantiser needs an importance matrix", "methods")],
    "method.as_published": Annotated[bool, Name("the GGUF type has the experts as published, which every GGUF of the model keeps", "methods")],
    "dtype": Annotated[str, Name("type of what is not quantised", "candidate", values=("bfloat16", "float16"))],
    "dtype.narrower": Annotated[bool, Name("float16 for a model that was trained in bfloat16", "candidate")],
    "quality.loss": Annotated[float | None, Name("published loss of the method for this size of model", "quality", "percent")],
    "quality.loss_steps": Annotated[int | None, Name("that loss in steps of what is level: what is level has the same number", "quality", "count")],
    "quality.over_limit": Annotated[bool | None, Name("that loss is above the spec's max_quality_loss_percent", "quality")],
})

_PairNames = TypedDict("_PairNames", {
    "context.beyond_engine": Annotated[bool, Name("the spec asks for more context than the engine takes from the model's config", "models")],
    "checkpoint.fp8_cache": Annotated[bool, Name("the checkpoint has scales for an FP8 KV cache", "models")],
    "engine.reads_format": Annotated[bool, Name("the engine loads weights in this method's file format", "engines")],
    "engine.reads_layout": Annotated[bool, Name("the engine reads this checkpoint's layout", "engines")],
    "pair.pinned": Annotated[bool, Name("the spec pins both this engine and this method", "spec")],
    "weights.on_hub": Annotated[bool | None, Name(
        "the spec's hub is known to have this repository; unknown of a name that the catalogue does not list for it, and with Hugging Face", "hubs"
    )],
    "support": Annotated[str, Name("cell of the matrix engine × method × architecture", "support", values=SUPPORT)],
    "weights.origin": Annotated[str, Name(
        "how the weights come about: as published in 16 bits, quantised while loading, the model itself, a checkpoint that the spec "
        "names or the catalogue lists, made by a job that the plan brings, or not at all",
        "models", values=("native", "online", "given", "named", "published", "made", "missing")
    )],
})

LayoutNames = TypedDict("LayoutNames", {
    "tensor_parallel": Annotated[int, Name("GPUs that share each layer", "candidate", "GPU")],
    "pipeline_parallel": Annotated[int, Name("groups of layers on GPUs of their own", "candidate", "stage")],
    "replicas": Annotated[int, Name("whole copies of the model", "candidate", "replica")],
    "gpus_used": Annotated[int, Name("GPUs in use by all replicas", "candidate", "GPU")],
    "gpus_idle": Annotated[int, Name("GPUs of the spec that stay idle", "candidate", "GPU")],
    "expert_parallel": Annotated[bool, Name("experts stay whole and are spread over the GPUs", "candidate")],
    "parallel.heads_divide": Annotated[bool, Name("the attention heads divide by tensor_parallel", "models")],
    "parallel.kv_heads_repeat": Annotated[bool, Name("there are more GPUs than KV heads or they do not divide, so that KV heads are repeated", "models")],
    "parallel.groups_divide": Annotated[bool, Name("each GPU's share of every quantised matrix is whole scale groups", "models")],
    "parallel.blocks_divide": Annotated[bool, Name("each GPU's share of every FP8 matrix is whole blocks", "models")],
    "tables.fit_host": Annotated[bool | None, Name(
        "the lookup tables that the copies of the model keep in the host's memory fit hardware.host_memory_gib; unknown where that is not given", "sizing"
    )],
    "parallel.layers_enough": Annotated[bool, Name("there is a layer for each pipeline stage", "models")],
    "parallel.across_nodes": Annotated[bool, Name("one replica spans several nodes", "candidate")],
    "engine.splits_tensors": Annotated[bool, Name("the engine has tensor parallelism", "engines")],
    "engine.splits_layers": Annotated[bool, Name("the engine spreads layers over GPUs", "engines")],
    "engine.replicates": Annotated[bool, Name("the engine's own data parallelism makes each replica a whole copy of this model", "engines")],
    "engine.replicates_apart": Annotated[bool, Name("replicas of this model are servers of their own behind one address, all on one machine", "engines")],
    "engine.spans_nodes": Annotated[bool, Name("the engine runs one model over several machines", "engines")],
})

TargetNames = TypedDict("TargetNames", {
    "engine.settings": Annotated[frozenset[str], Name("the settings that the engine has a word for and takes here", "engines", of="settings")],
    "checkpoint": Annotated[str, Name("what the engine loads", "candidate")],
    "gguf.hub": Annotated[str | None, Name("repository and type of a GGUF on a hub, REPO:TYPE", "candidate")],
    "gguf.path": Annotated[str | None, Name("path of a local GGUF file", "candidate")],
    "gguf.is_local": Annotated[bool, Name("the GGUF is a local file", "candidate")],
    "revision": Annotated[str | None, Name("commit of the model; unknown where none is given", "spec")],
    "weights.pinned": Annotated[bool, Name("a commit of what is loaded is given, or it is a local file", "spec")],
    "has_revision": Annotated[bool, Name("a commit of what is loaded is given", "spec")],
    "port": Annotated[int, Name("port that the server listens on", "spec")],
    "tool_call_parser": Annotated[str | None, Name("the engine's parser of this model's tool calls", "models", of="models.tool_call_parser")],
    "reasoning_parser": Annotated[str | None, Name("the engine's parser of this model's reasoning", "models", of="models.reasoning_parser")],
    "tokenizer_mode": Annotated[str | None, Name("the engine's own tokenizer for this model, where it must be asked for", "models")],
    "reasoning.parser": Annotated[bool, Name("a reasoning parser of this engine is known for the model", "models")],
})

FitNames = TypedDict("FitNames", {
    "kv_cache.dtype": Annotated[str, Name("type of the KV cache", "candidate", of="kv_cache.dtypes")],
    "kv_cache.support": Annotated[str, Name("cell of the matrix engine × KV type × architecture", "kv_cache", values=SUPPORT)],
    "kv_cache.tokens": Annotated[int, Name("tokens that the cache holds", "sizing", "token")],
    "kv_cache.max_concurrency": Annotated[float, Name("sequences of full length that the cache holds", "sizing", "sequence")],
    "kv_cache.gib": Annotated[float, Name("what the engine allocates for the cache", "sizing", "GiB")],
    "max_model_len": Annotated[int, Name("context that was fitted", "fit", "token")],
    "max_num_seqs": Annotated[int, Name("sequences at once that were fitted", "fit", "sequence")],
    "max_num_batched_tokens": Annotated[int, Name("tokens of one engine step", "fit", "token")],
    "cache_tokens": Annotated[int, Name("cells of a cache that is allocated whole (llama.cpp, Ollama): the context of all slots", "fit", "token")],
    "gpu_memory_utilization": Annotated[float, Name("the engine's memory fraction", "fit", "fraction")],
    "max_input_tokens": Annotated[int, Name("longest prompt that leaves room for an answer", "fit", "token")],
    "enforce_eager": Annotated[bool, Name("no CUDA graphs", "fit")],
    "gpu_layers": Annotated[int, Name("layers on the GPU, the output layer counted", "fit", "layer")],
    "layers.on_cpu": Annotated[int, Name("layers that stay in the host's memory because the GPU does not hold them; 0 on a CPU-only host", "fit", "layer")],
    "layers.spilled": Annotated[bool, Name("some layers, or the experts of some, stay in the host's memory because the GPU does not hold them", "fit")],
    "layers.cpu_tenths": Annotated[int, Name("those layers in tenths of all, rounded up: what is level has the same number", "fit", "count")],
    "layers.split": Annotated[str | None, Name("layers of each GPU, the output counted as one, where they are not spread evenly", "fit")],
    "experts.on_cpu": Annotated[int, Name("first layers whose experts stay in the host's memory", "fit", "layer")],
    "experts.as_pinned": Annotated[bool, Name("the experts of as many layers as the spec pins, if it pins that, stay in the host's memory", "fit")],
    "offload.host_tenths": Annotated[int, Name(
        "bytes that a token reads from the host's memory, in tenths of what its active parameters take in four bits, rounded up", "fit", "count"
    )],
    "context.halvings": Annotated[int, Name("how often the profile's context was halved to fit", "fit", "count")],
    "sequences.halvings": Annotated[int, Name("how often the profile's concurrency was halved to fit", "fit", "count")],
    "context.lowered": Annotated[bool, Name("the profile's context was lowered to fit", "fit")],
    "sequences.lowered": Annotated[bool, Name("the profile's concurrency was lowered to fit", "fit")],
    "sequences.capped": Annotated[bool, Name("with concurrency max: more would fit, but ttft_ms or tpot_ms would not hold by the estimate", "fit")],
    "load.stated": Annotated[bool, Name("the spec states the concurrency", "spec")],
    "load.held": Annotated[int, Name("sequences of the load that run at once, the others queue; 0 where the model does not fit", "fit", "sequence")],
    "load.held_share": Annotated[float, Name("those, as a share of the concurrency, or of a smaller cap that is pinned; 1 with max", "fit", "fraction")],
    "share.stretched": Annotated[bool, Name("it fits only with more than the engine's usual share of the card", "fit")],
    "memory.headroom": Annotated[float, Name("share of the budget that is free under this workload", "sizing", "fraction")],
    "memory.weights_gib": Annotated[float, Name("weights on the fullest GPU", "sizing", "GiB")],
    "memory.budget_gib": Annotated[float, Name("what the engine may use on one GPU", "sizing", "GiB")],
    "memory.uncounted": Annotated[float | None, Name(
        "share of the GPU that nothing of the plan uses; negative where it asks for more than there is", "sizing", "fraction"
    )],
})

SpeedNames = TypedDict("SpeedNames", {
    "speed.output_tokens_per_second": Annotated[float | None, Name(
        "estimated output of the whole deployment under the spec's load", "throughput", "token/s"
    )],
    "speed.tpot_ms": Annotated[float | None, Name("estimated time per output token", "throughput", "ms")],
    "speed.ttft_ms": Annotated[float | None, Name("estimated time to the first token", "throughput", "ms")],
    "objective.missed": Annotated[int, Name(
        "1 where the estimate itself is above ttft_ms or tpot_ms, though its band may still reach them, or is not known; else 0",
        "throughput", "flag"
    )],
    "objective.ttft_ratio": Annotated[float | None, Name("the lower bound of the time to the first token, over the spec's ttft_ms", "throughput", "ratio")],
    "objective.tpot_ratio": Annotated[float | None, Name("the lower bound of the time per output token, over the spec's tpot_ms", "throughput", "ratio")],
})

JobNames = TypedDict("JobNames", {
    "quantize.fits_gpu": Annotated[bool | None, Name("the job that makes the weights fits the GPUs of the spec; unknown where there is none", "quantizers")],
    "quantize.fits_host": Annotated[bool | None, Name("the job fits hardware.host_memory_gib; unknown where that is not given", "quantizers")],
})


class PairNames(EngineNames, MethodNames, _PairNames):
    """Names of the stage `pair`."""


class PairFacts(SpecNames, PairNames):
    """What is known of a pair."""


class LayoutFacts(PairFacts, LayoutNames):
    """What is known of a pair in one layout."""


class SizedNames(TargetNames, FitNames, SpeedNames, JobNames):
    """Names of the stage `sized`."""


class Names(LayoutFacts, SizedNames):
    """Every name: what is known of a sized candidate."""


STAGE_NAMES = (SpecNames, PairNames, LayoutNames, SizedNames)
"""The declarations of each stage, in the order of `STAGES`."""
Sources = dict[str, str | None]
"""The sources of the names whose values come from facts."""
