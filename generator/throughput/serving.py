"""A batching server under a load: tokens per second, time to the first token, time per token.

Floor 4, pure. In a closed loop each of C sequences asks again as soon as it has its answer, so that over one request
the server reads C prompts and decodes all C sequences `output_tokens` times.
"""

from __future__ import annotations

from typing import NamedTuple

from generator.throughput.local import LocalMachine
from generator.throughput.shapes import Demand
from generator.throughput.steps import Machine, Step


class Served(NamedTuple):
    """Seconds and tokens/s of one replica; `running` sequences at once, of the `asked`; `prompts` is what they add to a token."""

    output_per_second: float
    ttft: float
    tpot: float
    step: Step
    prompts: float
    running: float
    asked: float

    @property
    def limit(self) -> str:
        """What takes the largest part of a token's time; reading prompts is arithmetic."""
        return self.step._replace(compute=self.step.compute + self.prompts).limit


def served(machine: Machine | LocalMachine, demand: Demand) -> Served:
    """One replica under its share of the load."""
    asked = demand.most if demand.concurrency is None else max(1.0, demand.concurrency / machine.split.replicas)
    running = max(1.0, min(asked, demand.most))
    answer = max(1.0, demand.output_tokens)
    step = machine.decode(running, demand.input_tokens + answer / 2.0)
    alone = machine.prefill(demand.input_tokens).total
    delay = machine.prefill_delay(demand.input_tokens)
    prompts = (running - 1.0) / answer * delay
    tpot = step.total + prompts
    request = alone + (running - 1.0) * delay + answer * step.total
    ttft = machine.first_base + alone + step.total + (running - 1.0) * (machine.first_sequence + machine.queue * delay)
    if asked > running:  # the others wait until a place is free
        ttft += (asked - running) / running * request
    return Served(running * answer / request, ttft, tpot, step, prompts, running, asked)
