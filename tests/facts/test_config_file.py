"""A model's config.json as people have it: with ModelOpt's file beside it, and with the numbers that only Python writes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from generator.errors import InputError
from generator.facts.model import QUANT_FILE, read_config
from generator.readers.document import read_json

CONFIG = '{"model_type": "nemotron_h", "time_step_limit": [0.0, Infinity], "low": -Infinity, "odd": NaN}'
QUANT = {"quantization": {"quant_algo": "FP8"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_numbers_as_python_writes_them_are_read_in_configs_alone(file: Path) -> None:
    found = read_config(file)
    assert found["time_step_limit"] == [0.0, math.inf] and found["low"] == -math.inf
    assert isinstance(odd := found["odd"], float) and math.isnan(odd)
    with pytest.raises(InputError, match="Infinity is not JSON"):
        read_json(file)


def test_other_slips_are_refused_in_configs_too(file: Path) -> None:
    file.write_text('{"a": Infinity, "a": 1}', encoding="utf-8")
    with pytest.raises(InputError, match="'a' appears twice"):
        read_config(file)


def test_the_file_beside_is_read_whatever_the_config_is_called(file: Path) -> None:
    other = file.rename(file.with_name("llama.json"))
    assert "hf_quant_config" not in read_config(other)
    (file.parent / QUANT_FILE).write_text(json.dumps(QUANT), encoding="utf-8")
    assert read_config(other)["hf_quant_config"] == QUANT


def test_a_broken_file_beside_is_named(file: Path) -> None:
    (file.parent / QUANT_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"hf_quant_config\.json:1:2: error\[json-syntax\]"):
        read_config(file)


def test_a_folder_of_that_name_is_no_file(file: Path) -> None:
    (file.parent / QUANT_FILE).mkdir()
    assert read_config(file)["model_type"] == "nemotron_h"


def test_what_may_not_be_read_is_not(file: Path) -> None:
    (file.parent / QUANT_FILE).write_text(json.dumps(QUANT), encoding="utf-8")

    def refused(path: Path) -> Path:
        raise PermissionError(path.name)

    with pytest.raises(PermissionError, match=QUANT_FILE):
        read_config(file, refused)
