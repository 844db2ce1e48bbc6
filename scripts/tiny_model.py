"""Write `examples/models/tiny-random.gguf`: a model of one layer with random weights that llama.cpp loads, under 100 kB.

It answers nonsense; what is real is the format, so `examples/local-gguf.yaml` can be run from end to end without a download.

    python scripts/tiny_model.py          needs the packages `gguf` and `numpy` (the extra `test` has them)
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

TARGET = Path(__file__).resolve().parents[1] / "examples/models/tiny-random.gguf"
HIDDEN, FEED_FORWARD, CONTEXT = 32, 64, 2048
SPECIALS = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def main() -> None:
    """Write the file and say how large it is."""
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(TARGET, "llama")
    writer.add_name("tiny-random")
    writer.add_description("random weights, made by scripts/tiny_model.py of gen-deploy")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _shape(writer)
    tokens = _tokenizer(writer)
    _weights(writer, tokens)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")


def _shape(writer: gguf.GGUFWriter) -> None:
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(HIDDEN)
    writer.add_layer_norm_rms_eps(1e-5)


def _tokenizer(writer: gguf.GGUFWriter) -> int:
    """A SentencePiece vocabulary in which any text can be spelled in bytes; returns how many tokens it has."""
    letters = ["\u2581", *map(chr, range(ord("a"), ord("z") + 1))]
    tokens = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 4, *[gguf.TokenType.BYTE] * 256, *[gguf.TokenType.NORMAL] * len(letters)]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * (len(tokens) - len(letters)) + [-float(i) for i in range(len(letters))])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_eot_token_id(4)
    writer.add_chat_template(CHATML)
    return len(tokens)


def _weights(writer: gguf.GGUFWriter, tokens: int) -> None:
    random = np.random.default_rng(0)

    def matrix(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", (random.standard_normal((rows, columns)) * 0.02).astype(np.float16))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, np.float32))

    matrix("token_embd", tokens, HIDDEN)
    norm("output_norm")
    matrix("output", tokens, HIDDEN)
    norm("blk.0.attn_norm")
    norm("blk.0.ffn_norm")
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        matrix(f"blk.0.{name}", HIDDEN, HIDDEN)
    matrix("blk.0.ffn_gate", FEED_FORWARD, HIDDEN)
    matrix("blk.0.ffn_up", FEED_FORWARD, HIDDEN)
    matrix("blk.0.ffn_down", HIDDEN, FEED_FORWARD)


if __name__ == "__main__":
    main()
