"""`gpus_per_node: auto`: which counts are tried, and which one is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from plans import book, spec_of

from generator.decide.automatic import counts, smallest
from generator.plan import Plan
from generator.spec.deployment import DeploymentSpec

MODEL = {"model": "Qwen/Qwen2.5-7B-Instruct"}


def auto(nodes: int = 1, pin: dict[str, Any] | None = None) -> DeploymentSpec:
    return spec_of({**MODEL, "hardware": {"gpu": "A100-80GB", "gpus_per_node": "auto", "nodes": nodes}, "pin": pin or {}})


@pytest.mark.parametrize(
    ("nodes", "pin", "tried"),
    [
        (1, {}, [1, 2, 4, 8]),
        (1, {"tensor_parallel": 4}, [4, 8]),
        (1, {"tensor_parallel": 2, "pipeline_parallel": 3}, [8]),
        (2, {"tensor_parallel": 4}, [2, 4, 8]),
        (1, {"tensor_parallel": 16}, [8]),  # never none: the largest says why it cannot be
    ],
)
def test_counts(nodes: int, pin: dict[str, Any], tried: list[int]) -> None:
    assert book().number("gpus.auto_most") == 8
    assert list(counts(auto(nodes, pin), book())) == tried


@dataclass
class Decided:
    """What a decision for so many GPUs comes to: a choice or none, and whether an objective is missed."""

    gpus: int
    has_choice: bool
    missed: int

    @property
    def plan(self) -> Plan:
        choice: Any = object() if self.has_choice else None
        return Plan("auto", "default", "", {}, choice, (), (), (), (), {"objective.missed": self.missed})  # type: ignore[arg-type]  # one name is read


@pytest.mark.parametrize(
    ("outcomes", "taken"),
    [
        ({1: (True, 0)}, 1),
        ({1: (False, 0), 2: (True, 0)}, 2),  # nothing fits on one
        ({1: (True, 1), 2: (True, 1), 4: (True, 0)}, 4),  # it fits, but is too slow
        ({1: (False, 0), 2: (True, 1), 4: (True, 1), 8: (True, 1)}, 2),  # no number is fast enough: the first that runs
        ({1: (False, 0), 2: (False, 0), 4: (False, 0), 8: (False, 0)}, 8),  # nothing runs: the most, and its reasons
    ],
)
def test_the_smallest_that_meets_the_objectives(outcomes: dict[int, tuple[bool, int]], taken: int) -> None:
    tried: list[int] = []

    def decide(spec: DeploymentSpec) -> Any:
        tried.append(spec.hardware.gpus_per_node)
        return Decided(spec.hardware.gpus_per_node, *outcomes[spec.hardware.gpus_per_node])

    found: Any = smallest(auto(), book(), decide)
    assert found.gpus == taken
    assert tried == list(outcomes)  # no further than needed
