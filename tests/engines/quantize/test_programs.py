"""The programs of `gen-deploy quantize` without the tools: what they refuse and how, and how they judge what was made. Quick."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

PROGRAMS = Path(__file__).parents[3] / "templates" / "quantize"
JOB: dict[str, Any] = {
    "tool": "llm-compressor",
    "tool_version": "0.0.0",
    "model": {"id": "nowhere", "revision": None, "trust_remote_code": False},
    "dtype": "bfloat16",
    "method": "fp8",
    "scheme": "FP8_DYNAMIC",
    "ignore": ["lm_head", "re:.*[.]gate$"],
    "output": "weights",
    "calibration": None,
    "pipeline": "data-free",
    "expect": {"bytes": 100, "tolerance": 0.01, "quantization": {"quant_method": "compressed-tensors"}},
}


@pytest.fixture
def weights_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that the three programs share."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the folder of templates is packaged as it is
    monkeypatch.syspath_prepend(str(PROGRAMS))
    before = {name: sys.modules.pop(name, None) for name in ("proof", "weights_job")}  # another `proof` stands in tests/engines
    yield importlib.import_module("weights_job")
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def ran(folder: Path, program: str, job: dict[str, Any] | str | None, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program beside its job.yaml, as in the output of `gen-deploy quantize`."""
    for name in ("weights_job.py", "training_job.py", "proof.py", "held_back.txt"):
        shutil.copy(PROGRAMS / name, folder / name)
    shutil.copy(PROGRAMS / program, folder / "job.py")
    if job is not None:
        (folder / "job.yaml").write_text(job if isinstance(job, str) else yaml.safe_dump(job))
    return subprocess.run([sys.executable, folder / "job.py", *words], cwd="/", text=True, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("program", "tool", "package"),
    [
        ("llm_compressor.py", "llm-compressor", "llmcompressor"),
        ("gptqmodel.py", "gptqmodel", "gptqmodel"),
        ("modelopt.py", "modelopt", "nvidia-modelopt"),
    ],
)
def test_a_missing_tool_is_said_and_nothing_is_written(tmp_path: Path, program: str, tool: str, package: str) -> None:
    done = ran(tmp_path, program, {**JOB, "tool": tool})
    assert done.returncode == 2
    assert done.stderr == f"error: {package} is not installed: pip install -r requirements.txt\n"
    assert not (tmp_path / "weights.partial").exists()


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (None, "no such file"),
        ("[1", "cannot be read"),
        ({**JOB, "tool": "gptqmodel"}, "tool: 'gptqmodel' is none of llm-compressor"),
        ({**JOB, "tool_version": 7}, "tool_version: str expected, found 7"),
    ],
    ids=["none", "not-yaml", "of-another-tool", "of-another-type"],
)
def test_a_wrong_job_is_an_error_in_one_line(tmp_path: Path, job: Any, said: str) -> None:
    done = ran(tmp_path, "llm_compressor.py", job)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "pattern", "wide"),
    [
        ("lm_head", "lm_head", True),
        ("model.layers.0.mlp.gate", "re:.*[.]gate$", True),
        ("model.layers.0.mlp.gate_proj", "re:.*[.]gate$", False),
        ("model.layers.0.mlp.up_proj", "-:.*layers[.](0|1)[.].*", True),
        ("model.layers.10.mlp.up_proj", "-:.*layers[.](0|1)[.].*", False),
        ("model.layers.0.mlp.gate", "*mlp.gate.*", True),
        ("model.layers.0.mlp.gate_proj", "*mlp.gate.*", False),
    ],
)
def test_patterns_name_modules_as_the_tools_do(weights_job: ModuleType, name: str, pattern: str, wide: bool) -> None:
    assert weights_job.stays_wide(name, [pattern]) is wide


def made(folder: Path, tensors: dict[str, tuple[str, list[int], int]], quantization: dict[str, Any]) -> Path:
    """A checkpoint of zeros."""
    folder.mkdir(parents=True)
    header, end = {}, 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    (folder / "config.json").write_text(json.dumps({"quantization_config": quantization}))
    return folder


SMALL = {
    "lm_head.weight": ("BF16", [4, 4], 32),
    "model.layers.0.mlp.up_proj.weight": ("F8_E4M3", [8, 8], 64),
    "model.layers.0.mlp.up_proj.weight_scale": ("BF16", [2, 1], 4),
}
GOOD = {"quant_method": "compressed-tensors", "ignore": ["lm_head"]}


class Compared:
    """A comparison with the source, as `weights_job.Proof` gives it to `finish`."""

    def __init__(self, *lost: str) -> None:
        self.lost, self.figures = list(lost), None

    def verdict(self) -> list[str]:
        return self.lost


def source_of(folder: Path, *more: str) -> Path:
    """A source of zeros, with two layers and these tensors besides."""
    made(folder, {name: ("BF16", [4, 4], 32) for name in ("lm_head.weight", "model.layers.0.mlp.up_proj.weight", *more)}, {})
    (folder / "config.json").write_text('{"num_hidden_layers": 2}')
    return folder


@pytest.mark.parametrize(
    ("tensors", "quantization", "code", "said"),
    [
        (SMALL, GOOD, 0, "ok "),
        ({**SMALL, "more.weight": ("BF16", [1, 1], 2)}, GOOD, 3, "NOT bytes of all tensors"),
        (SMALL, {**GOOD, "quant_method": "gptq"}, 3, "NOT quant_method"),
        (SMALL, {**GOOD, "ignore": ["lm_head", "model.layers.0.mlp.down_proj"]}, 3, "NOT left wide though not named"),
        ({**SMALL, "lm_head.weight_scale": ("BF16", [0, 1], 0)}, GOOD, 3, "NOT quantised though named to stay wide"),
        (
            {**SMALL, "language_model.lm_head.weight": ("F8_E4M3", [0, 4], 0), "language_model.lm_head.weight_scale": ("BF16", [0, 1], 0)},
            GOOD,
            3,
            "NOT quantised though they are heads, routers or towers",
        ),
    ],
    ids=["as-expected", "too-large", "another-layout", "left-wide", "not-left-wide", "head-by-another-name"],
)
def test_what_was_made_is_compared(
    weights_job: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], tensors: Any, quantization: Any, code: int, said: str
) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(JOB))
    job = weights_job.common.Job(tmp_path / "job.yaml", force=False)
    weights = made(job.begin() / "weights", tensors, quantization)
    assert weights_job.finish(job, weights, 0.0, Compared(), source_of(tmp_path / "source")) == code
    assert said in capsys.readouterr().out
    assert json.loads((tmp_path / "weights/job-report.json").read_text())["as_expected"] is (code == 0)


def test_an_output_that_is_there_is_kept_but_with_force(weights_job: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(JOB))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/mine").write_text("kept")
    with pytest.raises(weights_job.Stop, match="not empty; --force"):
        weights_job.common.Job(tmp_path / "job.yaml", force=False).begin()
    job = weights_job.common.Job(tmp_path / "job.yaml", force=True)
    weights_job.finish(job, made(job.begin() / "weights", SMALL, GOOD), 0.0, Compared(), source_of(tmp_path / "source"))
    assert not (tmp_path / "weights/mine").exists()


def test_a_result_that_lost_too_much_is_kept_apart(weights_job: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(JOB))
    job = weights_job.common.Job(tmp_path / "job.yaml", force=False)
    lost = Compared("kl_share is 0.4, at most 0.02 is expected of this method")
    assert weights_job.finish(job, made(job.begin() / "weights", SMALL, GOOD), 0.0, lost, source_of(tmp_path / "source")) == 4
    assert "kl_share is 0.4" in capsys.readouterr().err
    assert not (tmp_path / "weights").exists()
    assert json.loads((tmp_path / "weights.rejected/job-report.json").read_text())["beyond_bounds"] == lost.lost


def test_dropped_layers_of_multi_token_prediction_are_said(
    weights_job: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(JOB))
    job = weights_job.common.Job(tmp_path / "job.yaml", force=False)
    source = source_of(tmp_path / "source", "mtp.fc.weight", "model.layers.2.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight")
    weights_job.finish(job, made(job.begin() / "weights", SMALL, GOOD), 0.0, Compared(), source)
    assert "2 tensors of multi-token prediction are not in the result" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("figures", "beyond"),
    [
        ({"kl_share": 0.01, "perplexity_growth_percent": 9.0, "perplexity_growth_error": 4.0}, 0),
        ({"kl_share": 0.03, "perplexity_growth_percent": 0.0, "perplexity_growth_error": 4.0}, 1),
        ({"kl_share": 0.03, "perplexity_growth_percent": 9.0, "perplexity_growth_error": 1.0}, 2),
    ],
    ids=["within", "divergence", "both"],
)
def test_figures_are_judged_by_the_bounds_of_the_method(weights_job: ModuleType, figures: dict[str, float], beyond: int) -> None:
    assert len(weights_job.proof.judged(figures, {"kl_share": 0.02, "perplexity_growth_percent": 3})) == beyond


def test_a_second_run_is_refused_and_the_first_keeps_its_files(weights_job: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(JOB))
    first = weights_job.common.Job(tmp_path / "job.yaml", force=False)
    first.lock()
    partial = first.begin()
    done = ran(tmp_path, "llm_compressor.py", JOB, "--force")
    assert done.returncode == 1
    assert "another run is at work" in done.stderr
    assert partial.is_dir()
    first.held.close()


class Words:
    """A tokenizer of words, with a chat template or without."""

    chat_template = "yes"

    def __call__(self, text: str, truncation: bool = False, max_length: int = 0, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [len(word) for word in text.split()][: max_length or None]}

    def apply_chat_template(self, talk: list[dict[str, str]], tools: object = None, tokenize: bool = True) -> str:
        return " ".join(f"<{message['role']}> {message['content']}" for message in talk)


@pytest.mark.parametrize(
    ("lines", "more", "said"),
    [
        (['{"text": "one two three"}'] * 4, {}, "the texts have 12 tokens, the job asks for 400"),
        (['{"text": "one two"}'], {"column": "body"}, "the data has no column 'body'; it has text"),
        (['{"body": "one two"}'], {}, "neither text nor messages, but body: `column` names the one to read"),
        (['{"messages": [{"role": "user"}]}'], {}, "a message of the data has no role, or no text"),
    ],
    ids=["too-few-tokens", "no-such-column", "no-text", "message-without-text"],
)
def test_texts_that_calibrate_nothing_are_refused(
    weights_job: ModuleType, tmp_path: Path, lines: list[str], more: dict[str, str], said: str
) -> None:
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    given = {"file": "texts.jsonl", "samples": 4, "tokens": 100, **more}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({**JOB, "calibration": given}))
    with pytest.raises(weights_job.Stop, match=re.escape(said)):
        weights_job.texts(weights_job.common.Job(tmp_path / "job.yaml", force=False), Words())


def test_rows_are_held_back_from_calibration(weights_job: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(
        "\n".join(json.dumps({"conversations": [{"from": "human", "value": f"{i} a b"}]}) for i in range(12))
    )
    given = {"file": "texts.jsonl", "samples": 4, "tokens": 4, "column": "conversations"}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({**JOB, "calibration": given}))
    used, held = weights_job.texts(weights_job.common.Job(tmp_path / "job.yaml", force=False), Words())
    assert (len(used), len(held)) == (4, 8)
    assert all(text.startswith("<user> ") for text in held)
