"""Every word we write is one that the engine's own parser knows; and the checker itself can say no."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from engine_flags import config_argv, config_problems, known, problems
from render_plans import SETTINGS, book, candidate, engines, plan

from generator.errors import GenDeployError
from generator.plan import Value
from generator.render.launch import Launch, launch_of
from generator.render.spelling import LAUNCH, check_dashes
from generator.verify.data import is_option

ARGV = [e for e in engines() if e != "ollama"]
SAMPLES: dict[str, list[Value]] = {
    "int": [1, 4096],
    "float": [0.5, 0.05],
    "string": ["word"],
    "path": ["/x"],
    "bool": [True, False],
}
SAMPLES |= {"switch": [True, False], "null": [True], "duration": ["5m"], "list": [("sql=/adapters/sql", "chat=my-org/chat")]}  # type: ignore[list-item]
BY_NAME: dict[str, list[Value]] = {
    "cuda_graphs": ["0"],
    "gpu_layers": ["all", "auto", 33, -1],
    "spec_draft_layers": ["all"],
    "max_lora_rank": [1, 256],
    "tool_call_parser": ["hermes"],
    "tokenizer_mode": ["deepseek_v32"],
    "attention_backend": ["FLASH_ATTN"],
    "speculative_config": ['{"method": "mtp", "num_speculative_tokens": 1}'],
    "config_overrides": ['{"max_position_embeddings": 131072}'],
    "speculative_algorithm": ["EAGLE3"],
    "spec_type": ["draft-mtp", "ngram-mod"],
    "rope_scaling": ["yarn"],
}


def launch(engine: str, settings: dict[str, Any], **deploy: Any) -> Launch:
    """A candidate with these settings alone."""
    one = candidate(engine, settings={**dict.fromkeys(SETTINGS[engine]), **settings})
    return launch_of(plan(one, deploy=deploy), one, book(), "../../..")


def words(one: Launch, inside: bool = False) -> list[str]:
    """Everything the engine's parser gets to read, its file included."""
    argv = [w for w in one.words(inside) if isinstance(w, str)] if inside else [str(w) for w in one.words()]
    if one.engine.name in ("vllm", "sglang"):
        argv += config_argv(one.spelled.config)
    return argv


def settings_of(engine: str) -> list[tuple[str, Value]]:
    """Each setting the engine can spell, with each kind of value."""
    found: list[tuple[str, Value]] = []
    for name, entries in book().section("engines")[engine]["flags"].items():
        entry = entries[-1]
        if name in LAUNCH or entry["type"] == "secret" or name in ("nodes", "node_rank", "head_address"):
            continue
        ours = [w for w in (entry.get("values") or {}) if w is not None]
        theirs = [c for c in entry.get("choices", ()) if c not in ours]
        sample = BY_NAME.get(name) if entry["type"] == "string" or name == "max_lora_rank" else None
        found += [(name, value) for value in (sample or ours + theirs or SAMPLES[entry["type"]])]
    return found


GRID = [(e, name, value) for e in engines() for name, value in settings_of(e)]


@pytest.mark.parametrize(("engine", "name", "value"), GRID, ids=[f"{e}-{n}-{v}" for e, n, v in GRID])
def test_every_setting_is_a_word_of_the_engine(engine: str, name: str, value: Value) -> None:
    one = launch(engine, {name: value})
    if engine == "ollama":
        assert not ollama_problems(one)
        return
    assert not problems(engine, words(one))
    assert not problems(engine, words(one, inside=True))
    if engine == "tensorrt-llm":
        assert not config_problems(one.spelled.config)


def ollama_problems(one: Launch) -> list[str]:
    env = {e["name"] for e in known("ollama")["env"]} | {"LLAMA_ARG_FIT_TARGET", "LLAMA_ARG_MMPROJ_OFFLOAD", "LLAMA_ARG_N_CPU_MOE"}
    parameters = {p["name"] for p in known("ollama")["parameters"]} | {"ADAPTER"}  # a command of the Modelfile
    return [n for n in one.spelled.env if n not in env] + [n for n in one.spelled.parameters if n not in parameters]


@pytest.mark.parametrize("engine", engines())
def test_the_whole_of_an_engine(engine: str) -> None:
    one = launch(engine, SETTINGS[engine], api_key_from="MY_KEY")
    if engine == "ollama":
        assert not ollama_problems(one)
        assert len(one.spelled.parameters) + len(one.spelled.env) == len(SETTINGS[engine])
    else:
        assert not problems(engine, words(one))


@pytest.mark.parametrize("engine", ARGV)
def test_the_checker_says_no(engine: str) -> None:
    argv = words(launch(engine, SETTINGS[engine]))
    dash = "-" if engine != "tensorrt-llm" else "_"
    assert problems(engine, [*argv, "--no" + dash + "such" + dash + "flag"])
    assert problems(engine, [*argv, "--port", "many"])
    assert problems(engine, [*argv, "--port"])
    assert problems(engine, [*argv, "one", "two"])


def test_the_checker_says_no_to_files() -> None:
    assert config_problems({"tool_parser": "x"})
    assert config_problems({"kv_cache_config": {"fraction": 0.5}})
    assert config_problems({"kv_cache_config": {"free_gpu_memory_fraction": "0.5"}})
    assert problems("sglang", config_argv({"kv-cache-dtype": "fp8"}))


@pytest.mark.parametrize("engine", engines())
def test_what_has_no_spelling_is_an_error(engine: str) -> None:
    with pytest.raises(GenDeployError, match="no-flag"):
        launch(engine, {"no_such_setting": 1})


@pytest.mark.parametrize(
    ("engine", "name", "value"),
    [
        ("vllm", "kv_cache_dtype", "q8_0"),
        ("vllm", "max_model_len", "8k"),
        ("sglang", "dtype", "int4"),
        ("vllm", "enforce_eager", "yes"),
    ],
)
def test_a_word_the_engine_does_not_know_is_an_error(engine: str, name: str, value: Value) -> None:
    with pytest.raises(GenDeployError, match=r"bad-word|unknown-value"):
        launch(engine, {name: value}).words()


@pytest.mark.parametrize(
    ("version", "name", "value", "where", "word"),
    [
        ("0.12.0", "attention_backend", "FLASH_ATTN", "env", {"VLLM_ATTENTION_BACKEND": "FLASH_ATTN"}),
        ("0.15.1", "attention_backend", "FLASH_ATTN", "config", {"attention-backend": "FLASH_ATTN"}),
        ("0.19.1", "quantization", "fp8", "config", {"quantization": "fp8"}),
        ("0.23.0", "quantization", "fp8", "config", {"quantization": "fp8_per_tensor"}),
        ("0.33.0", "quantization", "nvfp4", "config", {"quantization": "nvfp4_per_token"}),
    ],
)
def test_spelling_follows_the_version(version: str, name: str, value: str, where: str, word: dict[str, str]) -> None:
    one = candidate("vllm", engine_version=version, settings={**dict.fromkeys(SETTINGS["vllm"]), name: value})
    spelled = launch_of(plan(one), one, book(), ".").spelled
    found = getattr(spelled, where)
    assert {k: v for k, v in found.items() if k != "served-model-name"} == word


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_several_nodes(engine: str) -> None:
    one = candidate(
        engine, tensor_parallel=8, pipeline_parallel=2, settings={"tensor_parallel": 8, "pipeline_parallel": 2}
    )
    many = launch_of(plan(one, hardware={"gpus_per_node": 8, "nodes": 2}), one, book(), ".")
    assert many.nodes == 2
    assert many.spelled.config["nnodes"] == 2
    extra = {
        "vllm": ["--node-rank", "1", "--master-addr", "h", "--headless"],
        "sglang": ["--node-rank", "1", "--dist-init-addr", "h:1"],
    }
    assert not problems(engine, [*words(many), *extra[engine]])


@pytest.mark.parametrize("engine", ["tgi", "llama.cpp", "ollama"])  # TensorRT-LLM spans machines by MPI, under Slurm
def test_no_words_for_several_nodes(engine: str) -> None:
    one = candidate(engine, tensor_parallel=16)
    with pytest.raises(GenDeployError, match="no-flag"):
        launch_of(plan(one, hardware={"gpus_per_node": 8, "nodes": 2}), one, book(), ".")


EXTRA = [
    ("vllm", {"enable-lora": True}, ["--enable-lora"]),
    ("vllm", {"enable-prefix-caching": False}, ["--no-enable-prefix-caching"]),
    ("vllm", {"max-num-seqs": 7}, ["--max-num-seqs", "7"]),
    ("llama.cpp", {"parallel": 7}, ["--parallel", "7"]),
    ("llama.cpp", {"jinja": False}, ["--no-jinja"]),
    ("tgi", {"max-batch-size": 7}, ["--max-batch-size", "7"]),
    ("sglang", {"log-level": "debug"}, ["--log-level", "debug"]),
    ("tensorrt-llm", {"log_level": "debug"}, ["--log_level", "debug"]),
]


@pytest.mark.parametrize(("engine", "extra", "meant"), EXTRA)
def test_extra_args_replace_ours(engine: str, extra: dict[str, Any], meant: list[str]) -> None:
    argv = words(launch(engine, SETTINGS[engine], extra_args={engine: extra}))
    assert argv.count(meant[0]) == 1
    at = argv.index(meant[0])
    assert argv[at : at + len(meant)] == meant


@pytest.mark.parametrize(
    ("engine", "extra", "code"),
    [
        ("sglang", {"log-level": "--x"}, "bad-text"),
        ("tgi", {"dtype": "-x"}, "bad-text"),
    ],
)
def test_extra_args_that_are_refused(engine: str, extra: dict[str, Any], code: str) -> None:
    with pytest.raises(GenDeployError, match=code):
        launch(engine, SETTINGS[engine], extra_args={engine: extra}).words()


@pytest.mark.parametrize(
    ("word", "option"),
    [("a", False), ("", False), ("-", False), ("-1", False), ("-0.5", False), ("-.5", False), ("a-b", False),
     ("-x", True), ("-.x", True), ("-.", True), ("--", True), ("--1", True), ("-é", True), ("-²", True), ("-\n", True)],
)  # fmt: skip
def test_one_definition_of_an_option(word: str, option: bool) -> None:
    """The last guard of a command line, the checker and a real parser agree on the words that are options."""
    assert is_option(word) is option
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--name")
    engine = launch("vllm", {}).engine
    if option:
        with pytest.raises(argparse.ArgumentError):
            parser.parse_args(["--name", word])
        with pytest.raises(GenDeployError, match="as an option"):
            check_dashes(engine, [word])
    else:
        assert parser.parse_args(["--name", word]).name == word
        check_dashes(engine, [word])
