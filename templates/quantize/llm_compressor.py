"""Quantises a model with LLM Compressor. Data: job.yaml and recipe.yaml beside this file; the result is in the compressed-tensors layout.

pipeline: calibrated  texts are run through the model, one layer at a time on the GPU; the rest lies in host memory, or on disk.
pipeline: data-free   the weights are rounded where they lie; no texts.
pipeline: model-free  the same straight from the files, one file at a time, without loading the model; schemes without static activations.
"""

import os
import sys
import time
from pathlib import Path

import training_job as common
import weights_job
from training_job import Stop


def work(job):
    """Make the weights one of the three ways."""
    started = time.monotonic()
    weights_job.check_tool(job, "llm-compressor", "llmcompressor")
    pipeline = job.get("pipeline", str, "calibrated", choices=("calibrated", "data-free", "model-free"))
    recipe = job.folder / "recipe.yaml"
    if pipeline != "model-free" and not recipe.is_file():
        raise Stop(f"{recipe}: no such file")
    weights = job.begin() / "weights"
    source, trusted = Path(job.folder_of("model")), job.trusted("model")
    config = weights_job.load_config(source, trusted)
    if pipeline == "model-free":
        straight_from_files(job, source, weights)
    else:
        through_model(job, source, weights, config, recipe, calibrated=pipeline == "calibrated")
    return weights_job.finish(job, weights, started)


def straight_from_files(job, source, weights):
    """Round the matrices of one file after the other."""
    from llmcompressor import model_free_ptq

    with weights_job.told(job, "LLM Compressor"):
        ignore = [*job.get("ignore", list, []), f"re:{weights_job.EMBEDDINGS}"]
        model_free_ptq(str(source), str(weights), scheme=job.get("scheme", str), ignore=ignore)


def through_model(job, source, weights, config, recipe, *, calibrated):
    """Load the model with each expert by itself, apply the recipe, save."""
    import torch
    from llmcompressor import oneshot
    from llmcompressor.pipelines.cache import IntermediatesCache
    from llmcompressor.utils.dev import load_context
    from transformers import GenerationConfig

    if not torch.accelerator.is_available():
        IntermediatesCache.pin_memory = nothing_to_pin
    trusted, loader = job.trusted("model"), weights_job.model_class(config)
    tokenizer = common.load_tokenizer(str(source), trusted)
    told = weights_job.told
    with told(job, "the model cannot be loaded"), load_context(loader):
        model = loader.from_pretrained(
            str(source),
            dtype=weights_job.dtype_of(job),
            trust_remote_code=trusted,
            device_map="auto_offload",  # host memory, and what does not fit there on disk
            offload_folder=str(job.partial / "offload"),
        )
    data = {}
    if calibrated:
        from datasets import Dataset

        rows = weights_job.texts(job, tokenizer)
        data = {
            "dataset": Dataset.from_list(rows),
            "num_calibration_samples": len(rows),
            "max_seq_length": job.get("calibration.tokens", int),
            "shuffle_calibration_samples": False,  # shuffled already
        }
    with told(job, "LLM Compressor"):
        oneshot(model=model, tokenizer=tokenizer, recipe=str(recipe), trust_remote_code_model=trusted, **data)
        model.generation_config = GenerationConfig()  # the source's own is copied: saving refuses some that are in use
        model.save_pretrained(str(weights), save_compressed=True)
    weights_job.copy_beside(source, weights)


def nothing_to_pin(*_, **__):
    """AWQ of LLM Compressor 0.14 pins memory for a GPU, and torch refuses where there is none."""


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(common.run(work, __doc__))
