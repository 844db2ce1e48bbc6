"""Writes a tiny model with random weights, its tokenizer of letters and a few conversations. Runs in a training job's environment.

    .../bin/python make_tiny.py FOLDER llama|qwen3|qwen3_moe [LAYERS [HIDDEN]]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, and a chat template."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", *letters])}
    made = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>")
    fast.chat_template = TEMPLATE
    return fast


def main(folder: Path, kind: str, layers: int = 4, hidden: int = 64) -> None:
    """Write the model and `texts.jsonl`."""
    torch.manual_seed(0)
    words = tokenizer()
    common = {
        "vocab_size": 272, "hidden_size": hidden, "intermediate_size": 2 * hidden, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": hidden // 4, "max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    if kind == "llama":
        config = transformers.LlamaConfig(**common, tie_word_embeddings=False)
    elif kind == "qwen3":
        config = transformers.Qwen3Config(**common, tie_word_embeddings=True)
    else:
        config = transformers.Qwen3MoeConfig(
            **common, tie_word_embeddings=False, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=hidden, decoder_sparse_step=1
        )
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    rows = [
        {"messages": [{"role": "user", "content": f"How much is {a} and {b}?"}, {"role": "assistant", "content": f"{a} and {b} make {a + b}."}]}
        for a in range(1, 9)
        for b in range(1, 5)
    ]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
