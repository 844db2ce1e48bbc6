"""Writing: all or nothing, and never over somebody else's work."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from generator import write
from generator.errors import CANNOT_WRITE, WriteError
from generator.render.artifact import Artifact
from generator.write import Finding, WriteResult, compare, sha256, write_spec

FILES = (
    Artifact("PLAN.md", "plan\n"),
    Artifact("vllm/serve.sh", "#!/bin/sh\n", executable=True),
    Artifact("vllm/config.yaml", "a: 1\n"),
)
EXTRA = {"generator": "gen-deploy 1", "rules": "0123"}


def put(out: Path, files: tuple[Artifact, ...] = FILES, **options: Any) -> WriteResult:
    """Write the files of the spec `chat`."""
    return write_spec(out, "chat", files, EXTRA, **options)


def state(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder: kind and mode, time of change, content."""
    found = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        content = (
            path.read_bytes()
            if stat.S_ISREG(info.st_mode)
            else str(path.readlink()).encode()
            if path.is_symlink()
            else b""
        )
        found[str(path.relative_to(root))] = (info.st_mode, 0 if path.is_dir() else info.st_mtime_ns, content)
    return found


def test_a_new_folder(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    result = put(out)
    assert result.written == ("PLAN.md", "vllm/serve.sh", "vllm/config.yaml", "manifest.json")
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*")) == [
        "chat",
        "chat/PLAN.md",
        "chat/manifest.json",
        "chat/vllm",
        "chat/vllm/config.yaml",
        "chat/vllm/serve.sh",
    ]
    assert os.access(out / "chat/vllm/serve.sh", os.X_OK)
    assert not os.access(out / "chat/PLAN.md", os.X_OK)
    manifest = json.loads((out / "chat/manifest.json").read_text())
    assert manifest == {
        **EXTRA,
        "files": {
            "PLAN.md": sha256(b"plan\n"),
            "vllm/config.yaml": sha256(b"a: 1\n"),
            "vllm/serve.sh": sha256(b"#!/bin/sh\n"),
        },
    }
    assert compare(out, "chat", FILES) == []


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        put(tmp_path)
    finally:
        os.umask(old)
    modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.rglob("*")}
    assert modes["chat"] == modes["vllm"] == modes["serve.sh"] == 0o750
    assert modes["PLAN.md"] == modes["manifest.json"] == 0o640


def test_nothing_changed_touches_nothing(tmp_path: Path) -> None:
    put(tmp_path)
    before = state(tmp_path)
    folder_time = (tmp_path / "chat").stat().st_mtime_ns
    result = put(tmp_path)
    assert result.written == ()
    assert len(result.unchanged) == 4
    assert state(tmp_path) == before
    assert (tmp_path / "chat").stat().st_mtime_ns == folder_time


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    put(tmp_path)
    before = state(tmp_path)
    result = put(tmp_path, (Artifact("PLAN.md", "new\n"), *FILES[1:]))
    assert result.written == ("PLAN.md", "manifest.json")
    after = state(tmp_path)
    assert {p for p in after if after[p] != before[p]} == {"chat/PLAN.md", "chat/manifest.json"}


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "chat/notes.txt").write_text("mine")
    (tmp_path / "chat/vllm/.env").write_text("mine")
    put(tmp_path, (Artifact("PLAN.md", "new\n"),), prune=True)
    assert (tmp_path / "chat/notes.txt").read_text() == "mine"
    assert (tmp_path / "chat/vllm/.env").read_text() == "mine"
    assert not (tmp_path / "chat/vllm/serve.sh").exists()


def test_stale_files_stay_unless_pruned(tmp_path: Path) -> None:
    put(tmp_path)
    result = put(tmp_path, FILES[:1])
    assert set(result.kept) == {"vllm/serve.sh", "vllm/config.yaml"}
    assert (tmp_path / "chat/vllm/serve.sh").exists()


def test_pruning_spares_what_was_edited(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "chat/vllm/config.yaml").write_text("mine\n")
    result = put(tmp_path, FILES[:1], prune=True)
    assert result.removed == ("vllm/serve.sh",)
    assert result.kept == ("vllm/config.yaml",)
    assert (tmp_path / "chat/vllm/config.yaml").read_text() == "mine\n"


def test_pruning_takes_empty_folders_too(tmp_path: Path) -> None:
    put(tmp_path)
    put(tmp_path, FILES[:1], prune=True)
    assert not (tmp_path / "chat/vllm").exists()


def refused(
    tmp_path: Path, code: str, files: tuple[Artifact, ...] = FILES, name: str = "chat", out: str = "."
) -> WriteError:
    """Writing is refused, with that code, and nothing changes."""
    before = state(tmp_path)
    with pytest.raises(WriteError) as caught:
        write_spec(tmp_path / out, name, files, EXTRA)
    assert caught.value.exit_code == CANNOT_WRITE
    assert {p.code for p in caught.value.problems} == {code}
    assert state(tmp_path) == before
    return caught.value


def test_an_edited_file_is_not_overwritten(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "chat/PLAN.md").write_text("mine\n")
    error = refused(tmp_path, "edited-by-hand", (Artifact("PLAN.md", "new\n"), Artifact("vllm/serve.sh", "new\n")))
    assert "PLAN.md" in str(error)
    put(tmp_path, force=True)
    assert (tmp_path / "chat/PLAN.md").read_text() == "plan\n"


def test_an_edited_file_blocks_even_where_nothing_new_is_generated(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "chat/PLAN.md").write_text("mine\n")
    refused(tmp_path, "edited-by-hand")


def test_an_edit_that_is_what_we_would_write_is_fine(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "chat/PLAN.md").write_text("new\n")
    assert put(tmp_path, (Artifact("PLAN.md", "new\n"), *FILES[1:])).written == ("manifest.json",)


def test_a_file_that_is_not_ours_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat/PLAN.md").write_text("mine\n")
    refused(tmp_path, "not-ours")
    put(tmp_path, force=True)


@pytest.mark.parametrize(
    "manifest", ["{", "[]", '{"files": 1}', '{"files": {"../../x": "y", "/etc/passwd": "z", "PLAN.md": 3}}', "\x00"]
)
def test_a_broken_manifest_claims_nothing(manifest: str, tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "chat/manifest.json").write_text(manifest)
    refused(tmp_path, "not-ours", (Artifact("PLAN.md", "new\n"),))
    assert put(tmp_path, prune=True, force=True).removed == ()


def test_a_symlink_for_the_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "chat").symlink_to("elsewhere")
    refused(tmp_path, "symlink")


def test_a_symlink_inside(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat/vllm").symlink_to("../elsewhere")
    refused(tmp_path, "symlink")


@pytest.mark.parametrize("path", ["PLAN.md", "manifest.json", "vllm/serve.sh"])
def test_a_symlink_for_a_file(path: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "chat/vllm").mkdir(parents=True)
    (tmp_path / "chat" / path).symlink_to(tmp_path / "precious")
    refused(tmp_path, "symlink")


def test_a_dangling_symlink(tmp_path: Path) -> None:
    (tmp_path / "chat").symlink_to("nowhere")
    refused(tmp_path, "symlink")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "chat").write_text("mine")
    refused(tmp_path, "not-a-folder")


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "chat/PLAN.md").mkdir(parents=True)
    refused(tmp_path, "not-a-file")


def test_a_fifo_where_a_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "chat").mkdir()
    os.mkfifo(tmp_path / "chat/PLAN.md")
    with pytest.raises(WriteError, match="not-a-file"):
        put(tmp_path)


def test_out_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    refused(tmp_path, "not-a-folder", out="out")
    (tmp_path / "other").write_text("mine")
    refused(tmp_path, "not-a-folder", out="other/deeper")


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", ""])
def test_paths_that_leave(path: str, tmp_path: Path) -> None:
    refused(tmp_path, "bad-path", (Artifact(path, "x"),))


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_names_that_leave(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    refused(tmp_path, "bad-path", name=name, out="in")


@pytest.mark.parametrize("at", range(1, 12))
@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_half_way_leaves_the_old_state(
    at: int, exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up, or goes away, at the n-th step of staging and renaming."""
    if exists:
        put(tmp_path)
        (tmp_path / "chat/mine").write_text("mine")
    before = state(tmp_path)
    steps = 0

    def step(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == at:
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        return call

    new = (*(Artifact(a.path, a.text + "new\n", a.executable) for a in FILES), Artifact("tgi/serve.sh", "x\n"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", step(os.fsync))
        patch.setattr(Path, "replace", step(Path.replace))
        patch.setattr(Path, "rename", step(Path.rename))
        try:
            put(tmp_path, new)
            failed = False
        except WriteError as error:
            failed = True
            assert "No space left on device" in str(error)
    # five files are synced, then five renamed, or three new folders synced (as well as it goes) and one renamed
    assert failed is (at <= 10 if exists else at <= 5 or at == 9)
    if failed:
        assert state(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError):
        put(tmp_path)
    tmp_path.chmod(0o700)


def test_somebody_else_is_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "LOCK_WAIT_S", 0.1)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        refused(tmp_path, "locked")
    finally:
        os.close(handle)
    put(tmp_path)


def test_compare(tmp_path: Path) -> None:
    assert [f.kind for f in compare(tmp_path, "chat", FILES)] == ["missing"] * 4
    put(tmp_path)
    (tmp_path / "chat/PLAN.md").write_text("mine\n")
    (tmp_path / "chat/vllm/serve.sh").chmod(0o644)
    found = compare(tmp_path, "chat", (*FILES[:2], Artifact("vllm/compose.yaml", "x\n")))
    assert found == [
        Finding("edited", "PLAN.md"),
        Finding("missing", "vllm/compose.yaml"),
        Finding("stale", "vllm/config.yaml"),
        Finding("differs", "vllm/serve.sh"),
    ]
    assert compare(tmp_path, "chat", (Artifact("PLAN.md", "plan\n"), *FILES[1:]))[0] == Finding("edited", "PLAN.md")
    (tmp_path / "chat/PLAN.md").write_text("plan\n")
    assert Finding("differs", "PLAN.md") in compare(tmp_path, "chat", (Artifact("PLAN.md", "new\n"), *FILES[1:]))
