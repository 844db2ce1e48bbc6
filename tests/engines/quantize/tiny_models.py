"""Tiny models with random weights, as Hugging Face folders: what the jobs of `gen-deploy quantize` are run on.

Runs with the interpreter of a tool's environment (setup.sh), which has torch and transformers:

    .../bin/python tiny_models.py FOLDER [NAME…]      writes FOLDER/NAME for each, all by default
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GenerationConfig,
    LlamaConfig,
    MixtralConfig,
    Olmo2Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3MoeConfig,
)

VOCABULARY = 512
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 2048,
    "dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts_per_tok": 2, "tie_word_embeddings": False}
MODELS = {
    "llama": lambda: LlamaConfig(intermediate_size=512, tie_word_embeddings=False, **COMMON),
    "llama-odd": lambda: LlamaConfig(intermediate_size=448, tie_word_embeddings=False, **COMMON),  # 448 = 3.5 groups of 128
    "qwen2-tied": lambda: Qwen2Config(intermediate_size=512, tie_word_embeddings=True, **COMMON),
    "gemma3": lambda: Gemma3TextConfig(intermediate_size=512, tie_word_embeddings=True, **COMMON),
    "olmo2": lambda: Olmo2Config(intermediate_size=512, tie_word_embeddings=False, **{k: v for k, v in COMMON.items() if k != "head_dim"}),
    "qwen3-moe": lambda: Qwen3MoeConfig(intermediate_size=512, moe_intermediate_size=128, num_experts=4, **EXPERTS, **COMMON),
    "mixtral": lambda: MixtralConfig(intermediate_size=256, num_local_experts=4, **EXPERTS, **COMMON),
}


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that spells any text in bytes."""
    words = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    words += [f"<extra_{i}>" for i in range(len(words), VOCABULARY)]
    found = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[], unk_token="<unk>"))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=found, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>")
    fast.chat_template = CHATML
    return fast


def main() -> None:
    """Write the models that are named."""
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(MODELS)
    for name in names:
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(MODELS[name](), dtype=torch.bfloat16)
        # sampling without a temperature is what some published models ship, and what saving them anew refuses
        model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2)
        model.save_pretrained(folder / name)
        tokenizer().save_pretrained(folder / name)
        (folder / name / "generation_config.json").write_text(
            '{"bos_token_id": 1, "eos_token_id": 2, "do_sample": false, "temperature": 0.6}\n'
        )


if __name__ == "__main__":
    main()
