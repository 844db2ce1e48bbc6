"""Write a tiny Llama with random weights as a Hugging Face folder. Run by a Python that has torch, safetensors and sentencepiece.

    python tiny_hf.py OUT [--remote-code MARKER]

With `--remote-code` the tokenizer is code of the folder's own, which makes the file MARKER when it is loaded.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, VOCABULARY = 256, 512, 2, 4, 2, 512
CODE = """
from pathlib import Path
Path({marker!r}).touch()
from transformers import PreTrainedTokenizerFast
class Own(PreTrainedTokenizerFast):
    pass
"""


def weights(folder: Path) -> None:
    """The matrices, in bfloat16."""
    torch, save_file = import_module("torch"), import_module("safetensors.torch").save_file

    torch.manual_seed(0)
    keys = HIDDEN // HEADS * KV_HEADS
    shapes = {"model.embed_tokens": (VOCABULARY, HIDDEN), "lm_head": (VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        shapes |= {f"{at}.self_attn.{n}_proj": (w, HIDDEN) for n, w in (("q", HIDDEN), ("k", keys), ("v", keys), ("o", HIDDEN))}
        shapes |= {f"{at}.mlp.gate_proj": (INNER, HIDDEN), f"{at}.mlp.up_proj": (INNER, HIDDEN), f"{at}.mlp.down_proj": (HIDDEN, INNER)}
    tensors = {f"{name}.weight": (torch.randn(shape) * 0.02).to(torch.bfloat16) for name, shape in shapes.items()}
    norms = ["model.norm", *(f"model.layers.{i}.{n}_layernorm" for i in range(LAYERS) for n in ("input", "post_attention"))]
    tensors |= {f"{name}.weight": torch.ones(HIDDEN, dtype=torch.bfloat16) for name in norms}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def config(architecture: str) -> dict[str, object]:
    """What config.json holds."""
    return {
        "architectures": [architecture], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "vocab_size": VOCABULARY,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "torch_dtype": "bfloat16",
        "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
    }  # fmt: skip


def vocabulary(folder: Path) -> None:
    """A SentencePiece model that can spell everything in bytes."""
    sentencepiece = import_module("sentencepiece")
    words = [f"{a}{b}{c}" for a in "abdkmnst" for b in "aeiou" for c in "lnrst"]
    text = [" ".join(words[i : i + 9]) for i in range(len(words))]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_prefix=str(folder / "tokenizer"), vocab_size=VOCABULARY, byte_fallback=True, hard_vocab_limit=False,
        model_type="bpe", minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer.vocab").unlink()


def main() -> None:
    """Write the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    remote = "--remote-code" in sys.argv
    # the converter of Dream models is one of those that ask for the repository's code; the tensors have the same names
    (folder / "config.json").write_text(json.dumps(config("DreamModel" if remote else "LlamaForCausalLM")))
    weights(folder)
    if remote:
        (folder / "own.py").write_text(CODE.format(marker=sys.argv[-1]))
        tokenizer = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
        (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}))
    else:
        vocabulary(folder)
        chat = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}assistant:"
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", "chat_template": chat}))


if __name__ == "__main__":
    main()
