"""The workload: what the user wrote, and for the rest what the profile's row says. Floor 3, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from generator.record import dataclass
from generator.spec.deployment import DeploymentSpec


@dataclass(frozen=True, slots=True)
class Workload:
    """Sequences at once, tokens in and out of one, and the context that one may reach. `concurrency` is None for `max`: as many as the
    cache holds. `given` names what the user wrote: it is never lowered."""

    profile: str
    goal: str
    concurrency: int | None
    input_tokens: int
    output_tokens: int
    max_context: int
    given: frozenset[str] = field(default_factory=frozenset)

    @property
    def tokens(self) -> int:
        """Tokens of one typical sequence."""
        return self.input_tokens + self.output_tokens


def resolve_workload(spec: DeploymentSpec, defaults: Mapping[str, object], model_context: int) -> Workload:
    """The workload of a spec; `defaults` are the numbers of its profile, `model_context` the model's own limit (0: unknown)."""
    asked = spec.workload
    values = {**defaults, **asked}
    context = int(values["max_context"])
    if "max_context" not in asked:
        context = max(context, int(values["input_tokens"]) + int(values["output_tokens"])) if asked.keys() & {"input_tokens", "output_tokens"} else context
        context = min(context, model_context) if model_context else context
    if "max_model_len" in spec.pin and "max_context" not in asked:
        context = int(spec.pin["max_model_len"])
    tokens_in, tokens_out = int(values["input_tokens"]), int(values["output_tokens"])
    if tokens_in + tokens_out > context and not asked.keys() & {"input_tokens", "output_tokens"}:
        # the profile's lengths, scaled into the context that the user gave
        tokens_out = max(1, min(tokens_out, context // 2))
        tokens_in = max(1, min(tokens_in, context - tokens_out))
    concurrency = values["concurrency"]
    return Workload(
        profile=values["profile"], goal=values["goal"], concurrency=None if concurrency == "max" else int(concurrency),
        input_tokens=tokens_in, output_tokens=tokens_out, max_context=context, given=frozenset(asked),
    )  # fmt: skip
