"""Exact bytes from safetensors headers and indexes, and what is refused."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import generator.readers.safetensors_header as module
from generator.errors import InputError
from generator.readers.safetensors_header import tensor_bytes

TENSORS: dict[str, tuple[str, list[int]]] = {
    "embed": ("BF16", [300, 64]),
    "q": ("F8_E4M3", [64, 64]),
    "scale": ("F32", []),
    "packed": ("F4", [3, 5]),
}
SIZES = {"embed": 38400, "q": 4096, "scale": 4, "packed": 8}


def header(tensors: dict[str, tuple[str, list[int]]]) -> dict[str, Any]:
    """The records of `tensors`, one after the other."""
    records: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, shape) in tensors.items():
        records[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + SIZES[name]]}
        at += SIZES[name]
    return records


def raw(records: Any, data: int) -> bytes:
    body = records if isinstance(records, bytes) else json.dumps(records).encode()
    return struct.pack("<Q", len(body)) + body + bytes(data)


def write(path: Path, names: list[str]) -> Path:
    some = {name: TENSORS[name] for name in names}
    path.write_bytes(raw(header(some), sum(SIZES[name] for name in names)))
    return path


def index(folder: Path, weight_map: Any, **metadata: Any) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": metadata, "weight_map": weight_map}), encoding="utf-8")
    return path


def code(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        tensor_bytes(path, "shown/" + path.name)
    (problem,) = caught.value.problems
    assert problem.place is not None and problem.place.path.startswith("shown/")
    return problem.code


def test_one_file(tmp_path: Path) -> None:
    assert tensor_bytes(write(tmp_path / "model.safetensors", list(TENSORS))) == sum(SIZES.values())


def test_index_alone(tmp_path: Path) -> None:
    path = index(tmp_path, {"embed": "a.safetensors"}, total_size=15_000_000_000)
    assert tensor_bytes(path) == 15_000_000_000
    assert tensor_bytes(index(tmp_path, {"embed": "a.safetensors"}, total_size=1.5e10)) == 15_000_000_000


def test_index_with_its_files(tmp_path: Path) -> None:
    """The files count, and of them only what the index names: duplicates in other formats are not loaded."""
    write(tmp_path / "a.safetensors", ["embed", "scale"])
    write(tmp_path / "b.safetensors", ["q", "packed", "scale"])
    names = {"embed": "a.safetensors", "q": "b.safetensors", "scale": "b.safetensors"}
    assert tensor_bytes(index(tmp_path, names, total_size=99)) == 38400 + 4096 + 4 == sum(SIZES[k] for k in names)


def test_index_whose_files_are_not_there(tmp_path: Path) -> None:
    assert code(index(tmp_path, {"embed": "a.safetensors"})) == "safetensors-part-missing"
    assert code(index(tmp_path, {})) == "safetensors-part-missing"
    write(tmp_path / "a.safetensors", ["q"])
    assert code(index(tmp_path, {"embed": "a.safetensors"})) == "safetensors-corrupt"


def record(**changes: Any) -> Any:
    return {"t": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} | changes}


DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
BAD = {
    "empty": (b"", "truncated"),
    "short": (b"\x01", "truncated"),
    "endless header": (struct.pack("<Q", 1 << 63), "too-large"),
    "header beyond the file": (struct.pack("<Q", 4096) + b"{}", "truncated"),
    "no json": (raw(b"hello", 0), "not-safetensors"),
    "broken json": (raw(b"{,}", 0), "json-syntax"),
    "not utf-8": (raw(b'{"\xff": 1}', 0), "not-utf8"),
    "nan": (raw(b'{"a": NaN}', 0), "json-syntax"),
    "a number without end": (raw(b'{"a": ' + b"1" * 5000 + b"}", 0), "json-syntax"),
    "deep": (raw(DEEP, 0), "too-deep"),
    "twice": (raw(b'{"a": 1, "a": 1}', 0), "duplicate-key"),
    "record is a list": (raw({"t": []}, 0), "safetensors-corrupt"),
    "unknown type": (raw(record(dtype="F3"), 16), "safetensors-corrupt"),
    "type is no word": (raw(record(dtype=["F32"]), 16), "safetensors-corrupt"),
    "shape missing": (raw(record(shape=None), 16), "safetensors-corrupt"),
    "negative shape": (raw(record(shape=[-2, -2]), 16), "safetensors-corrupt"),
    "endless shape": (raw(record(shape=[1 << 59, 1 << 59]), 16), "safetensors-corrupt"),
    "shape of truth": (raw(record(shape=[True, 4]), 16), "safetensors-corrupt"),
    "wrong size": (raw(record(data_offsets=[0, 20]), 20), "safetensors-corrupt"),
    "backwards": (raw(record(data_offsets=[16, 0]), 16), "safetensors-corrupt"),
    "one offset": (raw(record(data_offsets=[16]), 16), "safetensors-corrupt"),
    "a hole": (raw(record(data_offsets=[16, 32]), 32), "safetensors-corrupt"),
    "data cut off": (raw(record(), 15), "truncated"),
}


@pytest.mark.parametrize(("content", "expected"), BAD.values(), ids=BAD)
def test_wrong_files(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert code(path) == expected


@pytest.mark.parametrize(
    "weight_map",
    [None, [], {"a": 1}, {"a": "../other.safetensors"}, {"a": "/etc/passwd"}, {"a": ".."}, {"a": ""}, {"a": "x\0y"}],
)
def test_wrong_maps(tmp_path: Path, weight_map: Any) -> None:
    assert code(index(tmp_path, weight_map, total_size=5)) == "safetensors-corrupt"


@pytest.mark.parametrize("total", ["5", -1, True, 1 << 70, 0.5, [5]])
def test_wrong_totals(tmp_path: Path, total: Any) -> None:
    assert code(index(tmp_path, {"a": "a.safetensors"}, total_size=total)) == "safetensors-corrupt"


def test_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "model.safetensors", list(TENSORS))
    monkeypatch.setattr(module, "MAX_TENSORS", 2)
    assert code(path) == "too-large"
    assert code(index(tmp_path, dict.fromkeys("abc", "a.safetensors"))) == "too-large"
    monkeypatch.setattr(module, "MAX_HEADER_BYTES", 100)
    assert code(path) == "too-large"


def test_what_is_no_file(tmp_path: Path) -> None:
    if hasattr(os, "mkfifo"):  # not on Windows, where it is missing
        os.mkfifo(tmp_path / "fifo.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("fifo.safetensors", "folder.safetensors", "missing.safetensors", "missing.json"):
        assert code(tmp_path / name) == "unreadable"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_other_bytes_are_an_input_error_or_read(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    content = bytearray(raw(header(TENSORS), sum(SIZES.values())))
    for at, byte in changes:
        content[at] = byte
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    try:
        assert tensor_bytes(path) <= len(content)
    except InputError as error:
        assert error.problems[0].place is not None
