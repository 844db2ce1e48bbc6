"""The decision for a terminal, row by row: the facts each row read, their sources, and the row's position.

Floor 7, pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from generator.errors import did_you_mean, fail, printable
from generator.plan import Candidate, Plan, Read, Reason, Rejection, Trace
from generator.quantity import gib
from generator.rulebook.book import RuleBook
from generator.rulebook.table import Row
from generator.sizing.term import MemoryTerm


def explain(plan: Plan, book: RuleBook, why_not: str | None = None, lost_by: Callable[[Candidate], Row | None] = lambda _: None) -> str:
    """A decision as text, or the reasons why `ENGINE[/METHOD]` was not chosen.

    `lost_by` gives the criterion by which a candidate that works lost to the choice. Raises `InputError` for an unknown engine or method.
    """
    lines = _why_not(plan, book, why_not, lost_by) if why_not else _whole(plan, book)
    return printable("\n".join(lines)) + "\n"


def _whole(plan: Plan, book: RuleBook) -> Iterator[str]:
    yield f"{plan.name}: {described(plan.choice) if plan.choice else 'nothing fits'}"
    yield f"rules: {plan.rules_name} {plan.rules_digest}"
    if plan.choice is not None and plan.choice.memory is not None:
        yield from _memory(plan.choice, book)
    step = ""
    for entry in plan.trace:
        if entry.step != step:
            step = entry.step
            yield from ("", step)
        yield from _trace(entry, book)
    if plan.warnings:
        yield from ("", "warnings")
        for warning in plan.warnings:
            yield from _reason(warning, book, "  ")
    if plan.alternatives:
        yield from ("", "next best")
        for candidate in plan.alternatives:
            yield f"  {candidate.id}: {_sized(candidate)}"
    yield from ("", *_rejected(plan.rejected))


BAR = 60
"""Width of the memory bar in characters."""

TERMS = (("weights", "█"), ("kv_cache", "▓"), ("activations", "▒"), ("cuda_graphs", "░"), ("runtime", "▚"))


def _memory(candidate: Candidate, book: RuleBook) -> Iterator[str]:
    """The fullest GPU as a stacked bar, and each term with its formula, inputs and source."""
    memory = candidate.memory
    if memory is None or not memory.capacity:
        return
    cells, done = "", 0
    for name, mark in TERMS:
        done += getattr(memory, name)
        cells += mark * (min(BAR, round(done / memory.capacity * BAR)) - len(cells))
    yield from ("", "memory of the fullest GPU", f"  {cells}{'·' * (BAR - len(cells))}  {gib(memory.total):.2f} of {gib(memory.capacity):.2f} GiB")
    marks = dict(TERMS)
    for term in candidate.terms:
        yield from _term(term, f"{marks[term.name]} ", "  ", book)


def _term(term: MemoryTerm, mark: str, indent: str, book: RuleBook) -> Iterator[str]:
    """A term with its formula, inputs and source, then its parts."""
    yield f"{indent}{mark}{term.name} {gib(term.bytes):.2f} GiB = {term.formula}"
    if term.inputs:
        yield f"{indent}    with    {'; '.join(f'{name} {one.value:.12g}' for name, one in term.inputs.items())}"
    entry = book.source(term.source)
    if term.source and entry is not None:
        yield f"{indent}    source  {term.source}: {' '.join(str(entry.get('title', '')).split())} {entry.get('url', '')}".rstrip()
    for part in term.parts:
        yield from _term(part, "", f"{indent}    ", book)


def described(candidate: Candidate) -> str:
    """A candidate in a line."""
    gpus = candidate.tensor_parallel * candidate.pipeline_parallel * candidate.replicas
    what = f"{candidate.engine} {candidate.engine_version}, {candidate.method}, {gpus} GPU(s)"
    return f"{what} ({candidate.id}); {_sized(candidate)}"


def _sized(candidate: Candidate) -> str:
    memory = candidate.memory
    if memory is None:
        return "not sized"
    share = f", gpu_memory_utilization {candidate.gpu_memory_utilization:g}" if (candidate.gpu_memory_utilization or 1.0) < 1.0 else ""
    return (
        f"{gib(memory.total):.2f} of {gib(memory.capacity):.2f} GiB of the fullest GPU, "
        f"headroom {memory.headroom:.1%}, context {candidate.max_model_len}, {candidate.max_num_seqs} sequences{share}"
    )


def _trace(entry: Trace, book: RuleBook) -> Iterator[str]:
    did = "; ".join(f"{name} {_value(value)}" for name, value in entry.did.items())
    yield f"  {entry.row}: {did}" if did else f"  {entry.row}"
    yield from _details(entry.because, entry.read, entry.source, entry.at, book, "      ")


def _reason(reason: Reason, book: RuleBook, indent: str) -> Iterator[str]:
    yield f"{indent}{reason.row}"
    yield from _details(reason.because, reason.read, reason.source, reason.at, book, indent + "    ")


def _details(
    because: str, read: Mapping[str, Read], source: str | None, at: str, book: RuleBook, indent: str
) -> Iterator[str]:
    if because:
        yield f"{indent}because {' '.join(because.split())}"
    for name, value in read.items():
        whose = f"   ({value.source})" if value.source else ""
        yield f"{indent}read    {name} = {_value(value.value)}{whose}"
    entry = book.source(source)
    if source and entry is not None:
        title = " ".join(str(entry.get("title", "")).split())
        yield f"{indent}source  {source}: {title} {entry.get('url', '')}".rstrip()
    if at:
        yield f"{indent}at      {at}"


def _value(value: object) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case dict():
            return ", ".join(f"{name} = {_value(item)}" for name, item in value.items())
        case list() | tuple() | set() | frozenset():
            items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
            return ", ".join(map(_value, items)) or "nothing"
        case _:
            return str(value)


def _rejected(rejections: Sequence[Rejection]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Rejection]] = {}
    for rejection in rejections:
        groups.setdefault((rejection.candidate.engine, rejection.candidate.method), []).append(rejection)
    yield f"rejected: {len(rejections)} candidates (details: `--why-not ENGINE[/METHOD]`)"
    for (engine, method), found in sorted(groups.items()):
        rows = dict.fromkeys(reason.row for rejection in found for reason in rejection.reasons)
        yield f"  {engine}/{method} ({len(found)}): {', '.join(rows)}"


def _why_not(plan: Plan, book: RuleBook, wanted: str, lost_by: Callable[[Candidate], Row | None]) -> Iterator[str]:
    engine, _, method = wanted.partition("/")
    engines = book.section("engines")
    if engine not in engines:
        raise fail("unknown-engine", f"--why-not: {engine!r} is not a known engine{did_you_mean(engine, engines)}")
    methods = {c.method for c in _candidates(plan)} | set(book.section("methods"))
    if method and method not in methods:
        raise fail("unknown-method", f"--why-not: {method!r} is not a known method{did_you_mean(method, methods)}")

    def asked(candidate: Candidate) -> bool:
        return candidate.engine == engine and method in ("", candidate.method)

    choice = plan.choice
    if choice is not None and asked(choice):
        yield f"{wanted} is the choice: {described(choice)}"
    lower = [c for c in plan.alternatives if asked(c)]
    for candidate in lower:
        yield f"{candidate.id} works and ranks lower: {_sized(candidate)}{_faster(candidate, choice)}"
        row = lost_by(candidate)
        if row is not None and choice is not None:
            yield f"    {row.id} puts {choice.id} first"
            yield from _details(row.because, {}, row.source, row.at, book, "      ")
    found = [r for r in plan.rejected if asked(r.candidate)]
    for same in _alike(found):
        first = same[0]
        more = (
            f" (and {len(same) - 1} more like it: {', '.join(r.candidate.id for r in same[1:])})"
            if len(same) > 1
            else ""
        )
        yield from ("", f"{first.candidate.id} is rejected{more}: {_sized(first.candidate)}")
        for reason in first.reasons:
            yield from _reason(reason, book, "  ")
    if not found and not lower and not (choice is not None and asked(choice)):
        yield f"{wanted} was not considered: the spec pins another candidate"


def _faster(candidate: Candidate, choice: Candidate | None) -> str:
    """How the output of a candidate compares with that of the choice, by the estimates."""
    both = [one.performance.speed if one is not None and one.performance else None for one in (candidate, choice)]
    if both[0] is None or both[1] is None:
        return ""
    return f"; {both[0].output_tokens_per_second.value / both[1].output_tokens_per_second.value:.2f} × the choice's tokens/s by the estimates"


def _candidates(plan: Plan) -> Iterator[Candidate]:
    if plan.choice is not None:
        yield plan.choice
    yield from plan.alternatives
    yield from (rejection.candidate for rejection in plan.rejected)


def _alike(found: Iterable[Rejection]) -> list[list[Rejection]]:
    """Rejections grouped by equal rows and equal values read."""
    groups: dict[str, list[Rejection]] = {}
    for rejection in found:
        key = repr(
            [(reason.row, sorted((n, str(r.value)) for n, r in reason.read.items())) for reason in rejection.reasons]
        )
        groups.setdefault(key, []).append(rejection)
    return list(groups.values())
