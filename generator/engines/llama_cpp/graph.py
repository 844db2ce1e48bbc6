"""llama.cpp: how many fp32 values per token the widest layer keeps alive at once, by the table of docs/memory.md.

Floor 4, pure. Counted from the graphs and checked against the real allocator on headers of published shapes, with a
vocabulary so small that the logits do not matter (`tests/engines/llama_cpp/test_real_sizes.py`)."""

from __future__ import annotations

from collections import OrderedDict

from generator.architecture.shape import Matrix, ModelArchitecture

_REMEMBERED = 512
_widths: OrderedDict[tuple[int, bool, int, int], tuple[ModelArchitecture, int]] = OrderedDict()


def layer_width(architecture: ModelArchitecture, cpu: bool, ffn_copies: int, hidden_copies: int) -> int:
    """Values per token of the widest layer; remembered per object."""
    key = (id(architecture), cpu, ffn_copies, hidden_copies)
    known = _widths.get(key)
    if known is not None:
        return known[1]
    width = _layer_width(architecture, cpu, ffn_copies, hidden_copies)
    _widths[key] = (architecture, width)
    if len(_widths) > _REMEMBERED:
        _widths.popitem(last=False)
    return width


def _layer_width(architecture: ModelArchitecture, cpu: bool, ffn_copies: int, hidden_copies: int) -> int:
    text = {m.name: m for m in architecture.matrices if m.role not in ("vision", "mtp")}
    hidden = architecture.hidden_size
    latent = architecture.mla and ("attn_kv_b" in text or "attn_k_b" in text)
    query = architecture.attention_heads * architecture.head_dim if cpu and not latent else hidden
    rest = (hidden_copies - 1) * hidden + max(query, hidden)
    widths = [_dense(architecture, text, ffn_copies) + rest]
    if _fused(text):
        widths[0] -= hidden
    if architecture.experts:
        used = architecture.experts_per_token
        active = used * architecture.moe_intermediate_size
        widths = [ffn_copies * active + rest]
        queries = architecture.attention_heads * _latent_dim(architecture) + hidden if latent else query
        widths.append(2 * used * hidden + active + queries + hidden)
    if latent:
        widths.append(_latent(architecture, text) + hidden_copies * hidden)
    if "ssm_in" in text and "ssm_out" in text:
        inner = text["ssm_out"].columns
        convolved = text["ssm_conv1d"].rows if "ssm_conv1d" in text else inner
        widths.append(text["ssm_in"].rows + 2 * convolved + 2 * inner + 2 * hidden)
    return max(widths)


def _dense(architecture: ModelArchitecture, text: dict[str, Matrix], copies: int) -> int:
    """The feed-forward part of a dense layer; without a gate there is one copy fewer."""
    gated = not text or "ffn_up" not in text or "ffn_gate" in text or _fused(text)
    return (copies if gated else copies - 1) * architecture.intermediate_size


def _fused(text: dict[str, Matrix]) -> bool:
    up, down = text.get("ffn_up"), text.get("ffn_down")
    return up is not None and down is not None and "ffn_gate" not in text and up.rows == 2 * down.columns


def _latent_dim(architecture: ModelArchitecture) -> int:
    return max((c.latent_dim for c in architecture.caches if c.kind == "latent"), default=0)


def _latent(architecture: ModelArchitecture, text: dict[str, Matrix]) -> int:
    """MLA: queries with the absorbed key projection, what attention returns, the queries before, and the values."""
    heads = max(1, architecture.attention_heads)
    query = next((text[name].rows // heads for name in ("attn_q_b", "attn_q") if name in text), 0)
    rank = text["attn_kv_b"].columns if "attn_kv_b" in text else text["attn_k_b"].rows
    value = text["attn_output"].columns // heads if "attn_output" in text else 0
    return heads * (_latent_dim(architecture) + rank + query + value)
