"""Audio towers and their projectors. So far only conformers: Gemma 4's, and that of Phi-4-multimodal (`gated-conformer`).

Floor 3, pure. Read in Transformers' `Gemma4AudioModel` and `Phi4MultimodalAudioModel`; engines keep a tower in 16 bits, independent of the
language model's type."""

from __future__ import annotations

from generator.architecture.families import Families, family_of
from generator.architecture.fields import Fields
from generator.architecture.shape import Matrix


def audio_tower(config: Fields, text_hidden: int, families: Families) -> list[Matrix]:
    """The matrices of the audio tower that `config` describes; empty without one or for an unknown one."""
    fields = config.child("audio_config")
    family = family_of(families, fields.word("model_type")) if fields is not None else None
    if fields is None or family is None or family.tower not in ("conformer", "gated-conformer"):
        return []
    gated = family.tower == "gated-conformer"
    hidden, layers = fields.integer("hidden_size", default=1024), fields.integer("num_hidden_layers", "num_blocks", default=12)
    kernel, width = fields.integer("conv_kernel_size", "kernel_size", default=5, high=1024), fields.integer("intermediate_size", default=4 * hidden)

    def matrix(name: str, rows: int, columns: int, count: int = layers) -> Matrix:
        return Matrix(f"a.{name}", "vision", rows, columns, count)

    blocks = [
        matrix("ffn_up", width * (2 if gated else 1), hidden, 2 * layers),
        matrix("ffn_down", hidden, width, 2 * layers),
        matrix("attn_qkv", hidden * (3 if gated else 4), hidden),  # query, key, value; without a gate a relative key
        matrix("attn_output", hidden, hidden),
        matrix("conv_start", 2 * hidden, hidden),
        matrix("conv_end", hidden, hidden, layers * (2 if gated else 1)),
        matrix("conv_depthwise", hidden, kernel),
        matrix("norms", hidden, 29 if gated else 9),  # with a gate, biases too
    ]
    if gated:
        rest = fields.integer("nemo_final_size", default=10)
        front = [matrix("conv", hidden, 2 * hidden + 27, 1), matrix("conv_proj", hidden, rest * hidden, 1)]
        return front + blocks + [matrix("mm_up", text_hidden, hidden, 2), matrix("mm_down", text_hidden, text_hidden, 2)]
    first, second = fields.integers("subsampling_conv_channels", 2, 1) or [128, 32]
    out = fields.integer("output_proj_dims", default=1536)
    front = [matrix("conv_0", first, 9, 1), matrix("conv_1", second, 9 * first, 1), matrix("conv_proj", hidden, first // 4 * second, 1)]
    return front + blocks + [matrix("output", out, hidden, 1), matrix("output.bias", out, 1, 1), matrix("mm", text_hidden, out, 1)]
