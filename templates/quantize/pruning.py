"""Makes a model smaller by taking parts of it away. Data: job.yaml beside this file. The result is an ordinary, smaller checkpoint.

method: depth-width  whole layers (those that change their input least: block influence, 1 - cosine of input and output, as
                     ShortGPT and Minitron rank them) and neurons of the feed-forward (those with the smallest mean
                     activation, as Minitron ranks them), by one pass over texts. Plain transformers, uniform over layers, so
                     that every engine loads the result.
method: experts      experts of a mixture that add least (REAP, of LLM Compressor).
method: minitron     NVIDIA's own program (Model Optimizer's examples/megatron_bridge/prune_minitron.py), which also prunes the
                     hidden size and heads; in the NeMo container only. This file only composes its command line.

A pruned model has lost quality until it has been trained again: distillation.py, with the model before pruning as teacher.
"""

import json
import subprocess
import sys
from pathlib import Path

import training_job as common

BY_INDEX = ("mlp_only_layers", "first_k_dense_replace", "num_nextn_predict_layers", "mtp_num_hidden_layers", "num_kv_shared_layers")


def work(job):
    """One of the three."""
    method = job.get("pruning.method", str, choices=("depth-width", "experts", "minitron"))
    {"depth-width": depth_and_width, "experts": experts, "minitron": minitron}[method](job)


def depth_and_width(job):
    """Rank, cut, save, and load again to see that it runs."""
    keep_layers, keep_neurons = job.get("pruning.layers", int, None), job.get("pruning.intermediate_size", int, None)
    if keep_layers is None and keep_neurons is None:
        raise common.Stop(f"{job.path}: pruning: layers or intermediate_size is missing")
    partial = job.begin()
    import torch

    folder, trusted = job.folder_of("model"), job.trusted("model")
    tokenizer = common.load_tokenizer(folder, trusted)
    model = common.load_model(folder, trusted, dtype="auto", **({"device_map": "auto"} if torch.cuda.is_available() else {}))
    if {"cpu", "disk"} & set(map(str, getattr(model, "hf_device_map", {}).values())) and torch.cuda.is_available():
        raise common.Stop("the model does not fit the GPUs in 16 bits")
    config, layers = model.config.get_text_config(), decoder_layers(model)
    check(config, layers, keep_layers, keep_neurons)
    length, rows = job.get("data.tokens", int, 2048), job.rows()
    influence, activation = importance(model.eval(), layers, texts(rows, tokenizer, length), with_neurons=keep_neurons is not None)
    report = {"block_influence": influence, "samples": len(rows), "parameters_before": count(model)}
    if keep_neurons is not None:
        for layer, scores in zip(layers, activation, strict=True):
            cut_neurons(layer.mlp, torch.topk(scores, keep_neurons).indices.sort().values)
        config.intermediate_size = keep_neurons
    if keep_layers is not None:
        kept = sorted(sorted(range(len(influence)), key=lambda i: -influence[i])[:keep_layers])
        cut_layers(config, layers, kept)
        report["layers_kept"] = kept
    weights = partial / "weights"
    model.save_pretrained(str(weights))
    tokenizer.save_pretrained(str(weights))
    del model, layers
    again = common.load_model(str(weights), trusted, dtype="auto")
    with torch.no_grad():
        again(torch.tensor([[1, 2, 3]]))
    report["parameters_after"] = count(again)
    common.write_report(weights, report)
    job.finish(weights)


def count(model):
    """Parameters, shared ones once."""
    return sum(weight.numel() for weight in model.parameters())


def decoder_layers(model):
    """The list of layers, found by its length."""
    import torch

    layers = model.config.get_text_config().num_hidden_layers
    found = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == layers and hasattr(m[0], "mlp")]
    if len(found) != 1:
        raise common.Stop(f"{len(found)} lists of {layers} layers with an `mlp` were found in this model; it cannot be pruned here")
    return found[0]


def check(config, layers, keep_layers, keep_neurons):
    """Refuse what would not load any more, or would not be smaller."""
    by_index = [name for name in BY_INDEX if getattr(config, name, None)]
    if (getattr(config, "decoder_sparse_step", None) or 1) > 1:
        by_index.append("decoder_sparse_step")
    if keep_layers is not None:
        if by_index:
            raise common.Stop(f"this model's config counts layers by number ({', '.join(by_index)}); taking layers away would shift them")
        if not 1 <= keep_layers < len(layers):
            raise common.Stop(f"pruning.layers: {keep_layers} of {len(layers)} layers")
    if keep_neurons is not None:
        if not all(hasattr(layer.mlp, name) for layer in layers for name in ("gate_proj", "up_proj", "down_proj")):
            raise common.Stop("pruning.intermediate_size: this model's feed-forward is not gate_proj, up_proj and down_proj")
        if not 1 <= keep_neurons < config.intermediate_size:
            raise common.Stop(f"pruning.intermediate_size: {keep_neurons} of {config.intermediate_size}")


def texts(rows, tokenizer, length):
    """Token ids, one row after the other."""
    for row in rows:
        ids = tokenizer(common.text_of(row, tokenizer), truncation=True, max_length=length, add_special_tokens=False, return_tensors="pt")
        if ids["input_ids"].shape[1] > 1:
            yield ids["input_ids"]


def importance(model, layers, batches, with_neurons):
    """Block influence of each layer, and the mean |activation| of each neuron before the down projection."""
    import torch

    tokens, influence, activation, hooks = 0, [0.0] * len(layers), [None] * len(layers), []

    def layer_hook(index):
        def hook(_module, args, kwargs, output):
            before = args[0] if args else kwargs["hidden_states"]
            after = output[0] if isinstance(output, tuple) else output
            cosine = torch.nn.functional.cosine_similarity(before.float(), after.float(), dim=-1)
            influence[index] += float((1 - cosine).sum())

        return hook

    def neuron_hook(index):
        def hook(_module, args):
            size = args[0].detach().float().abs().flatten(0, -2).sum(0).cpu()
            activation[index] = size if activation[index] is None else activation[index] + size

        return hook

    for index, layer in enumerate(layers):
        hooks.append(layer.register_forward_hook(layer_hook(index), with_kwargs=True))
        if with_neurons:
            hooks.append(layer.mlp.down_proj.register_forward_pre_hook(neuron_hook(index)))
    with torch.no_grad():
        for ids in batches:
            model.base_model(input_ids=ids.to(model.device), use_cache=False)  # no lm_head: no logits
            tokens += ids.numel()
    for hook in hooks:
        hook.remove()
    if not tokens:
        raise common.Stop("the data has no row with more than one token")
    return [round(value / tokens, 6) for value in influence], activation


def cut_neurons(mlp, kept):
    """Keep these neurons: rows of gate and up, columns of down."""
    import torch

    with torch.no_grad():
        for linear in (mlp.gate_proj, mlp.up_proj):
            rows = kept.to(linear.weight.device)
            linear.weight = torch.nn.Parameter(linear.weight[rows].contiguous())
            if linear.bias is not None:
                linear.bias = torch.nn.Parameter(linear.bias[rows].contiguous())
            linear.out_features = len(kept)
        down = mlp.down_proj
        down.weight = torch.nn.Parameter(down.weight[:, kept.to(down.weight.device)].contiguous())
        down.in_features = len(kept)


def cut_layers(config, layers, kept):
    """Keep these layers, and their entries in lists of the config that have one per layer."""
    total = len(layers)
    for index in reversed(range(total)):
        if index not in kept:
            del layers[index]
    per_layer = {k: [v[i] for i in kept] for k, v in vars(config).items() if isinstance(v, list) and len(v) == total}
    config.num_hidden_layers = len(kept)
    for key, value in per_layer.items():
        setattr(config, key, value)


def experts(job):
    """REAP: forward passes over texts, then the experts that add least are taken out of each layer."""
    share = job.get("pruning.share", float, 0.25)
    if not 0 < share < 1:
        raise common.Stop(f"pruning.share: {share} is not between 0 and 1")
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.pruning import REAPPruningModifier

    partial = job.begin()
    folder, trusted = job.folder_of("model"), job.trusted("model")
    tokenizer = common.load_tokenizer(folder, trusted)
    length = job.get("data.tokens", int, 2048)
    data = Dataset.from_list([{"input_ids": ids[0].tolist(), "attention_mask": [1] * ids.shape[1]} for ids in texts(job.rows(), tokenizer, length)])
    model = common.load_model(folder, trusted, dtype="auto")
    before, weights = count(model), partial / "weights"
    kept = partial / "experts.json"
    try:
        oneshot(
            model=model, dataset=data, recipe=REAPPruningModifier(sparsity=share, report_path=str(kept)), max_seq_length=length,
            num_calibration_samples=len(data), moe_calibrate_all_experts=False, trust_remote_code_model=trusted, log_dir=None,
        )  # fmt: skip
    except ValueError as error:
        raise common.Stop(str(error)) from None
    model.save_pretrained(str(weights), save_compressed=False)
    tokenizer.save_pretrained(str(weights))
    report = {"samples": len(data), "parameters_before": before, "parameters_after": count(model)}
    common.write_report(weights, report | {"experts_kept": json.loads(kept.read_text(encoding="utf-8"))})
    job.finish(weights)


def minitron_command(job, folder, weights):
    """The command line of NVIDIA's program; each option is one of its own."""
    script = job.folder / job.get("pruning.script", str)
    command = ["torchrun", f"--nproc_per_node={job.get('pruning.gpus', int, 1)}", str(script)]
    command += [f"--pp_size={job.get('pruning.gpus', int, 1)}", f"--hf_model_name_or_path={folder}", f"--output_hf_path={weights}"]
    command += [f"--seq_length={job.get('data.tokens', int, 4096)}", f"--calib_num_samples={job.get('data.samples', int, 1024)}"]
    if job.get("data.dataset", str, None):
        command.append(f"--calib_dataset_name={job.get('data.dataset', str)}")
    target, parameters = job.get("pruning.export_config", dict, None), job.get("pruning.parameters", float, None)
    if (target is None) == (parameters is None):
        raise common.Stop(f"{job.path}: pruning: either export_config or parameters")
    command.append(f"--prune_export_config={json.dumps(target)}" if target is not None else f"--prune_target_params={parameters}")
    if job.trusted("model"):
        command.append("--trust_remote_code")
    return command


def minitron(job):
    """Run NVIDIA's program in the NeMo container, and put its result in place."""
    script = job.folder / job.get("pruning.script", str)
    if not Path(script).is_file():
        raise common.Stop(f"{script}: no such file; it is examples/megatron_bridge/prune_minitron.py of NVIDIA/Model-Optimizer")
    partial = job.begin()
    command = minitron_command(job, job.folder_of("model"), partial / "weights")
    try:
        done = subprocess.run(command, check=False)
    except FileNotFoundError:
        raise common.Stop("torchrun is not on PATH; this method runs in the NeMo container") from None
    if done.returncode != 0:
        raise common.Stop(f"prune_minitron.py ended with {done.returncode}; its messages are above")
    job.finish(partial / "weights")


if __name__ == "__main__":
    sys.exit(common.run(work, __doc__))
