"""Vision and audio towers and their projectors: small relative to the language model. Floor 3, pure but for the tables. Engines split a
tower's layers by tensor parallelism like the model's, and keep it in 16 bits. Read in Transformers' models; of audio towers only conformers
are known: Gemma 4's, and that of Phi-4-multimodal (`gated-conformer`)."""

from __future__ import annotations

from generator.architecture.families import Families, family_of
from generator.architecture.fields import Fields
from generator.architecture.parts import Part
from generator.architecture.shape import Encoder, Matrix
from generator.architecture.tables import Sizes, parts_of, tables
from generator.errors import InputError, fail

_WITH_PROJECTOR = ("plain", "rotary")
"""Towers whose projector is the model's; the others bring their own."""
_TELLING = {
    "num_position_embeddings": "deepstack", "depth": "merger", "vt_hidden_size": "merged-patches", "width": "resampler",
    "pooling_kernel_size": "pooled",
}  # fmt: skip
"""Keys of a tower's config that tell its kind, where the rules do not list its `model_type`."""


def tower(config: Fields, text_hidden: int, text_width: int, families: Families) -> tuple[list[Matrix], Encoder | None]:
    """The matrices of the vision tower that `config` describes and what it runs with; empty without one. `text_width` is that of the
    feed-forward layers."""
    fields = config.child("vision_config", "visual", "vision_tower")
    if fields is None or not fields.values:
        return [], None
    family = family_of(families, fields.word("model_type"))
    fields = fields.completed(family)
    kind = (family.tower if family else "") or next((kind for key, kind in _TELLING.items() if fields.has(key)), "plain")
    kind = "plain-merger" if kind == "merger" and fields.has("embed_dim") else kind
    around = family_of(families, config.word("model_type"))
    try:
        image_tokens = config.integer("mm_tokens_per_image", default=0)
        sizes = Sizes(kind, fields, {"text_hidden": text_hidden, "text_width": text_width, "image_tokens": image_tokens})
        found = parts_of(kind, sizes, "vision")
        runs = _encoder(found, sizes)
        if kind in _WITH_PROJECTOR:
            projector = f"{(around.projector if around else '') or kind} projector"
            found += parts_of(projector, Sizes(projector, config, sizes), "vision")
        return _matrices("v", found), runs
    except InputError as error:
        if family is not None and family.tower:
            raise
        lacks = error.problems[0].message.removeprefix("model config: ")
        message = f"model config: a vision tower of model_type {fields.word('model_type')[:60]!r} is not known, and read like others {lacks}"
        raise fail("unknown-architecture", message, config.place) from None


def _encoder(found: list[Part], sizes: Sizes) -> Encoder | None:
    """What a tower runs with, where its table says how many patches stand behind a token. In attention the three projections, both of
    rotated and joined queries and keys, and the result are alive; in a feed-forward layer its width before and after the activation (source
    `vllm-encoder-profile`)."""
    if not sizes.get("patches_of_token"):
        return None
    by_name = {part.name: part for part in found}
    embedding, up, down = by_name["patch_embd"], by_name["ffn_up"], by_name["ffn_down"]
    attention = by_name["attn_qkv"].rows + 5 * by_name["attn_output"].columns
    return Encoder(
        sizes.get("largest_image", 0), sizes["patches_of_token"], sizes.get("outputs", 1), sizes.get("interpolated", 0),
        embedding.columns, embedding.rows, attention, up.rows + down.columns,
    )  # fmt: skip


def audio_tower(config: Fields, text_hidden: int, families: Families) -> list[Matrix]:
    """The matrices of the audio tower that `config` describes; empty without one or for an unknown one."""
    fields = config.child("audio_config")
    family = family_of(families, fields.word("model_type")) if fields is not None else None
    if fields is None or family is None or tables().get(family.tower, {}).get("is") != "audio tower":
        return []
    return _matrices("a", parts_of(family.tower, Sizes(family.tower, fields, {"text_hidden": text_hidden}), "vision"))


def _matrices(prefix: str, found: list[Part]) -> list[Matrix]:
    return [Matrix(f"{prefix}.{part.name}", "vision", part.rows, part.columns, part.many, part.shard) for part in found]
