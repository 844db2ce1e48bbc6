"""The emitted corpus before the engines' own parsers. What is not set up is skipped; `.ci/engines` sets all of it up.

vLLM and SGLang run in environments of their own (setup.sh beside their checkers), llama.cpp is the real binary with
`--version` behind the words: it reads all of them and stops.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from corpus import cases
from proof import record

HERE = Path(__file__).parent
CONTROLS: list[dict[str, Any]] = yaml.safe_load((HERE / "controls.yaml").read_text())["controls"]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gen-deploy"
WHOLE = os.environ.get("GEN_DEPLOY_CORPUS") == "all"
VERSIONS = {"vllm": os.environ.get("VLLM_VERSION", "0.33.0"), "sglang": os.environ.get("SGLANG_VERSION", "0.5.23")}
"""The releases that setup.sh sets up; another one is asked by its variable, as .github/workflows/engines.yml does."""
UNJUDGED = ("failed to be inspected", "Unknown quantization method: mxfp4", "Unknown quantization method: gptq.")
"""What only says that there is no GPU here: a model's own code that could not be loaded, a method SGLang registers on GPUs only."""

pytestmark = [pytest.mark.engines, pytest.mark.slow]


@cache
def lines(engine: str, version: str) -> list[dict[str, Any]]:
    """The cases of one version, as the checkers read them."""
    return [case.as_json() for case in cases(engine, every=1 if WHOLE else 30) if case.version == version]


def python_of(name: str) -> Path:
    """The interpreter of an engine's environment; without it the test is skipped."""
    folder = CACHE / "engines" / name
    if os.environ.get("GEN_DEPLOY_ENGINES") != "1":
        pytest.skip("takes minutes: GEN_DEPLOY_ENGINES=1 asks the engines, .ci/engines all of them")
    if not (folder / ".ready").is_file():
        pytest.skip(f"{name} is not set up: run tests/engines/{name.split('-')[0]}/setup.sh")
    return folder / "bin" / "python"


def asked(python: Path, checker: str, given: list[dict[str, Any]], *words: str) -> list[dict[str, Any]]:
    """The answers of a checker."""
    done = subprocess.run(
        [python, HERE / checker, *words], input="".join(json.dumps(line) + "\n" for line in given), text=True, capture_output=True, check=False
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(answers) == len(given), done.stderr[-2000:]
    return answers


def refused(answers: list[dict[str, Any]], what: str) -> list[str]:
    """Every refusal; what could not be judged is counted and recorded."""
    unjudged = [a for a in answers if a["verdict"] == "reject" and any(word in (a["error"] or "") for word in UNJUDGED)]
    bad = [f"{a['id']}: {a['stage']}: {a['error']}" for a in answers if a["verdict"] != "accept" and a not in unjudged]
    record(what, len(answers), len(answers) - len(bad) - len(unjudged), len(unjudged))
    assert len(unjudged) <= len(answers) // 5
    return bad


def judged(case: dict[str, Any]) -> bool:
    """Whether a case can be asked beyond its words: a known shape, and for vLLM a GPU of NVIDIA."""
    return bool(case["model"]["config"]) and case["gpu"]["vendor"] == "nvidia"


@pytest.mark.parametrize(("engine", "version"), [*VERSIONS.items()])
def test_the_parser_takes_every_plan(engine: str, version: str) -> None:
    answers = asked(python_of(f"{engine}-{version}"), f"{engine}/check_{engine}.py", lines(engine, version))
    assert refused(answers, f"{engine} {version}: its own parser") == []
    assert [a for a in answers if a["warnings"]] == []


def test_vllm_makes_its_configuration_of_every_plan() -> None:
    given = [case for case in lines("vllm", VERSIONS["vllm"]) if judged(case)][:: 6 if WHOLE else 12]
    answers = asked(python_of(f"vllm-{VERSIONS['vllm']}"), "vllm/check_vllm.py", given, "--engine-config")
    assert refused(answers, f"vllm {VERSIONS['vllm']}: EngineArgs.create_engine_config(), a pretended GPU") == []
    assert [a for a in answers if a["warnings"]] == []


def test_sglang_resolves_every_plan() -> None:
    given = [case for case in lines("sglang", VERSIONS["sglang"]) if judged(case)][:: 2 if WHOLE else 6]
    answers = asked(python_of(f"sglang-{VERSIONS['sglang']}"), "sglang/check_sglang.py", given, "--resolve")
    assert refused(answers, f"sglang {VERSIONS['sglang']}: ServerArgs.resolve_once(), on the CPU") == []


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_the_parser_refuses_the_controls(engine: str) -> None:
    version = VERSIONS[engine]
    found = [c for c in CONTROLS if c["engine"] == engine and c["asks"] in ("parser", "nobody")]
    answers = asked(python_of(f"{engine}-{version}"), f"{engine}/check_{engine}.py", [_line(c) for c in found])
    record(f"{engine} {version}: its own parser, negative controls", len(answers), 0)
    assert [a["id"] for a in answers if a["verdict"] == "accept"] == []
    own = {a["id"]: a["stage"] for a in answers}
    assert Counter(c["asks"] for c in found if own[c["id"]] == "strict")["nobody"] >= 2


def test_vllm_refuses_the_controls_of_its_configuration() -> None:
    model = {"config": _tiny(), "layouts": {}, "group_sizes": {}}
    found = [
        {**_line(c), "gpu": {"compute_capability": 9.0, "gib": 79.2, "gpus_per_node": 1, "vendor": "nvidia"}, "model": model, "origin": "native"}
        for c in CONTROLS
        if c["engine"] == "vllm" and c["asks"] == "engine-config"
    ]
    sound = {**found[0], "id": "sound", "words": ["MODEL", "--max-model-len", "2048"]}
    *answers, good = asked(python_of(f"vllm-{VERSIONS['vllm']}"), "vllm/check_vllm.py", [*found, sound], "--engine-config")
    assert good["verdict"] == "accept", good
    assert [a["id"] for a in answers if (a["verdict"], a["stage"]) != ("reject", "engine-config")] == []


def _line(control: dict[str, Any]) -> dict[str, Any]:
    words = [{"CONFIG": "config.yaml"}.get(word, word) for word in control["words"]]
    return {"id": control["id"], "words": words, "config": control.get("config"), "checkpoint": "MODEL", "model": {}}


def _tiny() -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512, "max_position_embeddings": 2048, "torch_dtype": "bfloat16",
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False,
    }  # fmt: skip


def llama_server() -> Path:
    """The real llama-server; without it the test is skipped."""
    named = os.environ.get("LLAMA_CPP_BIN")
    found = [Path(named)] if named else sorted((CACHE / "llama.cpp").glob("*/bin"))
    programs = [folder / "llama-server" for folder in found if (folder / "llama-server").is_file()]
    if not programs:
        pytest.skip("llama.cpp is not built: run tests/engines/llama_cpp/build.sh")
    return programs[-1]


def parses(program: Path, words: list[str], home: Path) -> str | None:
    """What llama-server says against these words; None where it takes them. Cards that are not here only warn."""
    environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run([program, *words, "--version"], capture_output=True, text=True, env=environment, check=False, timeout=60)
    return None if done.returncode == 0 else done.stderr.strip()[-300:]


def test_llama_server_takes_every_plan(tmp_path: Path) -> None:
    program, given = llama_server(), lines("llama.cpp", "b11312")
    said = {case["id"]: parses(program, case["words"], tmp_path) for case in given}
    record("llama.cpp b11312: llama-server, its words and --version", len(said), sum(problem is None for problem in said.values()))
    assert {name: problem for name, problem in said.items() if problem} == {}


@pytest.mark.parametrize("control", [c for c in CONTROLS if c["engine"] == "llama.cpp" and c["asks"] == "parser"], ids=lambda c: str(c["id"]))
def test_llama_server_refuses_the_controls(control: dict[str, Any], tmp_path: Path) -> None:
    assert parses(llama_server(), control["words"], tmp_path) is not None
