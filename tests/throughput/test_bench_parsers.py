"""The words of `bench.sh` before the benchmarks' own parsers: options that exist there, with values that they take."""

from __future__ import annotations

import json
import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from generator.cli.main import main

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gen-deploy"
OPTIONS = json.loads((HERE.parent / "data" / "throughput" / "bench_options.json").read_text(encoding="utf-8"))
SPECS = {
    "served": (
        "model: meta-llama/Llama-3.1-8B-Instruct\nhardware: {gpu: RTX4090-24GB}\n"
        "workload: {concurrency: 4, input_tokens: 50, output_tokens: 20, max_context: 4096}\ndeploy: {api_key_from: MY_KEY, served_name: eight}\n"
    ),
    "code-of-its-own": "model: Qwen/Qwen-7B-Chat\nhardware: {gpu: A100-80GB}\nworkload: {concurrency: max}\ndeploy: {trust_remote_code: true}\n",
    "one": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: RTX4090-24GB}\nworkload: {profile: dev}\npin: {engine: llama.cpp, kv_cache_dtype: q8_0}\n",
    "cpu": "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: cpu, memory_gib: 32}\nworkload: {profile: dev}\npin: {engine: llama.cpp}\n",
}
PROGRAMS = {"vllm": "vllm", "sglang": "python3", "llama.cpp": "llama-bench"}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """What each engine's benchmark is called with, by engine: the scripts run with stand-ins that write their words down."""
    here = tmp_path_factory.mktemp("parsers")
    programs = here / "bin"
    programs.mkdir()
    for name in PROGRAMS.values():
        (programs / name).write_text(f"#!/bin/sh\nprintf '%s\\0' \"$@\" > {here}/words\necho '[]'\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    found: dict[str, list[list[str]]] = {engine: [] for engine in PROGRAMS}
    for name, text in SPECS.items():
        (here / f"{name}.yaml").write_text(text, encoding="utf-8")
        assert main([str(here / f"{name}.yaml"), "-o", str(here / "out"), "--all-engines", "-q"]) == 0
        for script in sorted((here / "out").glob(f"{name}/*/bench.sh")):
            if script.parent.name not in PROGRAMS or PROGRAMS[script.parent.name] not in script.read_text(encoding="utf-8"):
                continue
            env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "MY_KEY": "x"}
            subprocess.run([str(script)], cwd=here, env=env, check=True, capture_output=True, timeout=60)
            found[script.parent.name].append((here / "words").read_text(encoding="utf-8").split("\0")[:-1])
    return found


@pytest.mark.parametrize("engine", sorted(PROGRAMS))
def test_every_option_exists(engine: str, words: dict[str, list[list[str]]]) -> None:
    known = OPTIONS[engine]["options"]
    assert words[engine]
    for line in words[engine]:
        options = [word for word in line if (re.match(r"--?[a-z]", word) and word != "-m") or (word == "-m" and engine == "llama.cpp")]
        assert len(options) >= 4
        assert [word for word in options if word not in known] == []


def test_values_that_llama_bench_takes(words: dict[str, list[list[str]]]) -> None:
    for line in words["llama.cpp"]:
        flags = dict(pairwise(line))
        assert flags["-o"] in OPTIONS["llama.cpp"]["output"]
        assert flags.get("-ctk", "f16") in OPTIONS["llama.cpp"]["cache_types"]
    assert any("-ctk" in line for line in words["llama.cpp"])


ASK = {
    "vllm": """
import argparse, json, sys
from vllm.benchmarks.serve import add_cli_args
parser = argparse.ArgumentParser(allow_abbrev=False)
add_cli_args(parser)
for line in json.load(sys.stdin):
    parser.parse_args(line[2:])
print("accepted")
""",
    "sglang": """
import importlib, json, sys
from unittest.mock import MagicMock
for _ in range(20):  # what its data sets import besides is no matter here
    try:
        serving = importlib.import_module("sglang.benchmark.serving")
        break
    except ModuleNotFoundError as missing:
        sys.modules[missing.name] = MagicMock()
taken = []
serving.run_benchmark = taken.append
for line in json.load(sys.stdin):
    sys.argv = ["bench_serving", *line[2:]]
    serving.cli_main()
assert taken
print("accepted")
""",
}


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize(("engine", "version"), [("vllm", "0.33.0"), ("sglang", "0.5.23")])
def test_the_parser_of_the_benchmark_takes_the_words(engine: str, version: str, words: dict[str, list[list[str]]]) -> None:
    folder = CACHE / "engines" / f"{engine}-{version}"
    if os.environ.get("GEN_DEPLOY_ENGINES") != "1" or not (folder / ".ready").is_file():
        pytest.skip(f"GEN_DEPLOY_ENGINES=1 asks {engine} itself, where tests/engines/{engine}/setup.sh has set it up")
    done = subprocess.run(
        [folder / "bin" / "python", "-c", ASK[engine]], input=json.dumps(words[engine]), text=True, capture_output=True, check=False, timeout=300
    )  # fmt: skip
    assert done.stdout.strip().endswith("accepted"), done.stderr[-2000:]
