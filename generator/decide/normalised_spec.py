"""The spec as it was understood: everything filled in, as plain data. Floor 5, pure."""

from __future__ import annotations

from generator.decide.context import Context
from generator.spec.deployment import VERSION

_GIVEN = ("host_memory_gib", "host_bandwidth_gb_per_s", "mig", "share_gib", "machine", "network", "download_mb_per_s", "disk_mb_per_s")


def normalised(context: Context) -> dict[str, object]:
    """The spec with its defaults; what depends on the engine (port, image) is left to the candidate."""
    spec, workload = context.spec, context.workload
    model, hardware = spec.model, spec.hardware
    given = {
        "revision": model.revision, "config": model.config, "gguf": model.gguf, "safetensors": model.safetensors,
        "parameters": model.parameters, "path": model.path, "hub": model.hub, "checkpoints": dict(model.checkpoints) or None,
    }  # fmt: skip
    gpu: object = context.gpu.name if isinstance(hardware.gpu, str) or context.gpu.sizes else dict(hardware.gpu)
    return {
        "version": VERSION, "name": spec.name,
        "model": {"id": model.id if model.path else context.model.id, **{k: v for k, v in given.items() if v is not None}},
        **({"labels": dict(spec.labels)} if spec.labels else {}),
        "hardware": {
            "gpu": gpu, "gpus_per_node": hardware.gpus_per_node, "nodes": hardware.nodes,
            "memory_gib": round(context.gpu.capacity_gib, 2), "interconnect": context.gpu.interconnect,
            **{k: v for k in _GIVEN if (v := getattr(hardware, k)) is not None},
            **{k: list(v) for k in ("devices", "gpus") if (v := getattr(hardware, k))},
        },
        "workload": {
            "profile": workload.profile, "concurrency": "max" if workload.concurrency is None else workload.concurrency,
            "input_tokens": workload.input_tokens, "output_tokens": workload.output_tokens, "max_context": workload.max_context, "goal": workload.goal,
            **{k: spec.workload[k] for k in ("ttft_ms", "tpot_ms", "max_quality_loss_percent") if k in spec.workload},
        },
        **({"serve": dict(spec.serve)} if spec.serve else {}),
        "pin": dict(spec.pin),
        "deploy": {
            **dict(spec.deploy), "targets": list(spec.deploy.get("targets") or ("script", "compose")),
            "served_name": spec.deploy.get("served_name") or spec.name, "host": spec.deploy.get("host", "127.0.0.1"),
        },
    }  # fmt: skip
