"""Start-up logs of llama.cpp (`--log-verbosity 4`) and of Ollama, whose runner prints llama.cpp's lines or its own.

Floor 4, pure. Imported by `calibrate` only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from generator.engines.start_log import Figure, Line, Logged, gib_of, log_lines

LOG = log_lines("llama.cpp")
_TERMS = {
    "model": "weights", "KV": "kv_cache", "RS": "kv_cache", "compute": "activations",
    "model weights": "weights", "kv cache": "kv_cache", "compute graph": "activations",
    "weights.total": "weights", "required.kv": "kv_cache", "graph.full": "activations",
}  # fmt: skip
"""What the engines call the plan's terms."""

_ROUGH = "rounded"
_Sizes = dict[tuple[str, str], tuple[float, int]]  # by term and kind: GiB, and the line
_HOST = ("CPU", "CUDA_Host", "ROCm_Host", "Vulkan_Host", "Host")


def parse(lines: Sequence[Line]) -> Logged:
    """A log of either; the device with the most memory counts, its last figures (a fit tries several)."""
    patterns = LOG.patterns
    ollama = any(patterns["ollama_says"].search(line) for _, line in lines)
    logged = Logged("ollama") if ollama else Logged("llama.cpp", also=("ollama",))
    sizes, whole, said, probes = dict[str, _Sizes](), _Sizes(), dict[str, str](), dict[str, str]()
    cache = ""
    for number, line in lines:
        if found := patterns["windowed"].search(line):
            cache = "full" if found[1] else "sliding"
        if (found := patterns["buffer"].search(line)) and (found[3] or "load_tensors" in found[1]):
            what = found[3] or "model"
            cache = "" if what == "model" else cache
            kind = f"{found[1]}/{what}/{cache if what == 'KV' else ''}"
            sizes.setdefault(found[2], {})[_TERMS[what], kind] = (gib_of(found[4], "MiB"), number)
        elif found := patterns["ollama"].search(line):
            sizes.setdefault(found[2], {})[_TERMS[found[1]], _ROUGH] = (gib_of(found[3], found[4]), number)
        elif found := patterns["breakdown"].search(line):
            probes[found[1]] = _device(found, number, sizes.setdefault(found[1], {}), logged)
        for found in patterns["expected"].finditer(line):
            whole[_TERMS[found[1]], "expected"] = (gib_of(found[2], found[3]), number)
        if found := patterns["cells"].search(line):
            whole["kv_cache", f"size/{cache}"] = (gib_of(found[1], "MiB"), number)
            said.setdefault("slots", found[3])
            said.setdefault("in_cache", found[2])
            said.setdefault("streams", found[4] or "1")
        if ollama and (found := patterns["ollama_version"].search(line)):
            logged.version = found[1]
        elif not ollama and logged.version is None and (found := patterns["build"].search(line)):
            logged.version = f"b{found[1]}"
        for name, pattern in (*LOG.lists["slots"].items(), *(LOG.lists["ollama_slots"].items() if ollama else ())):
            if found := pattern.search(line):
                said[name] = found[1]
        if (found := patterns["offloaded"].search(line)) and int(found[1]) < int(found[2]):
            logged.notes.append(f"only {found[1]} of {found[2]} layers are on the GPU")
        if found := patterns["beside"].search(line):
            logged.notes.append(f"the {found[1]} takes {gib_of(found[2], 'MiB'):.2f} GiB more, by the server's own estimate")
    in_host = {term for name, terms in sizes.items() if name.startswith(_HOST) for term, kind in terms if kind != _ROUGH}
    for name, terms in sizes.items():  # what Ollama expected, and rounded tables, give way to what was allocated; a table has one row for the host
        for term in {term for term, kind in terms if kind != _ROUGH} | (in_host if name.startswith(_HOST) else set()):
            terms.pop((term, _ROUGH), None)
    if misfits := [note for note in probes.values() if note]:
        logged.notes.append(misfits[0])
        for terms in sizes.values():
            terms.pop(("weights", _ROUGH), None)
    logged.notes = list(dict.fromkeys(logged.notes))[-10:]  # a log may be hostile
    _fullest(sizes, whole, logged)
    _slots(said, logged)
    return logged


def _slots(said: Mapping[str, str], logged: Logged) -> None:
    """Settings from what the log says of its slots: a shared cache is that of one sequence, which may fill it."""
    number, streams, own = (int(said.get(name, "0")) for name in ("slots", "streams", "own"))
    cells = int(said.get("cells", "0")) or int(said.get("in_cache", "0")) * streams
    shared = said["shared"] == "true" if "shared" in said else number > streams > 0 or 0 < cells == own
    if "batch" in said:
        logged.settings["max_num_batched_tokens"] = int(said["batch"])
    if number > 1 and logged.engine == "llama.cpp" and shared:
        logged.settings["slots"], own = number, cells or own
        logged.notes.append(f"{number} slots share one cache, each may fill it: sized as one sequence")
        number = 1
    elif number > 1 and own and not cells and "shared" not in said:
        logged.notes.append(f"the log does not say whether its {number} slots share a cache: sized as if each has its own")
    if number:
        logged.settings["max_num_seqs"] = number
    if length := cells // max(1, number) if logged.engine == "ollama" or not own else own:
        logged.settings["max_model_len"] = length


def _device(found: re.Match[str], number: int, terms: _Sizes, logged: Logged) -> str:
    """Take a row of the memory table; a note, where it is a probe of `--fit` that does not fit its device and so says nothing of the weights."""
    total, used, unaccounted = int(found[2] or 0), int(found[3]), int(found[7] or 0)
    if total:
        logged.most("capacity", gib_of(found[2], "MiB"), number)
        if 0 < unaccounted < total:
            logged.most("runtime", gib_of(found[7], "MiB"), number)
    for term, size in zip(("weights", "kv_cache", "activations"), found.groups()[3:6], strict=True):
        terms[term, _ROUGH] = (gib_of(size, "MiB"), number)
    if 0 < total < used:
        return f"{found[1]}: {used} MiB would not fit {total} MiB: a probe of --fit, whose weights are not those that were loaded"
    return ""


def _fullest(sizes: dict[str, _Sizes], whole: _Sizes, logged: Logged) -> None:
    """The terms of the GPU with the most memory; without one, of the host in all. `whole` is of all devices, for want of theirs."""
    devices = {name: terms for name, terms in sizes.items() if not name.startswith(_HOST)}
    if devices:
        name = max(devices, key=lambda device: sum(size for size, _ in devices[device].values()))
        chosen = [devices[name]]
        logged.settings["device"] = name
    else:
        chosen = list(sizes.values())
        logged.settings["device"] = "CPU"
    kinds = {kind for terms in chosen for term, kind in terms if term == "kv_cache"}
    if kinds and all("/RS/" in kind for kind in kinds):  # the cache itself is not in the excerpt
        states = sum(terms.pop(("kv_cache", kind), (0.0, 0))[0] for terms in chosen for kind in kinds)
        logged.notes.append(f"recurrent states take {states:.3f} GiB; the excerpt lacks the KV cache beside them")
    for terms in (*chosen, whole):
        known = set(logged.figures) if terms is whole else set()
        for (term, kind), (size, line) in terms.items():
            if term not in known:
                if kind == "expected":
                    logged.notes.append(f"{term}: what Ollama expected before it loaded, not what it allocated")
                figure = logged.figures.get(term)
                logged.figures[term] = figure._replace(value=figure.value + size) if figure else Figure(size, line)
