"""`bench.sh`: measures a running server with the spec's own lengths and concurrency.

Floor 6, pure. vLLM and SGLang ship a server benchmark, llama.cpp one of its kernels; the other engines get a load of
completions over the OpenAI API. Flags after docs.vllm.ai/en/latest/cli/bench/serve, SGLang's
docs/developer_guide/bench_serving.md, and llama.cpp's tools/llama-bench/README.md.
"""

from __future__ import annotations

import json
from typing import Any

from generator.render import templates
from generator.render.artifact import Artifact
from generator.render.launch import Launch
from generator.render.script import array, summary, takes_key
from generator.render.words import Ref, Word, bash, expected
from generator.verify.data import same_json
from generator.verify.shell import same_words

RESULT = "bench.json"

def bench(launch: Launch, header: str) -> Artifact:
    """The benchmark of one candidate, verified by parsing its words again."""
    workload, count = launch.plan.spec["workload"], launch.facts["bench"]
    concurrency = sequences(launch)
    requests = max(count["least_requests"], concurrency * count["rounds"])
    words = own_benchmark(launch, workload, concurrency, requests)
    args = array("args", words) if words else ""
    key = Ref(launch.api_key.name, launch.api_key.hint) if launch.deploy.get("api_key_from") and takes_key(launch) else None
    body = {"model": launch.request_name, "max_tokens": workload["output_tokens"], "temperature": 0, "ignore_eos": True}
    text = templates.render(
        "bench.sh.j2",
        header=header,
        what=summary(launch),
        title=str(launch.facts["title"]),
        engine=launch.engine.name,
        program=str(words[0]) if words else "curl",
        module="sglang" if launch.engine.name == "sglang" else "",
        args=args,
        appends=launch.engine.name == "sglang",
        prints=launch.engine.name == "llama.cpp",
        seal=launch.seal,
        sealed=[],
        key=bash(key) if key else "",
        base_url=bash(launch.base_url),
        head=_head(body),
        words=workload["input_tokens"],
        input_tokens=workload["input_tokens"],
        output_tokens=workload["output_tokens"],
        concurrency=concurrency,
        requests=requests,
        answer_s=launch.facts["smoke"]["answer_s"],
        result=RESULT,
    )
    if words:
        same_words(args, ["args=(", *map(expected, words), ")"], text)
    return Artifact(f"{launch.folder}/bench.sh", text, executable=True)


def sequences(launch: Launch) -> int:
    """Concurrent requests: the spec's, or for `max` the plan's number of sequences."""
    asked = launch.plan.spec["workload"]["concurrency"]
    return int(asked) if asked != "max" else launch.candidate.max_num_seqs * launch.candidate.replicas


def own_benchmark(launch: Launch, workload: Any, concurrency: int, requests: int) -> list[Word]:
    """The command line of the engine's own benchmark; empty if it has none for this load."""
    tokens_in, tokens_out = str(workload["input_tokens"]), str(workload["output_tokens"])
    weights = launch.weights
    model: Word = weights.host if weights.local else weights.name
    common = ["--random-input-len", tokens_in, "--random-output-len", tokens_out, "--max-concurrency", str(concurrency), "--num-prompts", str(requests)]
    remote = ["--trust-remote-code"] if launch.candidate.settings.get("trust_remote_code") else []
    if launch.engine.name == "vllm":
        start: list[Word] = ["vllm", "bench", "serve", "--base-url", launch.base_url, "--model", model, "--served-model-name", launch.request_name]
        return [*start, *remote, "--dataset-name", "random", *common, "--ignore-eos", "--save-result", "--result-filename", RESULT]
    if launch.engine.name == "sglang":
        start = ["python3", "-m", "sglang.bench_serving", "--backend", "sglang", "--base-url", launch.base_url, "--model", model]
        return [*start, "--dataset-name", "random-ids", "--random-range-ratio", "1", *common, "--output-file", RESULT]
    if launch.engine.name == "llama.cpp" and concurrency == 1:
        return kernels(launch, tokens_in, tokens_out)
    return []


def kernels(launch: Launch, tokens_in: str, tokens_out: str) -> list[Word]:
    """llama-bench without a server: prompt and answer of the spec's lengths, with the plan's batch size and cache."""
    settings, words = launch.candidate.settings, launch.words()
    where = next((i for i, word in enumerate(words) if word in ("-m", "--model", "-hf", "--hf-repo")), None)
    if where is None:
        return []
    flag = "-m" if words[where] in ("-m", "--model") else "-hf"
    found: list[Word] = ["llama-bench", flag, words[where + 1], "-p", tokens_in, "-n", tokens_out]
    if isinstance(settings.get("gpu_layers"), int):
        found += ["-ngl", str(settings["gpu_layers"])]
    if launch.candidate.kv_cache_dtype == "f32":
        return []  # llama-bench has no 32-bit cache
    found += ["-ub", str(launch.candidate.max_num_batched_tokens)]
    dtype = launch.candidate.kv_cache_dtype
    if dtype not in ("auto", "f16"):
        found += ["-ctk", dtype, "-ctv", dtype]
    return [*found, "-o", "json"]


def _head(body: dict[str, Any]) -> str:
    """The data of a request up to its prompt, as one shell word."""
    head = json.dumps(body)[:-1] + ', "prompt": "'
    same_json(head + '"}', {**body, "prompt": ""}, "the request of bench.sh")
    return bash(head)

