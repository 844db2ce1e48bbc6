"""Specs of one run on one machine share no port and no card; where they would, no file is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import run

SPEC = "model: Qwen/Qwen2.5-7B-Instruct\nhardware: {{gpu: L40S-48GB{}}}\npin: {{engine: {}}}\ndeploy: {{{}}}\n"
PORT = "port: 8001"


def codes(one: tuple[str, ...], other: tuple[str, ...], folder: Path, *words: str) -> list[str]:
    """The codes of the errors of a run over two specs, each as hardware, deploy and engine."""
    for name, (hardware, deploy, *engine) in (("a", one), ("b", other)):
        (folder / f"{name}.yaml").write_text(SPEC.format(hardware, engine[0] if engine else "vllm", deploy))
    said = run(folder / "a.yaml", folder / "b.yaml", "-o", folder / "out", *words)
    found = [line.partition("error[")[2].partition("]")[0] for line in said.err.splitlines() if "error[" in line]
    assert said.code == (1 if found else 0)
    assert (folder / "out").exists() == (not found)
    return found


@pytest.mark.parametrize(
    ("one", "other", "wrong"),
    [
        ((", devices: [0]", ""), (", devices: [1]", ""), ["shared-port"]),
        ((", devices: [0]", ""), (", devices: [0]", ""), ["shared-card", "shared-port"]),
        ((", devices: [0, 1]", ""), (", devices: [1, 2]", PORT), ["shared-card"]),
        ((", devices: [0]", PORT), (", devices: [1]", "port: 8001"), ["shared-port"]),
        ((", devices: [0]", "host: 0.0.0.0"), (", devices: [1]", ""), ["shared-port"]),
        ((", devices: [0]", ""), (", devices: [1]", "", "llama.cpp"), []),  # another default port
        ((", devices: [0]", ""), (", devices: [1]", PORT), []),
        ((", devices: [0], share_gib: 20", ""), (", devices: [0], share_gib: 20", PORT), []),
        ((", devices: [0], share_gib: 20", ""), (", devices: [0]", PORT), ["shared-card"]),
        ((", devices: [0], machine: a", ""), (", devices: [0], machine: b", ""), []),
        ((", machine: a", ""), (", machine: a", PORT), ["shared-card"]),  # the first card of each
        ((", devices: [0]", ""), (", machine: a", ""), []),
        (("", ""), ("", ""), []),  # two specs that say nothing of a machine
        ((", devices: [0], machine: a", "replicas: 1, targets: [script]"), (", machine: a", "targets: [kubernetes]"), []),  # the cluster chooses
    ],
)
def test_what_two_specs_of_one_machine_share(one: tuple[str, ...], other: tuple[str, ...], wrong: list[str], tmp_path: Path) -> None:
    assert sorted(codes(one, other, tmp_path)) == wrong


def test_the_place_and_the_cure_are_said(tmp_path: Path) -> None:
    codes((", devices: [0]", ""), (", devices: [0]", "port: 8000"), tmp_path)
    said = run(tmp_path / "a.yaml", tmp_path / "b.yaml", "-o", tmp_path / "out")
    assert "b.yaml:4:16: error[shared-port]: a (" in said.err and "write another deploy.port" in said.err
    assert "b.yaml:2:37: error[shared-card]: a (" in said.err and "share_gib" in said.err
    assert run("check", tmp_path / "a.yaml", tmp_path / "b.yaml", "-o", tmp_path / "out").code == 1


