"""Sets weights to zero with LLM Compressor (SparseGPT or Wanda). Data: job.yaml beside this file.

The result is an ordinary 16-bit checkpoint of the same size with zeros in it. NO ENGINE THAT GEN-DEPLOY WRITES FOR RUNS IT
FASTER OR IN LESS MEMORY: vLLM removed its kernels for 2:4 sparsity (https://github.com/vllm-project/vllm/pull/36799), and
the documents of LLM Compressor call sparse compression no longer supported. It is for research, and for kernels of your own.

method: sparsegpt  weights that stay are corrected for those that go (one Hessian per matrix)
method: wanda      weights are ranked by size × input, nothing is corrected
mask: '0:0'        any weight may go; 'N:M' removes N of each M along a row, such as 2:4
"""

import re
import sys

import training_job as common


def modifier(job):
    """The library's own modifier, with what job.yaml says."""
    from llmcompressor.modifiers.pruning import SparseGPTModifier, WandaPruningModifier

    method = job.get("sparsity.method", str, "sparsegpt", choices=("sparsegpt", "wanda"))
    mask, share = job.get("sparsity.mask", str, "0:0"), job.get("sparsity.share", float, 0.5)
    if not re.fullmatch(r"\d+:\d+", mask):
        raise common.Stop(f"sparsity.mask: {mask!r} is not N:M")
    if not 0 < share < 1:
        raise common.Stop(f"sparsity.share: {share} is not between 0 and 1")
    options = {"sparsity": share, "mask_structure": mask, "targets": ["Linear"], "ignore": job.get("sparsity.ignore", list, ["re:.*lm_head"])}
    if method == "sparsegpt":
        options["offload_hessians"] = job.get("sparsity.offload_hessians", bool, False)
    return {"sparsegpt": SparseGPTModifier, "wanda": WandaPruningModifier}[method](**options)


def calibration(job, tokenizer):
    """Texts as token ids, as `oneshot` takes them."""
    from datasets import Dataset

    length = job.get("data.tokens", int, 2048)
    made = [
        dict(tokenizer(common.text_of(row, tokenizer), truncation=True, max_length=length, add_special_tokens=False, return_token_type_ids=False))
        for row in job.rows()
    ]
    return Dataset.from_list([row for row in made if len(row["input_ids"]) > 1]), length


def work(job):
    """Load, prune, count the zeros, save."""
    from llmcompressor import oneshot
    from transformers import set_seed

    recipe = modifier(job)
    partial = job.begin()
    set_seed(job.get("seed", int, 0))
    folder, trusted = job.folder_of("model"), job.trusted("model")
    tokenizer = common.load_tokenizer(folder, trusted)
    data, length = calibration(job, tokenizer)
    model = common.load_model(folder, trusted, dtype="auto")
    print("note: no engine that gen-deploy writes for runs zeros faster; see the top of sparsity.py", file=sys.stderr)
    oneshot(
        model=model, dataset=data, recipe=recipe, max_seq_length=length, num_calibration_samples=len(data),
        trust_remote_code_model=trusted, log_dir=None,
    )  # fmt: skip
    report = {"zeros": zeros(model), "samples": len(data)}
    weights = partial / "weights"
    model.save_pretrained(str(weights), save_compressed=False)
    tokenizer.save_pretrained(str(weights))
    common.write_report(weights, report)
    job.finish(weights)


def zeros(model):
    """Share of zeros in each linear layer."""
    import torch

    found = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            weight = module.weight.detach()
            found[name] = round(float((weight == 0).sum()) / weight.numel(), 6)
    return found


if __name__ == "__main__":
    sys.exit(common.run(work, __doc__))
