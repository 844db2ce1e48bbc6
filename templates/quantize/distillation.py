"""Teaches a small model (the student) to answer as a large one (the teacher) does, with TRL. Data: job.yaml beside this file.

learn: logits     the student answers the prompts itself, and learns the teacher's probabilities of every token of its answers
                  (trl.DistillationTrainer: generalised Jensen-Shannon divergence; beta 0 forward KL, 1 reverse KL). Both need
                  the same vocabulary.
learn: responses  the student learns the teacher's answers as text (trl.SFTTrainer). They come from the data, where its rows
                  have them, or the teacher writes them first. Any two vocabularies will do.

The result is an ordinary checkpoint of the student's architecture, which every engine loads.
More than one GPU: accelerate launch, as run.sh says.
"""

import sys

import training_job as common


def prompts(rows):
    """What is asked, as conversations: rows with `prompt`, or the turns of `messages` before the last answer."""
    for row in rows:
        talk = common.messages(row)
        if talk and talk[-1].get("role") == "assistant":
            talk = talk[:-1]
        prompt = talk or row.get("prompt") or row.get("text")
        if not prompt:
            raise common.Stop(f"a row of the data has no prompt: {sorted(row)}")
        yield {"prompt": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt}


def answered(rows, job, tokenizer, teacher):
    """Conversations that end with the teacher's answer; the teacher writes those that the data does not have."""
    import torch

    ready = [{"messages": talk} for row in rows if (talk := common.messages(row)) and talk[-1].get("role") == "assistant"]
    if len(ready) == len(rows) and not job.get("distillation.generate", bool, False):
        return ready
    done, length, batch = [], job.get("distillation.max_completion_length", int, 512), job.get("training.batch_size", int, 1)
    asked = [row["prompt"] for row in prompts(rows)]
    model = teacher()
    tokenizer.padding_side = "left"
    for start in range(0, len(asked), batch):
        some = asked[start : start + batch]
        texts = [tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True) for talk in some]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False, return_token_type_ids=False).to(model.device)
        with torch.no_grad():
            out = model.generate(**inputs, max_new_tokens=length, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        answers = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        done += [{"messages": [*talk, {"role": "assistant", "content": answer}]} for talk, answer in zip(some, answers, strict=True)]
    return done


def work(job):
    """Load both, train the student, save it."""
    learn = job.get("distillation.learn", str, choices=("logits", "responses"))
    method = job.get("training.method", str, "full", choices=("full", "lora"))
    partial = job.begin()
    import torch
    from datasets import Dataset
    from transformers import set_seed
    from trl import DistillationConfig, DistillationTrainer, SFTConfig, SFTTrainer

    set_seed(job.get("seed", int, 0))
    rows = job.rows()
    folder, trusted = job.folder_of("model"), job.trusted("model")
    tokenizer = common.load_tokenizer(folder, trusted)
    if not tokenizer.chat_template:
        raise common.Stop(f"{folder}: the student's tokenizer has no chat template")

    def teacher():
        model = common.load_model(job.folder_of("teacher"), job.trusted("teacher"), dtype=torch.bfloat16)
        return model.to(common.device()).eval()

    # an adapter's base stays frozen in 16 bits
    student = common.load_model(folder, trusted, dtype=torch.bfloat16 if method == "lora" else common.trained_dtype())
    more = {"peft_config": lora(job)} if method == "lora" else {}
    if learn == "logits":
        config = DistillationConfig(
            **common.training_options(job),
            beta=job.get("distillation.beta", float, 0.5),
            temperature=job.get("distillation.temperature", float, 1.0),
            max_completion_length=job.get("distillation.max_completion_length", int, 512),
        )
        data = Dataset.from_list(list(prompts(rows)))
        try:
            trainer = DistillationTrainer(
                model=student, teacher_model=teacher(), args=config, train_dataset=data, processing_class=tokenizer, **more
            )
        except ValueError as error:
            raise common.Stop(str(error)) from None
    else:
        speaks = common.load_tokenizer(job.folder_of("teacher"), job.trusted("teacher")) if not all(map(common.messages, rows)) else tokenizer
        if not speaks.chat_template:
            raise common.Stop("the teacher's tokenizer has no chat template")
        data = Dataset.from_list(answered(rows, job, speaks, teacher))
        config = SFTConfig(**common.training_options(job), max_length=job.get("training.max_length", int, 2048), packing=False)
        trainer = SFTTrainer(model=student, args=config, train_dataset=data, processing_class=tokenizer, **more)
    trainer.train()
    save(job, trainer, tokenizer, partial, {"learn": learn, "method": method, "samples": len(rows)})


def lora(job):
    """Adapters of rank r on every linear layer; merged into the weights at the end."""
    from peft import LoraConfig

    rank = job.get("training.lora_rank", int, 16)
    return LoraConfig(r=rank, lora_alpha=job.get("training.lora_alpha", int, 2 * rank), target_modules="all-linear", task_type="CAUSAL_LM")


def save(job, trainer, tokenizer, partial, report):
    """One folder with 16-bit weights, adapters merged."""
    import torch

    report |= {"losses": common.losses(trainer), "steps": trainer.state.global_step}
    trained = partial / "run" / "trained"
    if report["method"] == "full":
        trainer.save_model(str(trained))  # every process takes part: it gathers what FSDP split
        trainer.accelerator.wait_for_everyone()
        if not common.first_process():
            return
        model = common.load_model(str(trained), job.trusted("model"), dtype=torch.bfloat16)
    else:
        if not common.first_process():
            return
        model = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload().to(torch.bfloat16)
    weights = partial / "weights"
    model.save_pretrained(str(weights))
    tokenizer.save_pretrained(str(weights))
    common.write_report(weights, report)
    job.finish(weights)


if __name__ == "__main__":
    sys.exit(common.run(work, __doc__))
