"""Random specs, hostile ones too: an exit code of the contract, never another exception, and no chance in what comes out.

The same examples every time; GEN_DEPLOY_EXAMPLES=1000 looks for new ones, as many for each test. A failure prints the
spec; put it into `bad/` or `tests/cases/` once it is mended.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import run, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from specs import specs

MANY = int(os.environ.get("GEN_DEPLOY_EXAMPLES", "0"))


def quick(examples: int) -> settings:
    """So many examples, and no chance in which; or as many as the environment asks for, any."""
    return settings(
        max_examples=MANY or examples, derandomize=not MANY, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )


OURS = ("rules-conflict", "rules-gap", "no-flag", "bad-word", "internal", "error of gen-deploy")
"""Words of errors that would be ours, not the spec's."""


@contextmanager
def written(spec: dict[str, Any], text: str | None = None) -> Iterator[tuple[Path, Path]]:
    """The spec in a folder of its own, and that folder."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "case.yaml"
        path.write_text(text if text is not None else yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8", newline="")
        yield path, Path(place)


def never_ours(err: str) -> None:
    assert not [word for word in OURS if word in err], err


@quick(60)
@given(specs(oddities=0.3))
def test_hostile_specs_end_in_a_code_and_a_place(spec: dict[str, Any]) -> None:
    with written(spec) as (path, folder):
        before = tree(folder)
        said = run(path, "-o", folder / "out")
        assert said.code in (0, 1, 4), said.err
        never_ours(said.err)
        if said.code:
            assert tree(folder) == before
            assert said.err.startswith(f"{path}:") or "config.json:" in said.err
        if said.code == 1:
            assert all(": error[" in line for line in said.err.splitlines())
        assert said.err.replace("\n", "").isprintable()


@pytest.mark.slow
@quick(60)
@given(specs(oddities=0.0))
def test_plan_explain_and_the_main_job_agree(spec: dict[str, Any]) -> None:
    with written(spec) as (path, folder):
        plan = run("plan", path, "--json")
        assert plan.code in (0, 1, 4), plan.err
        explained, job = run("explain", path), run(path, "-o", folder / "out")
        never_ours(plan.err + explained.err + job.err)
        assert explained.code == plan.code
        assert job.code == plan.code or "error[unknown-engine-version]" in job.err
        if plan.code == 1:
            return
        found = plan.json
        assert (found["choice"] is None) == (plan.code == 4)
        pinned = set(spec.get("pin") or {}) & {"engine", "quantization", "tensor_parallel", "pipeline_parallel"}
        if found["choice"] is None and {"engine", "quantization"} <= pinned and not figureless(found):
            assert found["rejected"][0]["memory"] is not None
            assert found["rejected"][0]["kv_cache"] is not None
        if found["choice"] is not None:
            holds(found, spec)


def figureless(found: dict[str, Any]) -> bool:
    """Whether nothing was pinned that this engine could load: another file format, or weights that are in another form."""
    return all({row["id"] for row in one["rows"]} & {"format-not-for-engine", "weights-not-prepared"} for one in found["rejected"])


def holds(found: dict[str, Any], spec: dict[str, Any]) -> None:
    """What every choice must be: pins kept, memory that adds up, no more GPUs than there are."""
    choice, memory = found["choice"], found["memory"]
    for key, value in (spec.get("pin") or {}).items():
        if key in choice and key not in ("engine_version", "quantization"):
            assert choice[key] == value, key
    hardware = spec["hardware"]
    if hardware.get("gpus_per_node") != "auto":
        gpus = hardware.get("gpus_per_node", 1) * hardware.get("nodes", 1)
        assert choice["tensor_parallel"] * choice["pipeline_parallel"] * choice["replicas"] <= gpus
    parts = sum(memory[name] for name in ("weights", "kv_cache", "activations", "cuda_graphs", "runtime"))
    assert abs(parts - memory["total"]) < 0.01
    assert memory["headroom"] >= 0.0199
    asked = spec.get("workload") or {}
    if "max_context" in asked and "max_model_len" not in (spec.get("pin") or {}):
        assert choice["max_model_len"] == asked["max_context"]


@quick(25)
@given(specs(oddities=0.0))
def test_the_same_spec_gives_the_same_bytes(spec: dict[str, Any]) -> None:
    with written(spec) as (path, folder):
        first = run(path, "-o", folder / "a")
        again = run(path, "-o", folder / "b")
        assert (first.code, first.err) == (again.code, again.err)
        assert tree(folder / "a") == tree(folder / "b")
        if first.code == 0:
            assert run("check", path, "-o", folder / "a").code == 0


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same mapping, its keys in another order, all the way down."""
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key], chance) for key in keys}
    return value


@pytest.mark.slow
@quick(25)
@given(specs(oddities=0.0), st.integers(0, 1000))
def test_the_order_of_keys_and_comments_do_not_matter(spec: dict[str, Any], seed: int) -> None:
    """But in what the user sees listed: environment and extra arguments keep their order."""
    kept = {key: spec["deploy"][key] for key in ("env", "extra_args") if key in (spec.get("deploy") or {})}
    other = shuffled(spec, random.Random(seed))
    if kept:
        other["deploy"].update(kept)
    text = yaml.safe_dump(other, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False)
    noted = "# first\n---\n" + text + "# last\n"
    with written(spec) as (path, _), written(other, noted) as (second, _):
        plain, moved = run("plan", path, "--json"), run("plan", second, "--json")
        assert plain.code == moved.code
        if plain.code != 1:
            assert plain.json == moved.json


@pytest.mark.slow
@quick(8)
@given(st.lists(specs(oddities=0.0), min_size=2, max_size=4))
def test_specs_decided_together_are_decided_as_alone(many: list[dict[str, Any]]) -> None:
    """Nothing that is remembered from one decision changes another."""
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"s{i}.yaml" for i in range(len(many))]
        for path, spec in zip(paths, many, strict=True):
            path.write_text(yaml.safe_dump({k: v for k, v in spec.items() if k != "name"}, allow_unicode=True), encoding="utf-8")
        together = run("plan", *paths, "--json")
        alone = [run("plan", path, "--json") for path in paths]
        assert together.code == max(said.code for said in alone)
        assert together.json == [said.json for said in alone if said.code != 1]
