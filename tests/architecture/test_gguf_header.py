"""GGUF headers: what is read, and that nothing in a file can do harm."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf_file import F32, LLAMA, Q4_K, gguf, llama_tensors, text, write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import generator.readers.gguf_header as module
from generator.errors import InputError
from generator.readers.gguf_header import GgufArray, read_gguf
from generator.readers.resources import shipped

GOOD = gguf(LLAMA, llama_tensors())


def code(path: Path) -> str:
    """The code of the error that the file gives, which must name the file."""
    with pytest.raises(InputError) as caught:
        read_gguf(path, "model.gguf")
    (problem,) = caught.value.problems
    assert problem.place is not None and problem.place.path.endswith(".gguf")
    return problem.code


def test_reads_metadata_and_tensors(tmp_path: Path) -> None:
    header = read_gguf(write(tmp_path / "m.gguf", LLAMA | {"a.f": 0.5, "a.b": True, "a.big": 1 << 40}, llama_tensors()))
    assert header.version == 3 and header.parts == 1
    assert header.metadata["llama.block_count"] == 2
    assert (header.metadata["a.f"], header.metadata["a.b"], header.metadata["a.big"]) == (0.5, True, 1 << 40)
    assert header.metadata["tokenizer.ggml.tokens"] == GgufArray(3)
    first = header.tensors[0]
    assert (first.name, first.shape, first.type, first.size) == ("token_embd.weight", (256, 300), "q4_K", 300 * 144)
    assert header.tensor_bytes == sum(t.size for t in header.tensors)


def test_long_arrays_are_counted_not_kept(tmp_path: Path) -> None:
    header = read_gguf(write(tmp_path / "m.gguf", {"long": [7] * 5000, "short": [1, 2]}, ()))
    assert header.metadata["long"] == GgufArray(5000)
    assert header.metadata["short"] == GgufArray(2, (1, 2))


def head(version: int = 3, tensors: int = 0, pairs: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


def pair(kind: int, body: bytes, key: str | bytes = "k") -> bytes:
    return head(pairs=1) + text(key) + struct.pack("<I", kind) + body


def tensor(shape: tuple[int, ...], kind: int = 0, offset: int = 0, count: int | None = None) -> bytes:
    dimensions = len(shape) if count is None else count
    body = text("t") + struct.pack("<I", dimensions) + b"".join(struct.pack("<Q", n) for n in shape)
    return head(tensors=1) + body + struct.pack("<IQ", kind, offset) + bytes(256)


HUGE = struct.pack("<Q", (1 << 64) - 1)
BAD = {
    "empty": (b"", "not-gguf"),
    "other": (b"PK\x03\x04" + bytes(100), "not-gguf"),
    "pointer of git lfs": (b"version https://git-lfs.github.com/spec/v1\n", "lfs-pointer"),
    "magic only": (b"GGUF", "truncated"),
    "old version": (head(1), "gguf-version"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "gguf-version"),
    "no version": (head(0), "gguf-version"),
    "too many tensors": (head(tensors=1 << 40), "too-large"),
    "too many pairs": (head(pairs=1 << 63), "too-large"),
    "endless key": (head(pairs=1) + HUGE, "too-large"),
    "key is not utf-8": (pair(4, bytes(4), b"\xff\xfe"), "gguf-corrupt"),
    "endless text": (pair(8, HUGE), "too-large"),
    "text beyond the file": (pair(8, struct.pack("<Q", 1000)), "truncated"),
    "unknown value type": (pair(77, bytes(8)), "gguf-corrupt"),
    "array in an array": (pair(9, struct.pack("<IQ", 9, 1) + bytes(64)), "gguf-corrupt"),
    "array of unknown type": (pair(9, struct.pack("<IQ", 66, 1) + bytes(64)), "gguf-corrupt"),
    "endless array": (pair(9, struct.pack("<I", 5) + HUGE), "too-large"),
    "array beyond the file": (pair(9, struct.pack("<IQ", 5, 1 << 20)), "truncated"),
    "strings beyond the file": (pair(9, struct.pack("<IQ", 8, 3) + HUGE), "truncated"),
    "twice the same key": (head(pairs=2) + (text("k") + struct.pack("<II", 4, 1)) * 2, "gguf-corrupt"),
    "alignment of nothing": (pair(4, bytes(4), "general.alignment"), "gguf-corrupt"),
    "no dimensions": (tensor(()), "gguf-corrupt"),
    "too many dimensions": (tensor((1,), count=4_000_000_000), "gguf-corrupt"),
    "an empty tensor": (tensor((0, 4)), "gguf-corrupt"),
    "an endless tensor": (tensor((1 << 40, 1 << 40)), "gguf-corrupt"),
    "unknown tensor type": (tensor((32,), 4242), "unknown-ggml-type"),
    "rows that no block divides": (tensor((100, 2), 12), "gguf-corrupt"),
    "not aligned": (tensor((4,), offset=7), "gguf-corrupt"),
    "offset beyond the file": (tensor((4,), offset=1 << 60), "truncated"),
    "data cut off": (GOOD[:-1], "truncated"),
}


@pytest.mark.parametrize(("raw", "expected"), BAD.values(), ids=BAD)
def test_wrong_files(tmp_path: Path, raw: bytes, expected: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(raw)
    assert code(path) == expected


def test_tensors_that_overlap_or_share_a_name(tmp_path: Path) -> None:
    one = text("a") + struct.pack("<IQIQ", 1, 32, 0, 0)
    other = text("b") + struct.pack("<IQIQ", 1, 32, 0, 64)
    (tmp_path / "overlap.gguf").write_bytes(head(tensors=2) + one + other + bytes(1024))
    assert code(tmp_path / "overlap.gguf") == "gguf-corrupt"
    same = text("a") + struct.pack("<IQIQ", 1, 32, 0, 128)
    (tmp_path / "same.gguf").write_bytes(head(tensors=2) + one + same + bytes(1024))
    assert code(tmp_path / "same.gguf") == "gguf-corrupt"


def test_never_reads_more_than_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HEADER_BYTES", 4096)
    path = tmp_path / "m.gguf"
    path.write_bytes(head(pairs=1) + text("k") + struct.pack("<IIQ", 9, 5, 100_000))
    os.truncate(path, 1 << 32)
    assert code(path) == "too-large"


def test_what_is_no_file(tmp_path: Path) -> None:
    if hasattr(os, "mkfifo"):  # not on Windows, where it is missing
        os.mkfifo(tmp_path / "fifo.gguf")
    (tmp_path / "folder.gguf").mkdir()
    for name in ("fifo.gguf", "folder.gguf", "missing.gguf", "null\0.gguf"):
        assert code(tmp_path / name) == "unreadable"


def parts(folder: Path, count: int, written: int, change: Callable[[int, dict[str, int]], None] | None = None) -> Path:
    tensors = llama_tensors()
    for number in range(written):
        split = {"split.no": number, "split.count": count, "split.tensors.count": len(tensors)}
        if change:
            change(number, split)
        some = tensors[number::count]
        write(folder / f"m-{number + 1:05}-of-{count:05}.gguf", (LLAMA if not number else {}) | split, some)
    return folder / f"m-00001-of-{count:05}.gguf"


def test_parts_are_summed(tmp_path: Path) -> None:
    whole = read_gguf(write(tmp_path / "whole.gguf", LLAMA, llama_tensors()))
    first = parts(tmp_path, 3, 3)
    split = read_gguf(first)
    assert split.parts == 3
    assert (split.tensor_bytes, len(split.tensors)) == (whole.tensor_bytes, len(whole.tensors))
    last = read_gguf(tmp_path / "m-00003-of-00003.gguf")
    assert last.metadata["general.architecture"] == "llama"
    assert last.tensor_bytes == whole.tensor_bytes


def test_a_missing_part_is_an_error(tmp_path: Path) -> None:
    first = parts(tmp_path, 3, 2)
    assert code(first) == "gguf-part-missing"
    renamed = tmp_path / "renamed.gguf"
    renamed.write_bytes(first.read_bytes())
    assert code(renamed) == "gguf-part-missing"


def test_parts_that_do_not_belong_together(tmp_path: Path) -> None:
    def other(number: int, split: dict[str, int]) -> None:
        if number == 1:
            split["split.no"] = 0

    assert code(parts(tmp_path, 2, 2, other)) == "gguf-corrupt"

    def wrong_total(number: int, split: dict[str, int]) -> None:
        split["split.tensors.count"] = 7

    assert code(parts(tmp_path, 2, 2, wrong_total)) == "gguf-corrupt"

    def endless(number: int, split: dict[str, int]) -> None:
        split["split.count"] = 1 << 31

    assert code(parts(tmp_path, 2, 1, endless)) == "too-large"


MUTATIONS = st.lists(st.tuples(st.integers(0, 2200), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS, length=st.integers(0, len(GOOD)))
@example(mutations=[(8, 255)], length=len(GOOD))
def test_any_other_bytes_are_an_input_error_or_read(
    tmp_path: Path, mutations: list[tuple[int, int]], length: int
) -> None:
    raw = bytearray(GOOD)
    for at, byte in mutations:
        raw[at] = byte
    path = tmp_path / "m.gguf"
    for content in (bytes(raw), bytes(raw[:length])):
        path.write_bytes(content)
        try:
            header = read_gguf(path)
        except InputError as error:
            assert error.problems[0].place is not None
        else:
            assert header.tensor_bytes < len(content)


def test_types_used_here_are_known() -> None:
    assert all(shipped("gguf.json")["tensor_types"][str(t[0])][1:] == [*t[1:]] for t in (F32, Q4_K))
