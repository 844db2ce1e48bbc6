"""Hostile texts in every text field of a spec: each arrives whole and alone where it belongs, or is refused at its place.

The same values every time. `python scripts/hostile.py --values 1000000` tries as many others as it is told.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_readers import Bench, compose_program, cpu_folder
from hostile_run import Proof, Tally
from hostile_specs import plain

from generator.render import templates

BATCHES, SPECS, SEED = 8, 80, 1
"""How many values: at least ten thousand."""


@pytest.fixture(scope="module")
def proof() -> Iterator[Proof]:
    """The readers, where they are here, and what they make of plain words."""
    binaries = os.environ.get("LLAMA_CPP_BIN")
    with tempfile.TemporaryDirectory(dir=cpu_folder()) as folder:
        yield Proof(Path(folder), compose_program(), f"{binaries}/llama-server" if binaries else None)


def test_every_text_is_looked_at_where_it_belongs(proof: Proof) -> None:
    """Each place of each shape is found in what the readers have; only options of engines may be refused outright."""
    for name, (one, seen) in proof.plain.items():
        for index, place in enumerate(one.shape.places):
            found = [key for key, data in seen.data.items() if key not in ("plan.json", "PLAN.md") and plain(index) in json.dumps(data)]
            assert not place.arrives or found, f"{name}: {place.name} arrives nowhere"
            if place.arrives == "environment":
                assert "compose" in found and any(key.startswith("run ") and key.endswith(" env") for key in found), name
    assert all(" deploy.extra_args." in gated or " deploy.env" in gated for gated in proof.gated), proof.gated


@pytest.mark.slow
def test_ten_thousand_values_arrive_or_are_refused(proof: Proof) -> None:
    tally = Tally()
    for number in range(BATCHES):
        tally.add(proof.batch(number * SPECS, SPECS, SEED))
    assert not tally.findings, "\n\n".join(map(str, tally.findings[:5]))
    assert tally.values >= 10_000
    assert tally.arrived.total() > tally.values / 2, "too few get past the first check"
    assert tally.refused.total() > tally.values / 10
    fields = {key.split(" ", 1)[1] for key in tally.arrived}
    assert {"model.id", "model.revision", "deploy.served_name", "deploy.host", "deploy.image", "deploy.cache_dir", "quantize.calibration.dataset"} <= fields
    assert {"serve.sh", "smoke.sh", "bench.sh", "compose", "PLAN.md", "plan.json", "config.yaml", "Modelfile", "job.yaml"} <= set(tally.readers)




def test_the_proof_can_fail_in_compose(proof: Proof, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["generator.render.compose"], "escaped", lambda data: data)
    found = [finding.what for finding in proof.batch(0, 30, SEED, smaller=0).findings]
    assert any("compose" in what for what in found), found


def test_the_proof_can_fail_in_markdown(proof: Proof, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(templates._environment().filters, "quiet", str)
    found = [finding.what for finding in proof.batch(0, 30, SEED, smaller=0).findings]
    assert any("PLAN.md" in what for what in found), found


def test_the_proof_can_fail_in_bash(proof: Proof, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Bench._scripts

    def broken(self: Bench, cases: Any, seen: Any) -> None:
        for path in self.out.rglob("serve.sh"):
            path.write_text(path.read_text().replace("'", '"'))
        read(self, cases, seen)

    monkeypatch.setattr(Bench, "_scripts", broken)
    tally = proof.batch(0, 30, SEED, smaller=0)
    assert any("serve.sh" in finding.what for finding in tally.findings)
    assert any("was run or written" in finding.what for finding in tally.findings), "no hostile value would run"
