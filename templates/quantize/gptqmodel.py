"""Quantises a model by GPTQ with GPTQModel. Data: job.yaml beside this file; the result is in the layout of GPTQ.

One layer at a time is on the GPU; layers that are done go to disk. Modules to leave wide are named in GPTQModel's words
(`-:` and a regular expression); lm_head stays wide by itself.
"""

import json
import os
import sys
import time
from pathlib import Path

import training_job as common
import weights_job
from training_job import Stop


def work(job):
    """Load, look at texts, quantise, save."""
    started = time.monotonic()
    weights_job.check_tool(job, "gptqmodel", "gptqmodel")
    job.get("method", str, choices=("gptq",))
    ignore, group_size = job.get("ignore", list, []), job.get("group_size", int, -1)
    if any(not pattern.startswith("-:") for pattern in ignore):
        raise Stop(f"{job.path}: ignore: GPTQModel takes patterns that begin with -:")
    weights = job.begin() / "weights"
    small, trusted = Path(job.folder_of("model", weights=False)), job.trusted("model")
    config = weights_job.load_config(small, trusted)
    tokenizer = common.load_tokenizer(str(small), trusted)
    rows, held = weights_job.texts(job, tokenizer)
    checked = weights_job.Proof(job, tokenizer, held, config)
    source = Path(job.folder_of("model"))
    compare_source(job, source, checked)
    quantise(job, source, weights, rows, group_size, ignore)
    forget_folder(weights)
    weights_job.keep_config(source, weights)
    with weights_job.told(job, "the result cannot be loaded again"):
        from gptqmodel import GPTQModel

        checked.after(GPTQModel.load(str(weights), trust_remote_code=trusted).model)
    return weights_job.finish(job, weights, started, checked, source)


def compare_source(job, source, checked):
    """What the source predicts, with the model spread over the GPUs and host memory."""
    import gc

    import torch
    from transformers import AutoConfig

    with weights_job.told(job, "the model cannot be loaded"):
        loader = weights_job.model_class(AutoConfig.from_pretrained(str(source), trust_remote_code=job.trusted("model")))
        where = {"device_map": "auto"} if torch.cuda.is_available() else {}
        model = loader.from_pretrained(str(source), dtype=weights_job.dtype_of(job), trust_remote_code=job.trusted("model"), **where)
    checked.before(model)
    del model
    gc.collect()


def quantise(job, source, weights, rows, group_size, ignore):
    """What GPTQModel is asked to do."""
    with weights_job.told(job, "GPTQModel"):
        from gptqmodel import GPTQModel, QuantizeConfig

        how = QuantizeConfig(
            bits=4,
            group_size=group_size,
            desc_act=job.get("desc_act", bool, False),
            sym=True,
            dynamic={pattern: {} for pattern in ignore} or None,
            offload_to_disk_path=str(job.partial / "offload"),
        )
        model = GPTQModel.load(str(source), how, trust_remote_code=job.trusted("model"), dtype=weights_job.dtype_of(job))
        model.quantize(rows, batch_size=1)
        model.save(str(weights))


def forget_folder(weights):
    """Take the folder for layers that were done out of what is written down: it named this machine's path."""
    for name in ("config.json", "quantize_config.json"):
        path = weights / name
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            content.get("quantization_config", content).get("meta", {}).pop("offload_to_disk_path", None)
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if (os.cpu_count() or 1) <= 2:  # GPTQModel 7.7 asks for two loaders of one worker there, and stops
        os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    sys.exit(common.run(work, __doc__))
