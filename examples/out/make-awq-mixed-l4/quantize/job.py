"""Quantises a model with LLM Compressor. Data: job.yaml and recipe.yaml beside this file; the result is in the compressed-tensors layout.

pipeline: calibrated  texts are run through the model, one layer at a time on the GPU; the rest lies in host memory, or on disk.
pipeline: data-free   the weights are rounded where they lie; no texts.
"""

import copy
import gc
import os
import shutil
import sys
import time
from pathlib import Path

import training_job as common
import weights_job
from training_job import Stop


def work(job):
    """Check, try small, make, compare."""
    started = time.monotonic()
    weights_job.check_tool(job, "llm-compressor", "llmcompressor")
    pipeline = job.get("pipeline", str, "calibrated", choices=("calibrated", "data-free"))
    recipe = job.folder / "recipe.yaml"
    if not recipe.is_file():
        raise Stop(f"{recipe}: no such file")
    weights = job.begin() / "weights"
    small, trusted = Path(job.folder_of("model", weights=False)), job.trusted("model")
    config = weights_job.load_config(small, trusted)
    tokenizer = common.load_tokenizer(str(small), trusted)
    texts, held = weights_job.texts(job, tokenizer) if pipeline == "calibrated" else ([], [])
    checked = weights_job.Proof(job, tokenizer, held, config)
    tried_small(job, config, tokenizer, texts, recipe)
    source = Path(job.folder_of("model"))
    through_model(job, source, weights, config, tokenizer, texts, recipe, checked)
    return weights_job.finish(job, weights, started, checked, source)


def tried_small(job, config, tokenizer, texts, recipe):
    """The same recipe on the first layers with random weights, few experts and two short texts: what stops late stops before the download."""
    import torch

    small = copy.deepcopy(config)
    text = getattr(small, "text_config", None) or small
    kinds = getattr(text, "layer_types", None)
    dense = getattr(text, "first_k_dense_replace", 0)
    layers = max(first_of_each(kinds) if kinds else 1, dense + 1 if isinstance(dense, int) else 1)
    if layers >= (getattr(text, "num_hidden_layers", None) or 0):
        return
    try:
        text.num_hidden_layers = layers
        if kinds:
            text.layer_types = kinds[:layers]
        for name in ("num_experts", "n_routed_experts", "num_local_experts"):
            if getattr(text, name, None):
                setattr(text, name, min(getattr(text, name), 2 * max(getattr(text, "num_experts_per_tok", 4) or 4, getattr(text, "n_group", 1) or 1)))
        loader = weights_job.model_class(config)
        model = loader.from_config(small, dtype=weights_job.dtype_of(job), trust_remote_code=job.trusted("model"))
        model.save_pretrained(str(job.partial / "trial"))
    except Exception as error:
        print(f"note: a trial on {layers} layers cannot be built ({type(error).__name__}: {error}); the job goes on without", file=sys.stderr)
        return
    tokenizer.save_pretrained(str(job.partial / "trial"))
    rows = [{name: part[:64] for name, part in row.items()} for row in texts[:2]]
    with weights_job.told(job, f"a trial on {layers} of the layers, before the weights are fetched"), torch.no_grad():
        model = load(job, loader, job.partial / "trial")
        weights_job.refuse_narrow(model, job.get("ignore", list, []), config)
        apply(job, model, tokenizer, rows, recipe, job.partial / "trial-result")
    shutil.rmtree(job.partial / "trial")
    shutil.rmtree(job.partial / "trial-result", ignore_errors=True)
    print(f"a trial on {layers} of the layers went through")


def first_of_each(kinds):
    """How many layers hold one of each kind."""
    return 1 + max(kinds.index(kind) for kind in set(kinds))


def load(job, loader, folder):
    """A model with each expert by itself, in host memory, and what does not fit there on disk."""
    from llmcompressor.utils.dev import load_context

    with load_context(loader):
        return loader.from_pretrained(
            str(folder),
            dtype=weights_job.dtype_of(job),
            trust_remote_code=job.trusted("model"),
            device_map="auto_offload",
            offload_folder=str(job.partial / "offload"),
        )


def apply(job, model, tokenizer, rows, recipe, weights):
    """The recipe on a model, and the result as files."""
    import torch
    from llmcompressor import oneshot
    from llmcompressor.pipelines.cache import IntermediatesCache
    from transformers import GenerationConfig

    if not torch.accelerator.is_available():
        IntermediatesCache.pin_memory = nothing_to_pin
    data = {}
    if rows:
        from datasets import Dataset

        data = {
            "dataset": Dataset.from_list(rows),
            "num_calibration_samples": len(rows),
            "max_seq_length": job.get("calibration.tokens", int),
            "shuffle_calibration_samples": False,  # shuffled already
        }
    oneshot(model=model, tokenizer=tokenizer, recipe=str(recipe), trust_remote_code_model=job.trusted("model"), **data)
    model.generation_config = GenerationConfig()  # the source's own is copied: saving refuses some that are in use
    model.save_pretrained(str(weights), save_compressed=True)


def through_model(job, source, weights, config, tokenizer, texts, recipe, checked):
    """Load the model, apply the recipe, save; what was saved is read back and compared with the source."""
    loader = weights_job.model_class(config)
    with weights_job.told(job, "the model cannot be loaded"):
        model = load(job, loader, source)
    weights_job.refuse_narrow(model, job.get("ignore", list, []), config)
    checked.before(model)
    with weights_job.told(job, "LLM Compressor"):
        apply(job, model, tokenizer, texts, recipe, weights)
    del model
    weights_job.copy_beside(source, weights)
    gc.collect()
    with weights_job.told(job, "the result cannot be loaded again"):
        checked.after(load(job, loader, weights))


def nothing_to_pin(*_, **__):
    """AWQ of LLM Compressor 0.14 pins memory for a GPU, and torch refuses where there is none."""


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(common.run(work, __doc__))
