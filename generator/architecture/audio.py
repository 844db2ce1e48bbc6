"""Audio towers and their projectors. So far only Gemma 4's, a conformer.

Floor 3, pure. Read in Transformers' `Gemma4AudioModel`; engines keep a tower in 16 bits, independent of the language model's type.
"""

from __future__ import annotations

from generator.architecture.families import Families, family_of
from generator.architecture.fields import Fields
from generator.architecture.shape import Matrix


def audio_tower(config: Fields, text_hidden: int, families: Families) -> list[Matrix]:
    """The matrices of the audio tower that `config` describes; empty without one or for an unknown one."""
    fields = config.child("audio_config")
    family = family_of(families, fields.word("model_type")) if fields is not None else None
    if fields is None or family is None or family.tower != "conformer":
        return []
    hidden, layers = fields.integer("hidden_size", default=1024), fields.integer("num_hidden_layers", default=12)
    kernel = fields.integer("conv_kernel_size", default=5, high=1024)
    first, second = fields.integers("subsampling_conv_channels", 2, 1) or [128, 32]
    out = fields.integer("output_proj_dims", default=1536)

    def matrix(name: str, rows: int, columns: int, count: int = layers) -> Matrix:
        return Matrix(f"a.{name}", "vision", rows, columns, count)

    return [
        matrix("conv_0", first, 9, 1),
        matrix("conv_1", second, 9 * first, 1),
        matrix("conv_proj", hidden, first // 4 * second, 1),
        matrix("ffn_up", 4 * hidden, hidden, 2 * layers),
        matrix("ffn_down", hidden, 4 * hidden, 2 * layers),
        matrix("attn_qkv", 4 * hidden, hidden),  # query, key, value, relative key
        matrix("attn_output", hidden, hidden),
        matrix("conv_start", 2 * hidden, hidden),
        matrix("conv_end", hidden, hidden),
        matrix("conv_depthwise", hidden, kernel),
        matrix("norms", hidden, 9),
        matrix("output", out, hidden, 1),
        matrix("output.bias", out, 1, 1),
        matrix("mm", text_hidden, out, 1),
    ]
