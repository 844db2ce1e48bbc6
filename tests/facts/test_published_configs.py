"""Configs of models that the catalogue does not have (tests/data/configs/2026.yaml): planned or refused as said, and of the right size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from shipped_families import from_config

from generator.cli import main
from generator.errors import InputError
from generator.facts.model import config_of
from generator.rulebook.book import load
from generator.sizing.weights import checkpoint_bytes

DATA = Path(__file__).resolve().parents[1] / "data" / "configs"
ROWS: list[dict[str, Any]] = yaml.safe_load((DATA / "2026.yaml").read_text(encoding="utf-8"))["rows"]
PLANNED = [row for row in ROWS if "refused" not in row]


def _path(row: dict[str, Any]) -> Path:
    return DATA / "2026" / f"{row['id'].replace('/', '__')}.json"


def _config(row: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_path(row).read_text(encoding="utf-8"))
    return content


def _id(row: dict[str, Any]) -> str:
    return f"{row['id']}-{row['of']}"


def test_the_bar() -> None:
    """Of 50 models released in 2026, 45 are planned or refused for a reason; here nine of ten are planned."""
    assert sum(row["released"].startswith("2026") for row in ROWS) >= 50
    assert len(PLANNED) >= 0.9 * len(ROWS)
    assert {path.name for path in (DATA / "2026").iterdir()} == {_path(row).name for row in ROWS}
    assert not [row["id"] for row in ROWS if row["id"] in load("default").section("models")]


@pytest.mark.parametrize("row", PLANNED, ids=_id)
def test_each_is_planned(row: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.yaml"
    hardware = "{gpu: B200-180GB, gpus_per_node: 8, nodes: 4}"
    spec.write_text(f"model: {{id: {row['id']}, config: {_path(row)}}}\nhardware: {hardware}\n", encoding="utf-8")
    assert main(["plan", str(spec), "--json"]) == 0, capsys.readouterr().err
    plan = json.loads(capsys.readouterr().out)
    assert plan["choice"]["engine"]
    assert 0 < plan["memory"]["weights"] < plan["memory"]["total"] <= plan["memory"]["budget"]


@pytest.mark.parametrize("row", [row for row in ROWS if "refused" in row], ids=_id)
def test_each_other_is_refused_for_a_reason(row: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        from_config(_config(row))
    assert [problem.code for problem in caught.value.problems] == [row["refused"]]
    assert row["says"] in caught.value.problems[0].message


@pytest.mark.parametrize("row", [row for row in PLANNED if "parameters" in row], ids=_id)
def test_parameters_are_those_of_the_model_class(row: dict[str, Any]) -> None:
    assert from_config(_config(row)).parameters == pytest.approx(row["parameters"], rel=0.01)


@pytest.mark.parametrize("row", [row for row in PLANNED if row.keys() & {"gib", "bytes"}], ids=_id)
def test_weights_are_those_of_the_repository(row: dict[str, Any]) -> None:
    """Within one percent where shards are rounded, to a millionth where the index gives bytes."""
    size, near = (row["bytes"], 1e-6) if "bytes" in row else (row["gib"] * 2**30, 0.01)
    assert checkpoint_bytes(from_config(_config(row)), {}, "published") == pytest.approx(size, rel=near)


def test_copies_of_one_model_agree() -> None:
    """What a class writes and what its maker published are the same model; so are a catalogued model and a copy of it in FP8."""
    counts = {(row["id"].removesuffix("-FP8"), row["of"]): from_config(_config(row)).parameters for row in PLANNED}
    assert counts["poolside/Laguna-XS.2", "copy"] == pytest.approx(counts["poolside/Laguna-XS.2", "class"], rel=0.01)
    listed = config_of("zai-org/GLM-5.2", load("default"))
    assert listed is not None
    assert counts["zai-org/GLM-5.2", "copy"] == from_config(listed).parameters


@pytest.mark.parametrize("row", PLANNED, ids=_id)
def test_without_one_of_its_keys_it_is_read_or_refused(row: dict[str, Any]) -> None:
    """Makers leave keys out: each is either not needed, or the message names what is missing."""
    whole = _config(row)
    for key in whole:
        try:
            from_config({name: value for name, value in whole.items() if name != key})
        except InputError as error:
            assert len(error.problems) == 1
            assert error.problems[0].code in ("unknown-architecture", "bad-model-config")
