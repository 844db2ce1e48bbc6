"""Trains a model with its quantisation switched on, so that the weights learn to live with it. Data: job.yaml beside this file.

NVIDIA Model Optimizer puts simulated quantisers into the model (mtq.quantize), its Trainer goes on training, and the result
is exported in its own layout (hf_quant_config.json and `quantization_config`), which vLLM, SGLang and TensorRT-LLM load.

distill: true   the model before quantisation is the teacher (QADTrainer). NVIDIA's advice for getting back what
                quantisation lost; it teaches nothing new.
distill: false  plain training on the data (QATTrainer), for a model that has to learn a task as well.

More than one GPU: accelerate launch, as run.sh says. Adapters (LoRA) are not offered here: their export keeps base and
adapter apart.
"""

import os
import sys

import training_job as common


def tokens(rows, tokenizer, length):
    """Rows as token ids with labels; padding is ignored by the loss."""
    for row in rows:
        ids = tokenizer(common.text_of(row, tokenizer), truncation=True, max_length=length, add_special_tokens=False)["input_ids"]
        if len(ids) > 1:
            yield {"input_ids": ids, "labels": list(ids)}


def padded(tokenizer):
    """What makes a batch of rows of different lengths."""
    import torch

    def collate(batch):
        longest = max(len(row["input_ids"]) for row in batch)
        fill = {"input_ids": tokenizer.pad_token_id, "labels": -100, "attention_mask": 0}
        full = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in batch]
        return {k: torch.tensor([row[k] + [v] * (longest - len(row[k])) for row in full]) for k, v in fill.items()}

    return collate


def quantisation(job):
    """The library's own configuration of that name, such as NVFP4_DEFAULT_CFG, with the modules of `ignore` left wide."""
    import copy

    import modelopt.torch.quantization as mtq
    import torch

    name = job.get("qat.config", str)
    if name not in mtq.config.choices:
        raise common.Stop(f"{name}: no configuration of nvidia-modelopt; it has {', '.join(sorted(mtq.config.choices))}")
    if "NVFP4" in name and not torch.cuda.is_available():
        raise common.Stop(f"{name} needs a CUDA GPU: the library's NVFP4 arithmetic has no other form")
    config = copy.deepcopy(getattr(mtq, name))
    for pattern in job.get("qat.ignore", list, []):
        config["quant_cfg"].append({"quantizer_name": f"*{pattern}*", "enable": False})
    return config


def work(job):
    """Quantise, train, save, export."""
    import modelopt.torch.opt as mto
    import modelopt.torch.quantization as mtq
    import torch
    from modelopt.torch.quantization.plugins.transformers_trainer import QADTrainer, QATTrainer
    from transformers import TrainingArguments, set_seed

    config, distill = quantisation(job), job.get("qat.distill", bool, True)
    if distill and common.processes() > 1 and os.environ.get("ACCELERATE_USE_FSDP") != "true":
        raise common.Stop("the library's distillation on several GPUs needs FSDP: accelerate launch --config_file fsdp2.yaml")
    partial = job.begin()
    mto.enable_huggingface_checkpointing()
    set_seed(job.get("seed", int, 0))
    folder, trusted = job.folder_of("model"), job.trusted("model")
    tokenizer = common.load_tokenizer(folder, trusted)
    data = list(tokens(job.rows(), tokenizer, job.get("training.max_length", int, 2048)))
    device = common.device()
    model = common.load_model(folder, trusted, dtype=common.trained_dtype()).to(device)
    collate = padded(tokenizer)

    def calibrate(quantised):
        with torch.no_grad():
            for row in data[: job.get("qat.calibration_samples", int, 512)]:
                batch = {k: v.to(device) for k, v in collate([row]).items() if k != "labels"}
                quantised(**batch)

    model = mtq.quantize(model, config, calibrate)
    if common.processes() > 1:
        model = model.to("cpu")  # FSDP brings each GPU its share
    arguments = TrainingArguments(**common.training_options(job), remove_unused_columns=False)
    settings = {"model": model, "args": arguments, "train_dataset": data, "data_collator": collate, "processing_class": tokenizer}
    if distill:
        teacher = common.load_model(folder, trusted, dtype=torch.bfloat16 if torch.cuda.is_available() else torch.float32)
        trainer = QADTrainer(**settings, distill_args={"teacher_model": teacher, "temperature": job.get("qat.temperature", float, 1.0)})
    else:
        trainer = QATTrainer(**settings)
    model.config.use_cache = False
    trainer.train()
    trained = partial / "run" / "trained"
    trainer.save_model(str(trained))  # every process takes part: it gathers what FSDP split
    trainer.accelerator.wait_for_everyone()
    if common.first_process():
        export(job, trained, tokenizer, {"losses": common.losses(trainer), "steps": trainer.state.global_step, "distill": distill})


def export(job, trained, tokenizer, report):
    """The trained weights in 16 bits, quantised for real, as engines load them."""
    import torch
    from modelopt.torch.export import export_hf_checkpoint

    model = common.load_model(str(trained), job.trusted("model"), dtype=torch.bfloat16)
    model.to(common.device()).config.use_cache = True
    weights = job.partial / "weights"
    with torch.inference_mode():
        export_hf_checkpoint(model, export_dir=str(weights))
    if not (weights / "hf_quant_config.json").is_file():
        raise common.Stop("the library exported no quantised weights; see its messages above")
    tokenizer.save_pretrained(str(weights))
    common.write_report(weights, report)
    job.finish(weights)


if __name__ == "__main__":
    sys.exit(common.run(work, __doc__))
