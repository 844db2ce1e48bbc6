"""The terms of the choice's memory, for whoever wants to check them by hand.

Floor 3, pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.decide.context import Context, Numbers
from generator.plan import Candidate
from generator.sizing.footprint import Layout, Load
from generator.sizing.terms import Sized, Term, terms


def terms_of(context: Context, candidate: Candidate, facts: Mapping[str, Any]) -> tuple[Term, ...]:
    """Each term of a sized candidate with its formula, inputs and source; none where the rule of thumb sized it."""
    memory, kv, book = candidate.memory, candidate.kv_cache, context.book
    if memory is None or kv is None or book.sizing != "detailed":
        return ()
    version = candidate.engine_version

    def source_of(name: str) -> str | None:
        return book.threshold(name, version).get("source")

    return tuple(
        terms(
            Sized(
                engine=candidate.engine,
                architecture=context.model.architecture,
                layout=Layout(candidate.tensor_parallel, candidate.pipeline_parallel, bool(facts.get("expert_parallel"))),
                load=Load(candidate.max_model_len, candidate.max_num_seqs, candidate.max_num_batched_tokens),
                footprint=memory,
                fraction=candidate.gpu_memory_utilization,
                bytes_per_token=kv.bytes_per_token,
                tokens=kv.tokens,
                bits=candidate.bits,
                gguf=facts.get("method.family") == "gguf",
                cpu=context.gpu.vendor == "cpu",
                numbers=Numbers(book, version),
                sources=source_of,
            )
        )
    )
