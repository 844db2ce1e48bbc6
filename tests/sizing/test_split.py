"""Whether matrices can be cut for tensor parallelism: in whole groups or blocks, experts apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "architecture"))
from model_configs import architecture

from generator.sizing.tensors import Cuts, cuts

CUTS = Cuts(inputs=frozenset({1024}), outputs=frozenset({1536}), expert_inputs=frozenset({768}), expert_outputs=frozenset({640}))


@pytest.mark.parametrize(
    ("parts", "unit", "experts_whole", "outputs_too", "divide"),
    [
        (1, 128, False, True, True),
        (2, 128, False, False, True),  # 1024 and 768
        (4, 128, False, False, False),  # 768 into 4 is one group and a half
        (4, 128, True, False, True),  # unless experts stay whole
        (8, 128, True, False, True),
        (16, 128, True, False, False),
        (4, 128, True, True, True),  # 1536
        (8, 128, True, True, False),
        (2, 128, False, True, False),  # 640
        (3, 1, True, False, False),
    ],
)
def test_whole_units(parts: int, unit: int, experts_whole: bool, outputs_too: bool, divide: bool) -> None:
    assert CUTS.divide(parts, unit, experts_whole, outputs_too) is divide


def test_padded_lengths_divide() -> None:
    assert not CUTS.divide(4, 128, False, False)
    assert CUTS.divide(4, 128, False, False, {768: 1024})


def test_what_is_cut_of_a_dense_model() -> None:
    found = cuts(architecture("meta-llama__Llama-3.1-8B-Instruct"))
    assert found == Cuts(frozenset({4096, 14336}), frozenset({4096, 14336}), frozenset(), frozenset())  # not the 1024 of keys and values


def test_experts_are_apart() -> None:
    found = cuts(architecture("deepseek-ai__DeepSeek-V3"))
    assert found.expert_inputs == {2048} and found.expert_outputs == {2048}
    assert 18432 in found.inputs  # the dense layers
