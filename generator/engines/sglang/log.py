"""SGLang's start-up logs. It prints GB and means GiB; activations are never measured there.

Floor 4, pure but for the patterns. Imported by `calibrate` only."""

from __future__ import annotations

from collections.abc import Sequence

from generator.engines.start_log import Line, Logged, log_lines, number_of

LOG = log_lines("sglang")


def parse(lines: Sequence[Line]) -> Logged:
    """An SGLang log: ranks with the most weights and the fewest tokens count, as in its own arithmetic."""
    logged = Logged("sglang")
    for number, line in lines:
        if any(word in line for word in ("ServerArgs(", "server_args=", "max_total_num_tokens=")):
            logged.take(line, LOG.lists["arguments"])
            if (found := LOG.patterns["cache_type"].search(line)) and found[1] in ("fp8_e4m3", "fp8_e5m2", "auto"):
                logged.settings["kv_cache_dtype"] = {"fp8_e4m3": "fp8"}.get(found[1], found[1])
        logged.read(Line(number, line), LOG)
        if found := LOG.patterns["cache"].search(line):
            if found[3]:
                logged.most("kv_cache", number_of(found[3]) + number_of(found[4] or "0"), number)
            logged.least("kv_tokens", number_of(found[2]), number)
            if found[1] == "torch.float8_e4m3fn":
                logged.settings.setdefault("kv_cache_dtype", "fp8")
    figures = logged.figures
    for term, sum_ in (("kv_cache", "windows"), ("kv_tokens", "full")):  # two pools, and one line with their sum
        figures.update({term: figures.pop(sum_)} if sum_ in figures else {})
    states = sum(figure.value for term in ("conv", "ssm", "drafted") if (figure := figures.pop(term, None)))
    if states and (cache := figures.get("kv_cache")):
        figures["kv_cache"] = cache._replace(value=cache.value + states)
    elif states:
        logged.notes.append(f"recurrent states take {states:.2f} GiB; the excerpt lacks the KV cache beside them")
    return logged
