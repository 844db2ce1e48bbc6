"""Speed in plans: figures with bands, objectives, curves, costs, alternatives, and what there is no estimate for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))
from plans import plan

from generator.cli.main import main
from generator.decide.performance import Speeds
from generator.render.plan_json import as_json

SEVEN = {"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "A100-80GB"}, "workload": {"concurrency": 16, "input_tokens": 1000, "output_tokens": 300}}
FIGURES = ("output_tokens_per_second", "ttft_ms", "tpot_ms")


def performance(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = as_json(plan(spec).plan)["performance"]
    return found


def write(folder: Path, text: str, name: str = "spec.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan_never_prints_a_figure_without_its_band_and_basis() -> None:
    data = as_json(plan(SEVEN).plan)
    for one in (data, *data["alternatives"]):
        found = one["performance"]
        assert found["basis"]
        for name in FIGURES:
            low, high = found["error_band"][name]
            assert low <= found[name] <= high
        for name in ("per_gpu", "per_user", "gpu_hours_per_million_tokens"):
            low, high = found["error_band"][name]
            assert low < found[name] < high
        assert found["unknown"] is None


def test_figures_of_one_plan_agree() -> None:
    found = performance(SEVEN)
    assert found["per_gpu"] == found["output_tokens_per_second"]
    assert found["per_user"] == pytest.approx(1000 / found["tpot_ms"], rel=0.01)
    assert found["gpu_hours_per_million_tokens"] == pytest.approx(1e6 / 3600 / found["output_tokens_per_second"], rel=0.01)
    assert found["limited_by"] in ("bandwidth", "compute", "communication", "host", "kv-capacity")
    assert found["concurrency"] == 16


@pytest.mark.parametrize(
    ("hardware", "reason"),
    [
        ({"gpu": {"name": "mine", "memory_gib": 80, "compute_capability": "9.0", "fp16_tflops": 900}}, "bandwidth"),
        ({"gpu": {"name": "mine", "memory_gib": 80, "compute_capability": "9.0", "bandwidth_gb_per_s": 3000}}, "TFLOPS"),
    ],
)
def test_where_the_hardware_is_not_known_every_figure_is_null_and_says_why(hardware: dict[str, Any], reason: str) -> None:
    found = performance({**SEVEN, "hardware": hardware})
    assert reason in found["unknown"]
    assert all(value is None for name, value in found.items() if name != "unknown")


def test_a_gpu_of_the_users_own_is_estimated_from_its_fields() -> None:
    gpu = {"name": "mine", "memory_gib": 79.2, "compute_capability": "9.0", "bandwidth_gb_per_s": 3350, "fp16_tflops": 989, "interconnect": "nvlink"}
    listed = performance({**SEVEN, "hardware": {"gpu": "H100-80GB"}, "pin": {"engine": "vllm", "quantization": "bf16"}})
    own = performance({**SEVEN, "hardware": {"gpu": gpu}, "pin": {"engine": "vllm", "quantization": "bf16"}})
    assert own["tpot_ms"] == pytest.approx(listed["tpot_ms"], rel=0.01)


def test_apple_and_an_unlisted_cpu_with_bandwidth_are_estimated() -> None:
    mac = performance({"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "M3-Max-128GB"}, "workload": {"profile": "dev"}})
    assert 20 < mac["per_user"] < 120
    cpu = {"vendor": "cpu", "architecture": "cpu_x86", "memory_gib": 64, "bandwidth_gb_per_s": 80}
    host = performance({"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": cpu}, "workload": {"profile": "dev"}})
    assert 3 < host["per_user"] < 25


def test_a_cpu_of_which_nothing_is_known_gets_a_very_wide_band() -> None:
    spec = {"model": "Qwen/Qwen2.5-7B-Instruct", "hardware": {"gpu": "cpu", "memory_gib": 32}, "workload": {"profile": "dev"}}
    found = performance(spec)
    low, high = found["error_band"]["tpot_ms"]
    assert high / low > 9
    assert "assumed" in found["basis"]
    assert 2 < found["per_user"] < 40


def test_layers_in_the_host_are_slower_and_say_what_that_rests_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec = {"model": "Qwen/Qwen2.5-32B-Instruct", "hardware": {"gpu": "GTX1080-8GB", "host_memory_gib": 64}, "workload": {"profile": "dev"}}
    outcome = plan(spec)
    assert outcome.plan.choice is not None
    found = as_json(outcome.plan)["performance"]
    assert 0.5 < found["per_user"] < 10
    assert "host's memory" in found["basis"]
    assert found["ttft_ms"] is None
    assert "first token" in found["unknown"]
    again = Speeds(outcome.context).curve(outcome.plan.choice, [1])
    assert outcome.plan.choice.performance is not None
    assert again == [outcome.plan.choice.performance.speed]
    assert main(["plan", str(write(tmp_path, json.dumps(spec))), "--sweep", "concurrency=1"]) == 0
    assert capsys.readouterr().out.count("no time to first token") == 2


def test_those_that_wait_for_a_place_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workload = {"concurrency": 400, "input_tokens": 8000, "output_tokens": 500, "max_context": 16384}
    spec = {**SEVEN, "workload": workload, "pin": {"engine": "vllm", "quantization": "bf16", "max_num_seqs": 8}}
    path = write(tmp_path, json.dumps(spec))
    assert main(["plan", str(path), "--sweep", "concurrency=4,64"]) == 0
    out = capsys.readouterr().out
    assert "concurrency 400, of which 8 run" in out
    assert "time to first token is queueing" in out
    assert "only 8 sequences run at once" in out
    assert main([str(path), "-o", str(tmp_path / "out"), "-q"]) == 0
    assert "400 concurrent requests, of which 8 run" in next((tmp_path / "out").rglob("PLAN.md")).read_text(encoding="utf-8")


def test_the_handbook_has_no_speed_model() -> None:
    found = as_json(plan({"model": "llama-7b", "hardware": {"gpu": "A100-80GB"}}, rules="handbook").plan)["performance"]
    assert found is None or found["output_tokens_per_second"] is None


def test_a_pinned_candidate_that_is_rejected_keeps_its_speed() -> None:
    spec = {**SEVEN, "workload": {**SEVEN["workload"], "tpot_ms": 0.5}, "pin": {"engine": "vllm", "quantization": "bf16"}}  # type: ignore[dict-item]
    outcome = plan(spec)
    assert outcome.plan.choice is None
    first = as_json(outcome.plan)["rejected"][0]
    assert first["performance"]["tpot_ms"] > 0.5
    assert {row["id"] for row in first["rows"]} == {"tpot-missed"}
    assert first["rows"][0]["read"]["speed.tpot_ms"]["value"] > 0.5


def test_the_concurrency_that_objectives_allow() -> None:
    def most(tpot: float) -> int:
        workload = {"concurrency": 4, "input_tokens": 1000, "output_tokens": 300, "tpot_ms": tpot}
        spec = {**SEVEN, "workload": workload, "pin": {"engine": "vllm", "quantization": "bf16"}}
        return int(performance(spec)["max_concurrency_for_objectives"])

    assert 4 <= most(20) < most(40)
    assert performance(SEVEN)["max_concurrency_for_objectives"] is None


def test_a_cache_that_holds_fewer_than_asked_limits() -> None:
    spec = {
        "model": "meta-llama/Llama-3.3-70B-Instruct",
        "hardware": {"gpu": "A100-80GB", "gpus_per_node": 2},
        "workload": {"concurrency": 400, "input_tokens": 8000, "output_tokens": 500, "max_context": 16384},
        "pin": {"engine": "vllm", "quantization": "bf16", "max_num_seqs": 8},
    }
    found = as_json(plan(spec).plan)
    shown = found["performance"] if found["choice"] else found["rejected"][0]["performance"]
    assert shown["limited_by"] == "kv-capacity"
    assert shown["concurrency"] <= 8


def test_alternatives_hold_each_method_and_each_extreme() -> None:
    outcome = plan({**SEVEN, "hardware": {"gpu": "H100-80GB", "gpus_per_node": 4}})
    assert outcome.plan.choice is not None
    shown = [outcome.plan.choice, *outcome.plan.alternatives]
    assert len({one.id for one in shown}) == len(shown)
    works = [one.candidate for one in outcome.ranked]
    assert {(one.engine, one.method) for one in shown} == {(one.engine, one.method) for one in works}
    speeds = Speeds(outcome.context)
    for measure in (_output, _latency, _gpus, _loss):
        assert min(map(measure, shown)) == min(measure(speeds.estimated(one)) for one in works)


def _output(candidate: Any) -> float:
    return -float(candidate.performance.speed.output_tokens_per_second.value)


def _gpus(candidate: Any) -> float:
    return float(candidate.gpus)


def _loss(candidate: Any) -> float:
    return float("inf") if candidate.quality.value is None else float(candidate.quality.value)


def _latency(candidate: Any) -> float:
    return float(candidate.performance.speed.tpot_ms.value)


def test_the_curve_of_the_choice() -> None:
    outcome = plan(SEVEN)
    assert outcome.plan.choice is not None
    speeds = Speeds(outcome.context).curve(outcome.plan.choice, [1, 4, 16])
    outputs = [speed.output_tokens_per_second.value for speed in speeds]
    assert outputs == sorted(outputs)
    assert outcome.plan.choice.performance is not None
    assert speeds[-1] == outcome.plan.choice.performance.speed


SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: H100-80GB}\n"


def test_sweep_prints_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, SPEC)
    assert main(["plan", str(path), "--sweep", "concurrency=1..64"]) == 0
    table = capsys.readouterr().out
    assert "ms to first token" in table
    assert "bands from" in table
    assert main(["plan", str(path), "--json", "--sweep", "concurrency=1,3,64"]) == 0
    rows = json.loads(capsys.readouterr().out)["sweep"]
    assert [row["concurrency"] for row in rows] == [1, 3, 64]
    assert all(row["error_band"] and row["basis"] for row in rows)


NO_SWEEPS = [
    "concurrency=0..4", "concurrency=8..4", "tokens=1..4", "concurrency=1..99999999", "concurrency=", "1..4", "", "concurrency=\u0663..\u0669",
]  # fmt: skip


@pytest.mark.parametrize("word", NO_SWEEPS)
def test_a_sweep_that_means_nothing(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(write(tmp_path, SPEC)), "--sweep", word]) == 2
    assert "--sweep" in capsys.readouterr().err


def test_money_comes_from_the_users_file_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, SPEC)
    prices = write(tmp_path, 'dated: "2026-11-01"\ncurrency: EUR\nper_gpu_hour: {h100: 3.0}\n', "prices.yaml")
    assert main(["plan", str(path), "--json"]) == 0
    assert "cost" not in json.loads(capsys.readouterr().out)
    assert main(["plan", str(path), "--json", "--prices", str(prices)]) == 0
    found = json.loads(capsys.readouterr().out)
    cost, hours = found["cost"], found["performance"]["gpu_hours_per_million_tokens"]
    assert cost["per_million_output_tokens"] == pytest.approx(3 * hours, rel=0.02)
    assert cost["error_band"][0] < cost["per_million_output_tokens"] < cost["error_band"][1]
    assert (cost["currency"], cost["dated"]) == ("EUR", "2026-11-01")
    assert main(["plan", str(path), "--prices", str(prices)]) == 0
    assert "EUR per million output tokens" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("dated: 2026-11-01\ncurrency: EUR\nper_gpu_hour: {h1000: 3.0}\n", "unknown-gpu"),
        ("dated: soon\ncurrency: EUR\nper_gpu_hour: {h100: 3.0}\n", "bad-text"),
        ("dated: 2026-11-01\ncurrency: EUR\nper_gpu_hour: {h100: cheap}\n", "wrong-type"),
        ("dated: 2026-11-01\ncurrency: EUR\nper_gpu_hour: {h100: -1}\n", "out-of-range"),
        ("currency: EUR\nper_gpu_hour: {h100: 3.0}\n", "missing-key"),
        ("dated: 2026-11-01\ncurrency: EUR\nper_gpu_hour: {h100: 3.0}\ndiscount: 2\n", "unknown-key"),
        ("[1, 2]\n", "wrong-type"),
    ],
)
def test_a_file_of_prices_that_is_none(text: str, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, prices = write(tmp_path, SPEC), write(tmp_path, text, "prices.yaml")
    assert main(["plan", str(path), "--prices", str(prices)]) == 1
    assert f"error[{code}]" in capsys.readouterr().err


def test_the_example_of_prices_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).resolve().parents[2] / "examples/prices/2026-11.yaml"
    assert main(["plan", str(write(tmp_path, SPEC)), "--prices", str(example)]) == 0
    assert "USD per million output tokens" in capsys.readouterr().out


@pytest.mark.parametrize("objective", [{"tpot_ms": 40}, {"tpot_ms": 12}, {"ttft_ms": 300}, {"ttft_ms": 800, "tpot_ms": 25}])
@pytest.mark.parametrize("gpus", [1, 4])
def test_max_means_as_many_as_keep_the_objectives(objective: dict[str, float], gpus: int) -> None:
    hardware = {"gpu": "H100-80GB", "gpus_per_node": gpus}
    workload = {"concurrency": "max", "input_tokens": 1000, "output_tokens": 300}
    whole = plan({**SEVEN, "hardware": hardware, "workload": workload}).plan.choice
    found = plan({**SEVEN, "hardware": hardware, "workload": {**workload, **objective}}).plan
    best = found.choice
    assert whole and best and best.performance and best.performance.speed and best.performance.within_objectives
    assert best.engine == whole.engine, "an engine that holds few must not win because it holds few"
    assert best.max_num_seqs < whole.max_num_seqs
    assert "sequences-kept-for-the-objectives" in {warning.row for warning in found.warnings}
    speed = best.performance.speed
    assert speed.tpot_ms.value <= objective.get("tpot_ms", 1e9)
    assert speed.ttft_ms and speed.ttft_ms.value <= objective.get("ttft_ms", 1e9)
    # one more for each replica, and they do not hold
    assert best.max_num_seqs * best.replicas <= best.performance.within_objectives < (best.max_num_seqs + 1) * best.replicas


def test_max_goes_no_further_than_the_rules_say() -> None:
    short = {"concurrency": "max", "input_tokens": 10, "output_tokens": 10, "max_context": 512}
    found = plan({**SEVEN, "workload": short, "pin": {"engine": "llama.cpp"}}).plan
    assert found.choice and found.choice.max_num_seqs == 64  # sequences.gguf


def test_a_refusal_says_how_many_would_have_kept_the_objective(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write(tmp_path, "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: A100-80GB}\nworkload: {concurrency: 200, tpot_ms: 9}\n")
    assert main(["plan", str(spec)]) == 4
    told = capsys.readouterr().err
    most = int(told.split("met up to a concurrency of ")[1].split(" ")[0])
    assert 0 < most < 200
    spec.write_text(spec.read_text().replace("200", str(most)), encoding="utf-8")
    assert main(["plan", str(spec)]) == 0


@pytest.mark.parametrize("hardware", [{"gpu": "cpu", "memory_gib": 64}, {"gpu": "RTX4060-8GB", "host_memory_gib": 64}])
def test_a_host_whose_memory_is_known_has_a_narrower_band(hardware: dict[str, Any]) -> None:
    spec = {"model": "Qwen/Qwen2.5-32B-Instruct", "hardware": hardware, "workload": {"profile": "dev"}}
    said: list[dict[str, float]] = [{}, {"host_bandwidth_gb_per_s": 45}, {"host_bandwidth_gb_per_s": 180}]
    unknown, slow, fast = (performance({**spec, "hardware": {**hardware, **more}}) for more in said)
    wide, narrow = (found["error_band"]["tpot_ms"][1] / found["error_band"]["tpot_ms"][0] for found in (unknown, slow))
    assert wide > 1.7 * narrow
    assert "assumed" in unknown["basis"] and "assumed" not in slow["basis"]
    assert slow["tpot_ms"] > unknown["tpot_ms"] > fast["tpot_ms"]
