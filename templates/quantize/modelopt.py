"""Quantises a model with NVIDIA's Model Optimizer. Data: job.yaml beside this file; TensorRT-LLM, vLLM and SGLang read the result.

`scheme` is the name of one of the library's configurations (FP8_DEFAULT_CFG, NVFP4_DEFAULT_CFG, INT4_AWQ_CFG …), which keep lm_head,
routers and vision towers wide by themselves; `ignore` are wildcards for more. The whole model has to fit the GPUs in 16 bits.
"""

import copy
import sys
import time
from pathlib import Path

import training_job as common
import weights_job
from training_job import Stop


def work(job):
    """Load, look at texts, quantise, export."""
    started = time.monotonic()
    weights_job.check_tool(job, "modelopt", "nvidia-modelopt")
    weights = job.begin() / "weights"
    small, trusted = Path(job.folder_of("model", weights=False)), job.trusted("model")
    config = weights_job.load_config(small, trusted)
    tokenizer = common.load_tokenizer(str(small), trusted)
    rows, held = weights_job.texts(job, tokenizer) if job.get("calibration", dict, {}) else ([], [])
    checked = weights_job.Proof(job, tokenizer, held, config)
    source = Path(job.folder_of("model"))
    quantise(job, source, weights, rows, weights_job.model_class(config), checked)
    weights_job.keep_config(source, weights)
    return weights_job.finish(job, weights, started, checked, source)


def scheme_of(job, mtq):
    """The library's configuration of that name, with the modules of `ignore` switched off, and the group size of the job."""
    name = job.get("scheme", str)
    if name not in mtq.config.choices:
        raise Stop(f"{job.path}: scheme: {name!r} is none of {', '.join(sorted(mtq.config.choices))}")
    scheme = copy.deepcopy(getattr(mtq, name))
    group_size = job.get("group_size", int, None)
    for entry in scheme["quant_cfg"]:
        sizes = (entry.get("cfg") or {}).get("block_sizes") if isinstance(entry.get("cfg"), dict) else None
        if group_size and sizes and -1 in sizes:
            sizes[-1] = group_size
    scheme["quant_cfg"] += [{"quantizer_name": pattern, "enable": False} for pattern in job.get("ignore", list, [])]
    return scheme


def quantise(job, source, weights, rows, loader, checked):
    """What Model Optimizer is asked to do. The model is compared as it is before it is exported: transformers cannot read the export."""
    with weights_job.told(job, "Model Optimizer"):
        import modelopt.torch.quantization as mtq
        import torch
        from modelopt.torch.export import export_hf_checkpoint
        from transformers import GenerationConfig

        where = {"device_map": "auto"} if torch.cuda.is_available() else {}
        model = loader.from_pretrained(str(source), dtype=weights_job.dtype_of(job), trust_remote_code=job.trusted("model"), **where)
        if torch.cuda.is_available() and {"cpu", "disk"} & set(map(str, getattr(model, "hf_device_map", {}).values())):
            raise Stop("the model does not fit the GPUs in 16 bits")

        def look(model):
            with torch.inference_mode():
                for row in rows:
                    model(input_ids=torch.tensor([row["input_ids"]], device=model.device))

        checked.before(model)
        model = mtq.quantize(model, scheme_of(job, mtq), look if rows else None)
        checked.after(model)
        model.generation_config = GenerationConfig()  # the source's own is copied: saving refuses some that are in use
        with torch.inference_mode():
            export_hf_checkpoint(model, export_dir=str(weights))


if __name__ == "__main__":
    sys.exit(common.run(work, __doc__))
