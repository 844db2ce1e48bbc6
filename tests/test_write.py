"""Writing: all or nothing, and never over somebody else's work."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from generator.disk import placing, write
from generator.disk.write import WriteResult, write_spec
from generator.disk.written import Finding, compare, sha256
from generator.errors import CANNOT_WRITE, WriteError
from generator.render.artifact import Artifact

FILES = (
    Artifact("PLAN.md", "plan\n"),
    Artifact("vllm/serve.sh", "#!/bin/sh\n", executable=True),
    Artifact("vllm/config.yaml", "a: 1\n"),
)


def put(out: Path, files: tuple[Artifact, ...] = FILES, **options: Any) -> WriteResult:
    """Write the files of the spec `chat`."""
    return write_spec(out, "chat", files, **options)


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
        write_spec(tmp_path / out, name, files)
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


STEPS = [(Path, "replace"), (Path, "mkdir"), (os, "fdopen"), (placing, "flush")]
"""What may fail while files are written."""


@pytest.mark.parametrize("at", range(1, 40))
@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_half_way_leaves_the_old_state(at: int, exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        for owner, name in STEPS:
            patch.setattr(owner, name, step(getattr(owner, name)))
        try:
            put(tmp_path, new)
            failed = False
        except WriteError as error:
            failed = True
            assert "No space left on device" in str(error)
    assert failed or steps < at or at < 7  # where the lock cannot be had, files are written without it
    assert steps >= 20 or failed
    if failed:
        assert state(tmp_path) == before
    else:
        assert compare(tmp_path, "chat", new) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError):
        put(tmp_path)
    tmp_path.chmod(0o700)


def test_somebody_else_is_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "LOCK_WAIT_S", 0.1)
    with FileLock(tmp_path / write.LOCK):
        refused(tmp_path, "locked")
    put(tmp_path)
    assert not (tmp_path / write.LOCK).exists()


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


@pytest.mark.parametrize("path", ["notes.txt", "vllm/.env", "vllm/mine.sh"])
def test_a_manifest_alone_makes_no_file_ours(path: str, tmp_path: Path) -> None:
    """A committed manifest names a file of somebody's own, and `--prune --force` is said: the file does not say that it is ours."""
    put(tmp_path)
    (tmp_path / "chat" / path).write_text("precious")
    manifest = json.loads((tmp_path / "chat/manifest.json").read_text())
    manifest["files"][path] = "0" * 64
    (tmp_path / "chat/manifest.json").write_text(json.dumps(manifest))
    assert put(tmp_path, FILES[:1], prune=True, force=True).kept == (path,)
    write.remove_spec(tmp_path, "chat", force=True)
    assert (tmp_path / "chat" / path).read_text() == "precious"


SEALED = (*FILES, Artifact("vllm/if-missing-run-gen-deploy.0123456789abcdef.env", "GEN_DEPLOY_SET=0123456789abcdef\n"))
RESEALED = (
    Artifact("PLAN.md", "plan\n"),
    Artifact("vllm/serve.sh", "#!/bin/sh\n: new\n", executable=True),
    Artifact("vllm/config.yaml", "a: 1\n"),
    Artifact("vllm/if-missing-run-gen-deploy.fedcba9876543210.env", "GEN_DEPLOY_SET=fedcba9876543210\n"),
)


def test_a_seal_goes_with_its_files(tmp_path: Path) -> None:
    put(tmp_path, SEALED)
    result = put(tmp_path, RESEALED)
    assert result.removed == (SEALED[-1].path,)
    assert [p.name for p in (tmp_path / "chat/vllm").glob("*.env")] == [RESEALED[-1].path.split("/")[1]]


def test_a_stale_folder_loses_its_seal_and_keeps_its_files(tmp_path: Path) -> None:
    put(tmp_path, SEALED)
    result = put(tmp_path, (FILES[0],))
    assert result.removed == (SEALED[-1].path,)
    assert set(result.kept) == {"vllm/serve.sh", "vllm/config.yaml"}


def test_some_files_of_a_spec_leave_the_other_seals(tmp_path: Path) -> None:
    put(tmp_path, SEALED)
    job = (Artifact("quantize/run.sh", "x\n"), Artifact("quantize/if-missing-run-gen-deploy.1111111111111111.env", "x\n"))
    put(tmp_path, job, partial=True)
    assert (tmp_path / "chat" / SEALED[-1].path).exists()
    assert set(json.loads((tmp_path / "chat/manifest.json").read_text())["files"]) == {a.path for a in (*SEALED, *job)}


def test_stale_files_are_remembered_until_they_are_gone(tmp_path: Path) -> None:
    """Runs in between do not forget them: a later `--prune` finds them, and one that was edited is named each time."""
    put(tmp_path)
    (tmp_path / "chat/vllm/config.yaml").write_text("# Generated by gen-deploy from chat.yaml.\nmine\n")
    for _ in range(3):
        result = put(tmp_path, FILES[:1])
        assert set(result.kept) == {"vllm/serve.sh", "vllm/config.yaml"}
        assert result.edited == ("vllm/config.yaml",)
    assert [f.kind for f in compare(tmp_path, "chat", FILES[:1])] == ["stale-edited", "stale"]
    assert put(tmp_path, FILES[:1], prune=True).removed == ("vllm/serve.sh",)
    assert put(tmp_path, FILES[:1], prune=True, force=True).removed == ("vllm/config.yaml",)
    assert json.loads((tmp_path / "chat/manifest.json").read_text())["files"].keys() == {"PLAN.md"}


@pytest.mark.parametrize(
    "path",
    ["link/x", "link", "vllm/link/x", "../victim/x", "./../../victim/x", "/etc/x", "vllm//x", ".git/hooks/x", "a\nb", "C:\\x", "vllm/../x"],
)
@pytest.mark.parametrize("force", [True, False])
def test_pruning_believes_no_manifest_about_other_folders(path: str, force: bool, tmp_path: Path) -> None:
    """A committed manifest names files behind a symlink, or outside; with a right digest or any."""
    out = tmp_path / "deploy"
    put(out)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "x").write_text("precious")
    for link in ("chat/link", "chat/vllm/link"):
        (out / link).symlink_to(victim, target_is_directory=True)
    (out / "chat/.git/hooks").mkdir(parents=True)
    (out / "chat/.git/hooks/x").write_text("precious")
    manifest = json.loads((out / "chat/manifest.json").read_text())
    manifest["files"][path] = sha256(b"precious")
    manifest["unfinished"] = {path: sha256(b"precious")}
    (out / "chat/manifest.json").write_text(json.dumps(manifest))
    result = put(out, prune=True, force=force)
    assert result.removed == result.kept == ()
    assert (victim / "x").read_text() == "precious"
    assert (out / "chat/.git/hooks/x").exists() and (out / "chat/link").is_symlink()
    write.remove_spec(out, "chat", force=force)
    assert (victim / "x").read_text() == "precious"


def test_the_folder_of_another_spec_is_not_overwritten(tmp_path: Path) -> None:
    one, other = tmp_path / "a/chat.yaml", tmp_path / "b/chat.yaml"
    for spec in (one, other):
        spec.parent.mkdir()
        spec.touch()
    put(tmp_path, spec=one)
    assert json.loads((tmp_path / "chat/manifest.json").read_text())["spec"] == "../a/chat.yaml"
    before = state(tmp_path)
    with pytest.raises(WriteError, match=r"another-spec.*a/chat.yaml, which has the name 'chat' too"):
        put(tmp_path, spec=other)
    assert state(tmp_path) == before
    one.rename(tmp_path / "moved.yaml")
    put(tmp_path, spec=tmp_path / "moved.yaml")
    put(tmp_path, spec=other, force=True)
    assert json.loads((tmp_path / "chat/manifest.json").read_text())["spec"] == "../b/chat.yaml"


def test_the_manifest_tells_no_path_of_the_machine() -> None:
    """Of a spec that has only the root in common with the output folder the name is enough."""
    with tempfile.TemporaryDirectory(dir="/tmp") as out, tempfile.TemporaryDirectory(dir="/var/tmp") as there:
        spec = Path(there) / "chat.yaml"
        spec.touch()
        put(Path(out), spec=spec)
        assert json.loads((Path(out) / "chat/manifest.json").read_text())["spec"] == "chat.yaml"


def test_an_unfinished_run_is_seen_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends after some renames: the manifest knows both sides, and nothing that starts has a seal."""
    put(tmp_path, SEALED)
    real, left = Path.replace, 3

    class Killed(BaseException):
        pass

    def replace(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr("generator.disk.placing.Placed.undo", lambda self: None)
    with pytest.raises(Killed):
        put(tmp_path, RESEALED)
    monkeypatch.undo()
    assert not list((tmp_path / "chat/vllm").glob("*.env"))
    assert [f.kind for f in compare(tmp_path, "chat", RESEALED) if f.path == "manifest.json"] == ["unfinished"]
    put(tmp_path, RESEALED)
    assert compare(tmp_path, "chat", RESEALED) == []


@pytest.mark.parametrize("changed", [1, 3])
def test_one_sync_for_all_files(changed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files change; none where nothing does. (strace counts the same.)"""
    put(tmp_path)
    calls = []
    real = placing.flush

    def counted(folder: Path) -> None:
        calls.append(folder)
        real(folder)

    monkeypatch.setattr(placing, "flush", counted)
    monkeypatch.setattr(os, "fsync", lambda handle: pytest.fail("a file was synced by itself"))
    put(tmp_path, tuple(Artifact(a.path, a.text + "new\n" * (i < changed), a.executable) for i, a in enumerate(FILES)))
    put(tmp_path, tuple(Artifact(a.path, a.text + "new\n" * (i < changed), a.executable) for i, a in enumerate(FILES)))
    assert len(calls) == 1


def test_a_huge_file_in_the_way_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "chat").mkdir()
    with (tmp_path / "chat/PLAN.md").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(WriteError, match="not-ours"):
        put(tmp_path)


MOUNTS = """
set -e
mount -t tmpfs tmpfs "$1/chat"
cd "$2"
"$3" - "$1" <<'EOF_PY'
import sys
from pathlib import Path
from generator.errors import WriteError
from generator.render.artifact import Artifact
from generator.disk.write import write_spec
import subprocess
out = Path(sys.argv[1])
files = (Artifact("PLAN.md", "plan\\n"), Artifact("vllm/serve.sh", "#!/bin/sh\\n", executable=True))
assert write_spec(out, "chat", files).written
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(out / "chat/vllm")], check=True)
try:
    write_spec(out, "chat", files)
except WriteError as error:
    assert error.problems[0].code == "mount-point" and "mount" in str(error), error
else:
    raise AssertionError("written over a mount point")
EOF_PY
"""


@pytest.mark.skipif(subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode != 0, reason="needs user namespaces")
def test_mount_points(tmp_path: Path) -> None:
    """The spec's folder may be a mount point; one inside it is refused with the way out."""
    (tmp_path / "chat").mkdir()
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(["unshare", "-rm", "bash", "-c", MOUNTS, "x", str(tmp_path), str(root), sys.executable], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_first_writers_wait_for_each_other(tmp_path: Path) -> None:
    """Two processes write into a folder that neither finds: both are done."""
    program = (
        "import sys; from pathlib import Path; from generator.render.artifact import Artifact; from generator.disk.write import write_spec\n"
        "files = tuple(Artifact(f'f{n}', sys.argv[2] * n) for n in range(20))\n"
        "write_spec(Path(sys.argv[1]), 'chat', files, force=True)"
    )
    for n in range(6):
        out = tmp_path / str(n) / "out"
        both = [subprocess.Popen([sys.executable, "-c", program, str(out), word], cwd=Path(__file__).parents[1]) for word in "ab"]
        assert [one.wait(timeout=60) for one in both] == [0, 0]
        assert len({(out / f"chat/f{k}").read_text()[:1] for k in range(1, 20)}) == 1
        assert sorted(p.name for p in out.iterdir()) == ["chat"]
