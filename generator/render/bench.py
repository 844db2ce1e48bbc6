"""`bench.sh`: measures a running server with the spec's own lengths and concurrency.

Floor 6, pure. Some engines bring a benchmark (`generator/engines/<engine>/bench.py`); the others get a load of completions over the
OpenAI API."""

from __future__ import annotations

import json
from collections.abc import Mapping

from generator.engines import benchmarks
from generator.engines.room import BenchLoad, Benchmark
from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.launch import Launch
from generator.render.script import array, exported, same_exports, summary
from generator.render.words import Word, bash, expected
from generator.verify.data import same_json, same_words

RESULT = "bench.json"

def bench(launch: Launch, header: str) -> Artifact:
    """The benchmark of one candidate, verified by parsing its words again."""
    workload, count = launch.plan.spec["workload"], launch.facts["bench"]
    concurrency = sequences(launch)
    requests = max(count["least_requests"], concurrency * count["rounds"])
    own, words = own_benchmark(launch, workload, concurrency, requests)
    args = array("args", words) if words else ""
    env: dict[str, Word] = {**launch.hub.get("env", {}), **(launch.deploy.get("env") or {})}  # a benchmark loads the model's tokenizer
    body = {"model": launch.request_name, "max_tokens": workload["output_tokens"], "temperature": 0, "ignore_eos": True}
    text = templates.render(
        "bench.sh.j2", header=header, what=summary(launch), launch=launch, program=str(words[0]) if words else "curl", args=args,
        appends=own is not None and own.appends, prints=own is not None and own.prints, sealed=[], exports=exported(env),
        key=bash(launch.client_key) if launch.client_key else "", base_url=bash(launch.base_url), head=_head(body), words=workload["input_tokens"],
        input_tokens=workload["input_tokens"], output_tokens=workload["output_tokens"], concurrency=concurrency, requests=requests,
        answer_s=launch.facts["smoke"]["answer_s"], result=RESULT,
    )  # fmt: skip
    same_exports(env, text)
    if words:
        same_words(args, ["args=(", *map(expected, words), ")"], text)
    return Artifact(f"{launch.engine.name}/bench.sh", text, executable=True)


def sequences(launch: Launch) -> int:
    """Concurrent requests: the spec's, or for `max` the plan's number of sequences."""
    asked = launch.plan.spec["workload"]["concurrency"]
    return int(asked) if asked != "max" else launch.candidate.max_num_seqs * launch.candidate.replicas


def own_benchmark(launch: Launch, workload: Mapping[str, object], concurrency: int, requests: int) -> tuple[Benchmark | None, list[Word]]:
    """The engine's own benchmark and its words; none where it has none for this load."""
    own = benchmarks().get(launch.engine.name)
    if own is None:
        return None, []
    candidate, weights = launch.candidate, launch.weights
    load = BenchLoad(
        launch.base_url, launch.request_name, str(workload["input_tokens"]), str(workload["output_tokens"]), concurrency, requests,
        candidate.max_num_batched_tokens, candidate.kv_cache_dtype, candidate.settings, RESULT,
    )  # fmt: skip
    model: Word = weights.host if weights.local else weights.name
    return own, own.command(load, model, launch.words())


def _head(body: dict[str, object]) -> str:
    head = json.dumps(body)[:-1] + ', "prompt": "'
    same_json(head + '"}', {**body, "prompt": ""}, "the request of bench.sh")
    return bash(head)

