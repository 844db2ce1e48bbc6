"""For a terminal: a decision or a job in a few lines, and the edits of generated files with how to resolve them. Floor 7, pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from generator.errors import MOST_IN_FILE, printable
from generator.facts.job import Job, Needs
from generator.plan import Candidate, Plan, Reason, Rejection
from generator.quantity import gib, grouped
from generator.report.speed import concurrency_text, ranged, speed_lines
from generator.throughput.shapes import Range

if TYPE_CHECKING:
    from generator.decide.cures import Cure  # only refusals need it

OBJECTIVES = {"objective.tpot_ratio": "tpot_ms", "objective.ttft_ratio": "ttft_ms"}
"""The names of the objective ratios that rows read, each with the speed figure it is based on."""

NAMED = 3
"""Specs that a warning of several names."""

MOST = 6
"""Lines of a refusal; `explain` prints all."""


def chosen_line(candidate: Candidate) -> str:
    """A candidate in one line: engine, method, parallelism, capacity, memory."""
    words = [f"{candidate.engine} {candidate.engine_version}", candidate.method, f"tp {candidate.tensor_parallel}"]
    if candidate.pipeline_parallel > 1:
        words.append(f"pp {candidate.pipeline_parallel}")
    if candidate.replicas > 1:
        words.append(f"{candidate.replicas} replicas")
    line = f"{' · '.join(words)} · context {candidate.max_model_len} × {candidate.max_num_seqs} sequences"
    memory = candidate.memory
    if memory is not None:
        line += f" · {gib(memory.total):.1f} of {gib(memory.capacity):.1f} GiB"
    return printable(line)


def summary(plan: Plan, choice: Candidate, all_engines: bool = False) -> str:
    """The choice with its memory, and the runners-up."""
    return printable("\n".join(_lines(plan, choice, all_engines)))


def headline(plan: Plan, candidate: Candidate) -> str:
    """A candidate in one line, and the objectives that its estimate misses: `misses tpot_ms 50 (84 ms estimated)`."""
    speed = candidate.speed
    missed = []
    for figure in OBJECTIVES.values():
        asked, estimate = plan.spec["workload"].get(figure), getattr(speed, figure, None)
        if asked and estimate is not None and estimate.value > asked:
            missed.append(f"{figure} {asked:g} ({estimate.value:.3g} ms estimated)")
    return chosen_line(candidate) + (f" · misses {' and '.join(missed)}{_max_concurrency(candidate)}" if missed else "")


def _lines(plan: Plan, choice: Candidate, all_engines: bool) -> Iterator[str]:
    yield f"{plan.name}: {headline(plan, choice)}"
    memory, kv = choice.memory, choice.kv_cache
    if memory is not None and memory.budget:
        terms = [("weights", memory.weights), ("KV cache", memory.kv_cache), ("activations", memory.activations)]
        terms += [("CUDA graphs", memory.cuda_graphs), ("run-time", memory.runtime), ("draft", memory.draft), ("adapters", memory.adapters)]
        shown = ", ".join(f"{name} {gib(size):.2f}" for name, size in terms if size)
        yield f"  memory (GiB, estimated): {shown}; budget {gib(memory.budget):.2f}, free under the workload {memory.headroom:.0%}"
    if kv is not None and kv.tokens:
        yield f"  KV cache: {kv.tokens} tokens, {kv.max_concurrency:.1f} full-length sequences"
    for line in speed_lines(choice.performance, "machine" if plan.facts.get("gpu.vendor") == "cpu" else "GPU"):
        yield f"  {line}"
    if choice.job is not None:
        yield from (f"  {'' if n else 'to quantize: '}{line}" for n, line in enumerate(job_lines(choice.job)))
    thumb = choice.thumb.get("memory_gb")
    if thumb is not None:
        yield f"  the rule of thumb gives {thumb:g} GB"
    others = plan.alternatives if all_engines else plan.alternatives[:3]
    for other in others:
        yield f"  or {chosen_line(other)}"


class Warnings:
    """The warnings of a run: equal ones once, with the specs that they are about; with `verbose` all of them, and the facts each row read."""

    def __init__(self, verbose: bool = False) -> None:
        self._verbose = verbose
        self._texts: dict[tuple[str, ...], str] = {}
        self._names: dict[tuple[str, ...], list[str]] = {}

    def add(self, plan: Plan) -> None:
        """The warnings of one more plan."""
        for warning in plan.warnings:
            key = (warning.row, warning.because, plan.name if self._verbose else "")
            self._texts[key] = warning.because if key in self._texts else because_of(warning, plan.choice)
            if self._verbose:
                self._texts[key] += "".join(f"\n    {name} = {read.value!r} ({read.source})" for name, read in warning.read.items())
            self._names.setdefault(key, []).append(plan.name)

    def lines(self) -> Iterator[str]:
        """One line for each warning: the spec's name, or how many specs, of which three are named."""
        for key, names in self._names.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            several = f" ({len(names)} specs: {', '.join(names[:NAMED])}{more})" if len(names) > 1 else ""
            yield printable(f"{'' if several else names[0] + ': '}warning[{key[0]}]: {self._texts[key]}{several}")


def because_of(warning: Reason, choice: Candidate | None) -> str:
    """Why a row warns, and where it is about the queue, how many of the load run at once and how long the first token takes."""
    speed = choice.speed if choice else None
    if "load.held" not in warning.read or speed is None:
        return warning.because
    first = f", first token {ranged(speed.ttft_ms, 'ms')}" if speed.ttft_ms else ""
    return f"{warning.because}: {concurrency_text(speed)}{first}"


def refusal(plan: Plan, name: str, cures: Sequence[Cure] = ()) -> str:
    """The reasons why nothing fits: reasons of every candidate, what was tried and would help, else the closest candidates."""
    lines = [f"{name}: error[nothing-fits]: no candidate can be deployed"]
    everywhere = shared(plan.rejected)
    lines += [f"  every candidate: {reason.because} [{reason.row}]" for reason in everywhere[:MOST_IN_FILE]]
    near = nearest(plan.rejected)
    helped = {(cure.choice.engine, cure.choice.method) for cure in cures}
    first = [r for r in near[:1] if (r.candidate.engine, r.candidate.method) not in helped] if cures else near[:MOST]
    for rejection in first if not everywhere else []:
        candidate = rejection.candidate
        lines.append(f"  {candidate.id}: {'; '.join(_because(reason, candidate) for reason in rejection.reasons)}{_estimate(rejection)}")
    lines += [f"  {_cured(cure, near, bool(everywhere))}" for cure in cures[: max(1, MOST + 1 - len(lines))]]
    lines.append(f"  (`gen-deploy explain` gives the reasons of each candidate, {len(plan.rejected)} in all)")
    return printable("\n".join(lines))


def _cured(cure: Cure, near: Sequence[Rejection], said: bool) -> str:
    """A change that helps, with why the candidate that it makes possible was rejected without it."""
    chosen = cure.choice
    same = [r for r in near if (r.candidate.engine, r.candidate.method) == (chosen.engine, chosen.method)]
    if said or not same:
        return f"{chosen.id} works with {cure.write}"
    refused = same[0].candidate
    what = "works" if refused.id == chosen.id else f"{chosen.id} works"
    return f"{refused.id}: {'; '.join(_because(reason, refused) for reason in same[0].reasons)}; {what} with {cure.write}"


def shared(rejected: Sequence[Rejection]) -> list[Reason]:
    """Reasons shared by all of several candidates, except size and load: problems of the spec as a whole."""
    if len(rejected) < 2:
        return []
    rows = set.intersection(*({reason.row for reason in rejection.reasons} for rejection in rejected))
    return [r for r in rejected[0].reasons if r.row in rows and r.read.keys().isdisjoint(("memory.headroom", "load.held"))]


def nearest(rejected: Sequence[Rejection]) -> list[Rejection]:
    """Rejections, closest first: sized, few reasons, smallest shortfall; one for each engine and method."""
    return [same[0] for same in grouped(sorted(rejected, key=_distance), lambda one: (one.candidate.engine, one.candidate.method))]


def _distance(rejection: Rejection) -> tuple[bool, int, float, str]:
    memory = rejection.candidate.memory
    missed = [
        read.value - 1.0
        for reason in rejection.reasons
        for name, read in reason.read.items()
        if name in OBJECTIVES and isinstance(read.value, int | float)
    ]
    # what would work for fewer at once is nearest
    missed += [-share.value for reason in rejection.reasons if (share := reason.read.get("load.held_share")) and isinstance(share.value, int | float)]
    short = max(missed) if missed else -memory.headroom if memory else 0.0
    return (memory is None, len(rejection.reasons), short, rejection.candidate.id)


def _because(reason: Reason, candidate: Candidate) -> str:
    memory = candidate.memory
    if "memory.headroom" in reason.read and memory is not None:
        needed, budget = memory.total - memory.kv_cache + memory.kv_needed, min(memory.budget, memory.capacity)
        short = f"the budget is {gib(budget):.1f}"
        if needed <= budget:  # only the margin is missing
            floor = next((read for name, read in reason.read.items() if name == "memory.headroom"), None)
            short = f"which leaves {floor.value:.1%} of the budget of {gib(budget):.1f}: less than the margin headroom.floor" if floor else short
        return f"needs {gib(needed):.1f} GiB (weights {gib(memory.weights):.1f}), {short} [{reason.row}]"
    held, share = (reason.read[name].value if name in reason.read else None for name in ("load.held", "load.least_share"))
    if isinstance(held, int | float) and isinstance(share, int | float):
        most = int(held / share)
        return f"{reason.because}: {held} at once, so up to {most} with a queue (workload.concurrency: {most}) [{reason.row}]"
    speed = candidate.speed
    for name, figure in OBJECTIVES.items():
        estimate: Range | None = getattr(speed, figure, None)
        if estimate is not None and name in reason.read:
            return f"{reason.because}: {ranged(estimate, 'ms')}{_max_concurrency(candidate)} [{reason.row}]"
    return f"{reason.because} [{reason.row}]"


def _max_concurrency(candidate: Candidate) -> str:
    """The highest concurrency that meets the objectives, if computed."""
    most = candidate.performance.within_objectives if candidate.performance else None
    return "" if most is None else f", met up to a concurrency of {most}" if most else ", not met even at concurrency 1"


def _estimate(rejection: Rejection) -> str:
    """The memory it would need, if memory is not the reason: the estimate is useful even for a rejection."""
    memory = rejection.candidate.memory
    if memory is None or any("memory.headroom" in reason.read for reason in rejection.reasons):
        return ""
    return f" (it would need {gib(memory.total - memory.kv_cache + memory.kv_needed):.1f} of {gib(memory.budget):.1f} GiB)"


def job_lines(job: Job) -> list[str]:
    """The job's tool, its result, and its resource needs."""
    return needs_lines(job.needs, 1, job)


def needs_lines(needs: Needs, gpus: int, job: Job | None = None) -> list[str]:
    """The resource needs of a job; all `gpus` need the same."""
    from generator.render.templates import render  # imported lazily: few plans have a job

    return printable(render("job.j2", job=job, needs=needs, gpus=gpus)).splitlines()


MOST_LINES = 40
"""Maximum number of diff lines in a message; `-v` shows all."""

WAYS_OUT = """\
To keep an edit, move it into the spec; engine flags go into
`deploy: {extra_args: {ENGINE: {FLAG: VALUE}}}`. Then run again with --force.
To discard it, run again with --force."""


def unified(old: bytes | str | None, new: bytes | str | None, old_name: str, new_name: str) -> list[str]:
    """The unified diff of two texts, without line ends; control characters are shown escaped."""
    from difflib import unified_diff  # imported lazily: few runs find edits

    found = unified_diff(_split(old), _split(new), old_name, new_name, lineterm="")
    return [printable(line.expandtabs(4)) if line.isascii() else printable(line) for line in found]


def edit(path: str, now: bytes | None, found: bytes | None, whole: bool = False) -> list[str]:
    """The manual edit of a file, as a diff from the generated text to the file on disk; in part unless `whole`."""
    lines = unified(now, found, f"{path} (generated)", f"{path} (on disk)")
    if not whole and len(lines) > MOST_LINES + 1:
        lines = [*lines[:MOST_LINES], f"… {len(lines) - MOST_LINES} more lines (-v shows all)"]
    return [f"    {line}" for line in lines]


def drift(path: str, now: bytes | None, found: bytes | None) -> list[str]:
    """The changes that regeneration would make to a file."""
    return [f"    {line}" for line in unified(found, now, f"{path} (on disk)", f"{path} (generated)")]


def _split(text: bytes | str | None) -> list[str]:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return (text or "").splitlines()
