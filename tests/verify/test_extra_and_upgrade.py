"""`extra_args` before the catalogue, and what another version changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator.cli.main import main

BASE = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\n"


def spec(folder: Path, text: str) -> str:
    """A spec of that text."""
    path = folder / "a.yaml"
    path.write_text(BASE + text)
    return str(path)


@pytest.mark.parametrize(
    ("engine", "extra", "code"),
    [
        ("vllm", "{enable-lora: true, max-loras: 4}", None),
        ("vllm", "{enable-loras: true}", "unknown-flag"),
        ("vllm", "{swap-space: 4}", "removed-flag"),
        ("vllm", "{max-loras: many}", "wrong-type"),
        ("vllm", "{kv-transfer-config: '{\"kv_connector\": \"x\"}'}", None),
        ("sglang", "{enable_metrics: true}", "misspelt-flag"),
        ("sglang", "{attention-backend: fa5}", "wrong-choice"),
        ("tensorrt-llm", "{kv_cache_config.enable_block_reuse: true}", None),
        ("tensorrt-llm", "{max_beamwidth: 4}", "unknown-flag"),
        ("llama.cpp", "{no-mmap: true}", "removed-flag"),
        ("llama.cpp", "{override-kv: [a=int:1]}", None),
        ("ollama", "{OLLAMA_KEEP_ALIVEE: 5m}", "unknown-variable"),
        ("ollama", "{num_ctxx: 5}", "unknown-parameter"),
        ("ollama", "{stop: [a, b]}", None),
    ],
)
def test_extra_args_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str, extra: str, code: str | None) -> None:
    path = spec(tmp_path, f"pin: {{engine: {engine}}}\ndeploy: {{extra_args: {{{engine}: {extra}}}}}\n")
    assert main([path, "-o", str(tmp_path / "out"), "-q"]) == (0 if code is None else 1), capsys.readouterr().err
    if code is not None:
        assert "a.yaml:4:" in (error := capsys.readouterr().err) and f"error[{code}]" in error
        assert not (tmp_path / "out").exists()


def test_unknown_extra_args_pass_when_asked_and_wrong_ones_never(tmp_path: Path) -> None:
    start = "pin: {engine: vllm}\ndeploy: {allow_unknown: true, extra_args: {vllm: "
    assert main([spec(tmp_path, start + "{my-new-flag: 4}}}\n"), "-o", str(tmp_path / "out"), "-q"]) == 0
    assert "my-new-flag: 4" in (tmp_path / "out/a/vllm/config.yaml").read_text()
    assert main([spec(tmp_path, start + "{swap-space: 4}}}\n"), "-o", str(tmp_path / "out2"), "-q"]) == 1


def test_an_upgrade_that_breaks_a_word_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(tmp_path, 'pin: {engine: vllm, engine_version: "0.10.0"}\ndeploy: {extra_args: {vllm: {swap-space: 4}}}\n')
    assert main(["upgrade-check", path, "--engine-version", "0.33.0", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert [one["code"] for one in found["breaks"]] == ["removed-flag"]
    assert (found["from"], found["to"]) == ("0.10.0", "0.33.0")
    assert main(["upgrade-check", path, "--engine-version", "0.33.0"]) == 3
    assert "breaks[removed-flag]" in capsys.readouterr().out


def test_an_upgrade_to_the_same_version_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(tmp_path, 'pin: {engine: vllm, engine_version: "0.33.0"}\n')
    assert main(["upgrade-check", path, "--engine-version", "0.33.0"]) == 0
    assert "nothing changes" in capsys.readouterr().out


def test_an_upgrade_changes_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(tmp_path, 'pin: {engine: sglang, engine_version: "0.5.9", enforce_eager: true}\n')
    assert main(["upgrade-check", path, "--engine-version", "0.5.23", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    words = {change["word"]: (change["old"], change["new"]) for change in found["changes"]}
    assert words["disable-cuda-graph:"] == ("true", None)
    assert words["disable-decode-cuda-graph:"] == (None, "true")
    assert [(one["code"], one["severity"]) for one in found["breaks"]] == [("not-in-file", "error")]


def test_an_upgrade_to_an_unknown_version_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade-check", spec(tmp_path, ""), "--engine-version", "0.99.0"]) == 1
    assert "0.33.0" in capsys.readouterr().err
