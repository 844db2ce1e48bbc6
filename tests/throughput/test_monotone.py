"""What physics says must hold whatever the factors: more bandwidth is never slower, longer contexts are never faster, more users never put out less."""

from __future__ import annotations

from functools import lru_cache

from hypothesis import given, settings
from hypothesis import strategies as st

from generator.decide.context import numbers_of
from generator.rulebook.book import load
from generator.throughput.estimate import Calibration, Setting, estimate, most_within
from generator.throughput.shapes import CacheTraffic, Demand, Generation, HardwareShape, InHost, ModelShape, Speed, Split

GB, TERA = 1e9, 1e12
GENERATIONS = [
    Generation(entry.get("speed", {}).get("compute"), entry.get("speed", {}).get("host"), entry["back_end"], entry.get("measured", False))
    for entry in load("default").section("architectures").values()
]
EXAMPLES = settings(max_examples=150, deadline=None)


@lru_cache(1)
def calibration() -> Calibration:
    return Calibration(numbers_of(load("default"), "0"))


@st.composite
def candidates(draw: st.DrawFn) -> Setting:
    """Any candidate: dense or with experts, any precision, any split, any hardware."""
    layers = draw(st.integers(1, 128))
    dense = draw(st.floats(1e8, 1e11))
    experts = draw(st.sampled_from([0, 8, 64, 256]))
    routed = draw(st.floats(1e9, 1e12)) if experts else 0.0
    low = draw(st.booleans())
    bits = draw(st.sampled_from([4, 8, 16]))
    model = ModelShape(
        layers, draw(st.integers(512, 16384)), dense * bits / 8, routed * bits / 8, dense * low, dense * (not low), routed * low, routed * (not low),
        experts, draw(st.integers(1, 8)) if experts else 0, draw(st.floats(1e3, 1e7)), min(dense / 10, draw(st.floats(1e6, 1e9))),
    )  # fmt: skip
    engine = draw(st.sampled_from(["vllm", "sglang", "tensorrt-llm", "tgi", "llama.cpp"]))
    full = draw(st.floats(20, 2500)) * TERA
    hardware = HardwareShape(
        draw(st.floats(50, 8000)) * GB, full, full * draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from(["bf16", "fp8", "fp4", "int8", "weight-only"])),
        draw(st.floats(16, 900)) * GB, draw(st.sampled_from(["nvlink", "pcie", "xgmi"])),
        draw(st.sampled_from(GENERATIONS)), host=90 * GB, across=draw(st.booleans()),
    )  # fmt: skip
    cache = CacheTraffic(draw(st.floats(100, 1e6)), ((draw(st.floats(100, 1e5)), 1024),) if draw(st.booleans()) else (), draw(st.sampled_from([0.0, 1e6])))
    local = engine == "llama.cpp"
    split = Split(1 if local else draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from([1, 2, 4])), 1 if local else draw(st.sampled_from([1, 2])))
    in_host = draw(st.sampled_from([InHost(), InHost(0.3, 0.3, 0.3), InHost(0.0, 0.9, 0.0)])) if local else InHost()
    return Setting(model, hardware, cache, split, engine, draw(st.sampled_from(["plain", "simple", "mixed"])), in_host)


loads = st.builds(Demand, st.integers(1, 512), st.integers(1, 32768), st.integers(1, 4096), st.just(4096.0))


def speed(setting: Setting, demand: Demand) -> Speed:
    found = estimate(setting, demand, calibration())
    assert found is not None
    return found


def no_less(one: float, other: float) -> bool:
    return one >= other * (1 - 1e-9)


@EXAMPLES
@given(candidates(), loads, st.floats(1.0, 10.0))
def test_more_bandwidth_is_never_slower(setting: Setting, demand: Demand, factor: float) -> None:
    faster = setting._replace(hardware=setting.hardware._replace(bandwidth=setting.hardware.bandwidth * factor))
    before, after = speed(setting, demand), speed(faster, demand)
    assert no_less(after.output_tokens_per_second.value, before.output_tokens_per_second.value)
    assert no_less(before.tpot_ms.value, after.tpot_ms.value)
    assert before.ttft_ms is not None
    assert after.ttft_ms is not None
    assert no_less(before.ttft_ms.value, after.ttft_ms.value)


@EXAMPLES
@given(candidates(), loads, st.floats(1.0, 10.0))
def test_more_arithmetic_and_faster_links_are_never_slower(setting: Setting, demand: Demand, factor: float) -> None:
    hardware = setting.hardware
    better = hardware._replace(full_flops=hardware.full_flops * factor, low_flops=hardware.low_flops * factor, link=hardware.link * factor)
    assert no_less(speed(setting, demand).tpot_ms.value, speed(setting._replace(hardware=better), demand).tpot_ms.value)


@EXAMPLES
@given(candidates(), loads, st.floats(0.0, 0.9), st.floats(0.0, 0.9))
def test_more_layers_in_the_host_are_never_faster_where_its_memory_is_slower(setting: Setting, demand: Demand, one: float, other: float) -> None:
    hardware = setting.hardware._replace(generation=Generation(back_end="cuda"), host=setting.hardware.bandwidth / 4)
    local = setting._replace(engine="llama.cpp", split=Split(), hardware=hardware)
    fewer, more = (local._replace(in_host=InHost(share, share, share)) for share in sorted((one, other)))
    slow = local.hardware._replace(generation=Generation(), bandwidth=local.hardware.host)
    assert no_less(speed(more, demand).tpot_ms.value, speed(fewer, demand).tpot_ms.value)
    assert speed(local._replace(hardware=slow), demand).basis


@EXAMPLES
@given(candidates(), loads, st.integers(1, 100000))
def test_longer_prompts_are_never_faster_per_token(setting: Setting, demand: Demand, more: int) -> None:
    longer = demand._replace(input_tokens=demand.input_tokens + more)
    assert no_less(speed(setting, longer).tpot_ms.value, speed(setting, demand).tpot_ms.value)
    assert no_less(speed(setting, demand).output_tokens_per_second.value, speed(setting, longer).output_tokens_per_second.value)


@EXAMPLES
@given(candidates(), loads, st.integers(0, 4096))
def test_more_at_once_never_puts_out_less_until_the_cache_is_full(setting: Setting, demand: Demand, more: int) -> None:
    assert demand.concurrency is not None
    step = setting.split.replicas  # equal shares
    one, two = demand.concurrency * step, (demand.concurrency + more) * step
    few, many = (speed(setting, demand._replace(concurrency=c)) for c in (one, two))
    assert no_less(many.output_tokens_per_second.value, few.output_tokens_per_second.value)
    assert no_less(many.tpot_ms.value, few.tpot_ms.value)


@EXAMPLES
@given(candidates(), loads, st.integers(1, 100))
def test_beyond_the_cache_the_output_stands_still_and_the_rest_waits(setting: Setting, demand: Demand, held: int) -> None:
    full, over = (demand._replace(most=float(held), concurrency=c * setting.split.replicas) for c in (held, held + 64))
    at, beyond = speed(setting, full), speed(setting, over)
    assert abs(beyond.output_tokens_per_second.value / at.output_tokens_per_second.value - 1) < 1e-9
    assert beyond.limit == "kv-capacity"
    assert at.ttft_ms is not None
    assert beyond.ttft_ms is not None
    assert beyond.ttft_ms.value > at.ttft_ms.value


@EXAMPLES
@given(candidates(), loads)
def test_every_figure_lies_in_its_band(setting: Setting, demand: Demand) -> None:
    found = speed(setting, demand)
    for figure in (found.output_tokens_per_second, found.tpot_ms, found.ttft_ms):
        assert figure is not None
        assert 0 < figure.low < figure.value < figure.high < float("inf")
    assert found.basis


@EXAMPLES
@given(candidates(), loads, st.floats(1.0, 500.0))
def test_the_concurrency_for_an_objective_is_the_last_that_meets_it(setting: Setting, demand: Demand, tpot: float) -> None:
    most = most_within(setting, demand, calibration(), None, tpot, 512)
    if most:
        assert speed(setting, demand._replace(concurrency=most)).tpot_ms.value <= tpot * (1 + 1e-9)
    if most < 512:
        assert speed(setting, demand._replace(concurrency=most + 1)).tpot_ms.value > tpot * (1 - 1e-9)
