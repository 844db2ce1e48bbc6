"""`bench.sh`: measures a running server with the spec's own lengths and concurrency.

Floor 6, pure. Some engines bring a benchmark (`generator/engines/<engine>/bench.py`); the others get a load of completions over the
OpenAI API.
`smoke.sh` waits for the server, asks one question, and expects a text as answer.
`eval.sh` measures what quantized weights lost against the 16-bit model on the running server: its program is `templates/eval.py`, unchanged,
every value of a spec is in one JSON argument, and the tasks by profile are in `rules/evaluation.json`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from functools import cache

from generator.engines import benchmarks
from generator.engines.room import BenchLoad, Benchmark
from generator.errors import internal
from generator.readers.resources import folder, shipped
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


ANSWERS = {
    "generate": r'"(content|text|reasoning_content|reasoning)"[[:space:]]*:[[:space:]]*("([^"\\]|\\.)+")',
    "embed": r'"(embedding)"[[:space:]]*:[[:space:]]*(\[*-?[0-9])',
    "rerank": r'"(relevance_score|score)"[[:space:]]*:[[:space:]]*(-?[0-9.e-]+)',
    "classify": r'"(label|probs)"[[:space:]]*:[[:space:]]*([^,}]+)',
}
"""What an answer holds, by task, as bash matches it: the second group is printed."""
QUESTION = "Say hello in one short sentence."


def smoke(launches: Sequence[Launch], header: str) -> Artifact:
    """The smoke test of a spec; without an argument it asks the first engine."""
    times = launches[0].facts["container"]["health_check"]
    text = templates.render(
        "smoke.sh.j2", header=header, engines=[_engine(launch) for launch in launches], timeout=max(launch.start_up.seconds for launch in launches),
        probe_s=times["timeout_s"], answer_s=launches[0].facts["smoke"]["answer_s"],
    )  # fmt: skip
    return Artifact("smoke.sh", text, executable=True)


def _engine(launch: Launch) -> dict[str, str]:
    path, question = request(launch)
    ready = ("/api/show", {"model": launch.served}) if launch.creates_model else (launch.facts["health"], None)
    return {
        "name": launch.engine.name, "base_url": bash(launch.base_url), "ready_path": bash(ready[0]),
        "ready_body": _body(ready[1]) if ready[1] else "", "path": bash(path), "body": _body(question),
        "answer": bash(ANSWERS[launch.candidate.task]), "key": bash(launch.client_key) if launch.client_key else "",
    }  # fmt: skip


def request(launch: Launch) -> tuple[str, dict[str, object]]:
    """The path and the data of one question: a chat, or a completion for a model that was not tuned for chat."""
    task, asked = launch.candidate.task, {"model": launch.request_name}
    if task != "generate":
        path = str(launch.facts["tasks"][task]["request"])
        return path, {**asked, "query": QUESTION, "documents": [QUESTION]} if task == "rerank" else {**asked, "input": QUESTION}
    common = {**asked, "max_tokens": launch.facts["smoke"]["max_tokens"]}
    if launch.plan.facts.get("model.chat") is False:
        return "/v1/completions", {**common, "prompt": QUESTION}
    return "/v1/chat/completions", {**common, "messages": [{"role": "user", "content": QUESTION}]}


def _body(data: Mapping[str, object]) -> str:
    """JSON as one shell word, verified by parsing it again."""
    word = bash(json.dumps(data))
    (text,) = shlex.split(word) or [""]
    if text.startswith("@"):
        raise internal("bad-word", "curl would interpret the data as a file name")
    same_json(text, data, "the question of smoke.sh")
    return word


SIXTEEN = 16


def evaluation(launch: Launch, header: str) -> Artifact | None:
    """The script of one candidate, verified by parsing its words again; None for weights in 16 bits, which lost nothing, and for other tasks."""
    candidate, spec, said = launch.candidate, launch.plan.spec, shipped("evaluation.json")
    if candidate.task != "generate" or candidate.bits >= SIXTEEN:
        return None
    local = launch.weights.host if launch.weights.local else ""
    gguf = candidate.gguf_file is not None or launch.weights.name.lower().endswith(".gguf")
    profile = spec["workload"]["profile"]
    data = {
        "of": {
            "model": spec["model"]["id"], "revision": spec["model"].get("revision"), "checkpoint": launch.weights.name, "method": candidate.method,
            "engine": candidate.engine, "engine_version": candidate.engine_version,
        },
        "profile": profile, "tasks": {name: said["tasks"][name] for name in said["profiles"][profile]}, "base_url": launch.base_url, "gguf": "",
        "request_name": launch.request_name, "max_model_len": candidate.max_model_len, "concurrency": min(sequences(launch), said["concurrency"]),
        **{key: said[key] for key in ("minutes", "limit", "harness")},
    }  # fmt: skip
    settings = json.dumps(data)
    assigned, file = f"settings={bash(settings)}", f"gguf={bash(local)}"
    env: dict[str, Word] = {**launch.hub.get("env", {}), **(launch.deploy.get("env") or {})}  # the tasks fetch their data from the hub
    text = templates.render(
        "eval.sh.j2", header=header, what=summary(launch), launch=launch, sealed=[], exports=exported(env), tasks=list(data["tasks"]),
        key=bash(launch.client_key) if launch.client_key else "", settings=assigned, file=file, gguf=gguf, **{key: said[key] for key in ("minutes", "harness")},
        text=_shipped("quantize/held_back.txt"), program=_shipped("eval.py"),
    )  # fmt: skip
    same_exports(env, text)
    same_json(settings, data, "the settings of eval.sh")
    same_words(assigned, [f"settings={settings}"], text)
    if gguf:
        same_words(file, [f"gguf={expected(local)}"], text)
    return Artifact(f"{launch.engine.name}/eval.sh", text, executable=True)


@cache
def _shipped(name: str) -> str:
    return (folder("templates") / name).read_text(encoding="utf-8").rstrip("\n")
