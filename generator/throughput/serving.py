"""A batching server under a load: tokens per second, time to the first token, time per token. Floor 4, pure. In a closed loop each of C
sequences asks again as soon as it has its answer, so that over one request the server reads C prompts and decodes all C sequences
`output_tokens` times."""

from __future__ import annotations

from typing import NamedTuple

from generator.throughput.local import LocalMachine
from generator.throughput.shapes import Demand
from generator.throughput.steps import Machine, Step

TOGETHER = 0.5
"""Share of the others' prompts that a sequence waits for before its first token where all come at once and are read in turn: on
average, half. Those that one batch reads together wait for all of it, so the most is 1."""


class Arrival(NamedTuple):
    """Seconds under one way of arriving: of the first token, of each further one."""

    ttft: float
    tpot: float


class Served(NamedTuple):
    """Seconds and tokens/s of one replica; `running` sequences at once, of the `asked`; `prompts` is what they add to a token. `together`
    is what the times would be if all prompts were read in one batch; the output is the same."""

    output_per_second: float
    ttft: float
    tpot: float
    step: Step
    prompts: float
    running: float
    asked: float
    together: Arrival

    @property
    def limit(self) -> str:
        """What takes the largest part of a token's time; reading prompts is arithmetic."""
        return self.step._replace(compute=self.step.compute + self.prompts).limit


def _each_token(machine: Machine | LocalMachine, running: float, context: float) -> Step:
    """The time of a token of each sequence: of a step, or of its share of what a draft lets a step yield."""
    drafting = machine.drafting
    if drafting is None:
        return machine.decode(running, context)
    verified, draft, more = machine.decode(running, context, drafting.tokens + 1), machine.draft(drafting), drafting.each_step
    memory, compute, communication, host = ((one + other) / more for one, other in zip(verified[:4], draft[:4], strict=True))
    return Step(memory, compute, communication, host, verified.added)


def served(machine: Machine | LocalMachine, demand: Demand) -> Served:
    """One replica under its share of the load.

    Over its life a sequence makes its tokens and waits for the prompts of the others: for a share of them before its own first
    token, for the rest between its tokens, so that `ttft` + (output_tokens - 1) x `tpot` is the whole request whatever the share.
    With C asked and m places, a closed loop keeps all m busy: m / request answers a second, and by Little's law
    (C = rate x time) a request spends C / m x request here, of which it waits (C - m) / m x request for a place."""
    asked = demand.most if demand.concurrency is None else max(1.0, demand.concurrency / machine.split.replicas)
    running = max(1.0, min(asked, demand.most))
    answer = max(1.0, demand.output_tokens)
    step = _each_token(machine, running, demand.input_tokens + answer / 2.0)
    others = (running - 1.0) * machine.prefill_delay(demand.input_tokens)
    front = machine.first_base + (running - 1.0) * machine.first_sequence
    first = machine.prefill(demand.input_tokens).total + step.total

    request = front + first + others + (answer - 1.0) * step.total
    wait = (asked - running) / running * request

    def arriving(ahead: float) -> Arrival:
        """With that share of the others' prompts before the first token; a single token has nothing after it."""
        ahead = ahead if answer >= 2.0 else 1.0
        return Arrival(wait + front + first + ahead * others, step.total + (1.0 - ahead) * others / max(1.0, answer - 1.0))

    mine = arriving(TOGETHER if demand.burst else machine.queue)
    # where there is always a next request, the front end has it ready
    rate = running * answer / (request if demand.concurrency is not None else request - front)
    return Served(rate, mine.ttft, mine.tpot, step, mine.tpot - step.total, running, asked, arriving(1.0))
