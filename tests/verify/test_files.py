"""Launch files that people write, read back: where each word stands, and what is wrong with it."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from generator.cli.main import main
from generator.rulebook.book import RuleBook, load
from generator.verify.files import Asked, Report, check_text


@functools.cache
def book() -> RuleBook:
    """The default rule set."""
    return load()


def report(name: str, text: str, engine: str | None = None, version: str | None = None) -> Report:
    """What is said of a file."""
    return check_text(name, text, book(), Asked(engine, version))


def said(name: str, text: str, engine: str | None = None, version: str | None = None) -> list[tuple[str, int, int]]:
    """Code, line and column of each finding."""
    return [(f.code, f.place.line, f.place.column) for f in report(name, text, engine, version).findings if f.place]


def test_a_command_line_with_continuations() -> None:
    text = "vllm serve org/model \\\n  --tensor-parallel-size 2 \\\n  --swap-space 4 --dtype bf16\n"
    assert said("run.sh", text) == [("removed-flag", 3, 3), ("wrong-choice", 3, 26)]


def test_variables_with_literals_are_known_and_others_are_not() -> None:
    text = '#!/bin/bash\nMODEL=org/model\nN=${TP:-two}\nvllm serve "$MODEL" --tensor-parallel-size $N --max-num-seqs "$SEQS" --max-model-len $(cat n)\n'
    assert said("run.sh", text) == [("wrong-type", 4, 44)]


def test_arrays_functions_quotes_comments_and_here_documents() -> None:
    text = (
        "#!/bin/bash\n# vllm serve x --no-such-flag\ncat <<'EOF'\nvllm serve x --no-such-flag\nEOF\n"
        "start() {\n  exec \"${args[@]}\" \"$@\"\n}\nargs=(\n  vllm\n  serve 'my model'  # --comment\n  --no-such-flag\n)\n"
        "args+=(--max-num-seqs 'x')\nexec \"${args[@]}\" \"$@\" >log 2>&1\n"
    )  # fmt: skip
    assert said("run.sh", text) == [("unknown-flag", 12, 3), ("wrong-type", 14, 23)]


@pytest.mark.parametrize(
    ("text", "checked"),
    [
        ("echo vllm serve x --bad\n", []),
        ("pip install vllm serve\n", []),
        ("command -v llama-server >/dev/null\n", []),
        ("nohup env HF_HOME=/x python3 -m sglang.launch_server --model-path m &\n", ["sglang 0.5.23"]),
        ("docker run --gpus all -e A=b -p 8000:8000 vllm/vllm-openai:v0.12.0 org/model --task generate\n", ["vllm 0.12.0"]),
        ("/opt/llama/bin/llama-server -m x.gguf -c 4096\n", ["llama.cpp b11312"]),
        ("trtllm-serve serve org/model --max_batch_size 8\n", ["tensorrt-llm 1.2.1"]),
        ("if true; then exec text-generation-launcher --model-id m; fi\n", ["tgi 3.3.7"]),
    ],
)
def test_servers_are_found_behind_what_starts_them(text: str, checked: list[str]) -> None:
    found = report("run.sh", text)
    assert (found.checked, [f for f in found.findings if f.severity == "error"]) == (checked, [])


def test_a_gone_flag_says_since_when_and_what_to_use() -> None:
    (finding,) = report("run.sh", "vllm serve m --task generate\n", "vllm", "0.13.0").findings
    assert finding.message == "--task was removed in vllm 0.13.0; use --runner or --convert"
    assert report("run.sh", "vllm serve m --task generate\n", "vllm", "0.12.0").findings == []


def test_a_flag_of_a_later_version_says_when_it_comes() -> None:
    (finding,) = report("run.sh", "vllm serve m --attention-backend FLASHINFER\n", "vllm", "0.12.0").findings
    assert (finding.code, "0.13.0" in finding.message) == ("future-flag", True)


def test_environment_that_is_gone_or_misspelt() -> None:
    old = "VLLM_ATTENTION_BACKEND=FLASHINFER vllm serve m\n"
    assert said("run.sh", old, "vllm", "0.14.1") == []
    assert [code for code, *_ in said("run.sh", old, "vllm", "0.33.0")] == ["removed-variable"]
    assert [code for code, *_ in said("run.sh", "export OLLAMA_NUM_PARALEL=4\nollama serve\n")] == ["unknown-variable"]


COMPOSE = """services:
  vllm:
    image: vllm/vllm-openai:v0.33.0
    command: ["org/model", "--max-num-seqs", "${SEQS:-x}", "--served-model-name", "a$$b"]
  other:
    image: nginx
    command: ["--no-such"]
  sg:
    image: my.registry/lmsysorg/sglang:v0.5.9-cu126
    command: >
      python3 -m sglang.launch_server --model-path m --kv-cache-dtype fp8
    environment: {HF_TOKEN: null}
"""


def test_a_variable_and_its_option_that_differ() -> None:
    """The option counts, in every engine that reads both."""
    flags = "text-generation-launcher --model-id m --max-total-tokens"
    assert [code for code, *_ in said("run.sh", f"MAX_TOTAL_TOKENS=2048 {flags} 8192\n", "tgi", "3.3.7")] == ["said-twice"]
    assert not said("run.sh", f"MAX_TOTAL_TOKENS=8192 {flags} 8192\n", "tgi", "3.3.7")
    assert not said("run.sh", f'MAX_TOTAL_TOKENS="$1" {flags} 8192\n', "tgi", "3.3.7")


def test_compose_with_defaults_a_text_command_and_other_services() -> None:
    found = report("compose.yaml", COMPOSE)
    assert found.checked == ["vllm 0.33.0", "sglang 0.5.9"]
    assert [(f.code, f.place.line) for f in found.findings if f.place] == [("wrong-type", 4), ("wrong-choice", 10)]


KUBERNETES = """apiVersion: v1
kind: Service
metadata: {name: x}
---
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      containers:
        - name: a
          image: vllm/vllm-openai:v0.33.0
          args:
            - org/model
            - --tensor-parallel-size=$(TP)
            - --max-num-seqs=x
          env: [{name: VLLM_ATTENTION_BACKEND, value: FLASHINFER}]
        - name: b
          image: ghcr.io/ggml-org/llama.cpp:server-cuda-b11312
          command: [/bin/sh, -c]
          args: ["/app/llama-server -m /m.gguf --no-mmap"]
"""


def test_kubernetes_with_several_documents_and_a_shell() -> None:
    found = report("k8s.yaml", KUBERNETES)
    assert found.checked == ["vllm 0.33.0", "llama.cpp b11312"]
    assert [(f.code, f.place.line) for f in found.findings if f.place] == [("wrong-type", 16), ("removed-variable", 17), ("removed-flag", 21)]


def test_yaml_of_an_engine_needs_its_name() -> None:
    text = "max-model-len: 4k\nmax-num-seq: 3\nenable-prefix-caching: false\nspeculative-config: {model: x}\nlora-modules: [a=b]\n"
    assert report("config.yaml", text).checked == []
    assert said("config.yaml", text, "vllm") == [("abbreviated-flag", 2, 1), ("yaml-false", 3, 24)]


def test_a_systemd_unit() -> None:
    text = "[Service]\nEnvironment=OLLAMA_NUM_PARALEL=2\nExecStart=/usr/bin/ollama serve\n"
    assert said("ollama.service", text)[0][:2] == ("unknown-variable", 2)


def test_bytes_that_are_no_text_and_yaml_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("a: [\n")
    (tmp_path / "b.sh").write_bytes(b"\xff\xfe")
    assert main(["verify", str(tmp_path / "a.yaml"), str(tmp_path / "b.sh"), str(tmp_path / "gone.sh"), "--engine", "vllm"]) == 1
    lines = capsys.readouterr().err
    assert all(word in lines for word in ("yaml-syntax", "not-utf8", "unreadable"))
    assert "Traceback" not in lines


@pytest.mark.parametrize("text", ["'", '"', "$(", "${a[@", "a=(", "<<E", "`", "\\", "vllm serve '", "x=( $(", "--", "$'\\n'", ")", "vllm serve -"])
def test_broken_shell_is_no_traceback(text: str) -> None:
    report("x.sh", f"#!/bin/bash\nvllm serve m {text}", "vllm")
    report("x.sh", f"#!/bin/bash\n{text}", "vllm")


def test_the_command_and_its_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.sh", tmp_path / "bad.sh"
    good.write_text("vllm serve m --max-num-seqs 8\n")
    bad.write_text("vllm serve m --max-num-seq 8 --swap-space 1\n")
    assert main(["verify", str(good)]) == 0
    assert main(["verify", str(bad), "--json"]) == 1
    assert '"line": 1' in capsys.readouterr().out
    assert main(["verify", str(bad), "--engine", "vlm"]) == 1
    assert "did you mean 'vllm'" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "nothing")]) == 1
    assert main(["verify", str(bad), "--engine", "sglang"]) == 1
    assert main(["verify"]) == 2


def test_a_folder_that_was_generated_is_clean_and_an_older_one_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "a.yaml"
    spec.write_text("model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\nworkload: {profile: agent}\n")
    assert main([str(spec), "-o", str(tmp_path / "out"), "--all-engines", "-q"]) == 0
    assert main(["verify", str(tmp_path / "out"), "--strict"]) == 0
    file = tmp_path / "out/a/vllm/config.yaml"
    file.write_text(file.read_text().replace("max-num-seqs", "max-num-sequences"))
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "out")]) == 1
    assert f"{file}:" in capsys.readouterr().out
