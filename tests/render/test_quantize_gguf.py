"""`quantize/run.sh` of GGUF jobs under the real bash, with stub programs that note their words and write files of a given size."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.errors import GenDeployError
from generator.facts.job import Calibration, Job, Needs
from generator.render.quantize_gguf import ModelSource, quantize_gguf
from generator.render.seal import sealed

BYTES = 50_000
JOB = Job(
    "llama.cpp", "b11312", "gguf-q4_k_m", "Q4_K_M", "quantize/weights/model-Q4_K_M.gguf", BYTES, 4.8, Needs(0, 1 << 30, 1 << 20),
    dtype="bfloat16", tolerance=0.01,
)  # fmt: skip
HUB = ModelSource("org/model", "abc123", "../..")
NOTE = 'note() { printf "%s\\0" "$@" "--end--" >>"$STUB_LOG"; }\nmade() { head -c "$STUB_BYTES" /dev/zero >"$1"; }\n'
STUBS = {
    "llama-quantize": NOTE + 'case $1 in --dry-run) echo "version: 0.5.0 (build ${STUB_BUILD:-11312}, commit 0c1e57098)" >&2; exit 1 ;; esac\n'
    'note quantize "$@"\n[[ -z ${STUB_SLEEP:-} ]] || { made "${@: -2:1}"; sleep "$STUB_SLEEP"; }\nmade "${@: -2:1}"\n',
    "llama-imatrix": NOTE + 'note imatrix "$@"\nwhile (($#)); do [[ $1 != --output-file ]] || made "$2"; shift; done\n',
    "python3": NOTE + 'case $1 in -c) exit 0 ;; -) body="$(cat)" ;; esac\n'
    'if [[ ${body:-} == *snapshot_download* ]]; then note download "$@"; mkdir -p -- "${@: -1}"; exit; fi\n'
    'if [[ ${body:-} == *messages* ]]; then exec "$REAL_PYTHON" -c "$body" "${@:2}"; fi\n'
    'if [[ ${body:-} == *never* ]]; then note kept "$@"; else note free "$@"; fi\n'
    'while (($#)); do [[ $1 != --outfile ]] || made "$2"; shift; done\n',
    "convert_hf_to_gguf.py": "exit 9\n",
}
NASTY = ["a b", "it's", 'say "x"', "$(touch pwned)", "`touch pwned`", "${HOME}", "a;b", "*", "-x", "--force", "a\nb", "a=b", "模型", "\\", "%s", "{{ x }}", "#"]


@dataclass(frozen=True)
class Site:
    """A folder with stubs, and the script of a job in a folder of the spec's output."""

    root: Path

    @property
    def weights(self) -> Path:
        return self.root / "out" / "spec" / "quantize" / "weights"

    def write(self, job: Job = JOB, model: ModelSource = HUB) -> Path:
        artifact, seal = sealed([quantize_gguf(job, model, "written by a test", "0" * 16)], "0" * 16, "written by a test")
        path = self.root / "out" / "spec" / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(artifact.data)
        path.chmod(0o755)
        (self.root / "out" / "spec" / seal.path).write_bytes(seal.data)
        assert artifact.executable
        return path

    def environment(self, **more: str) -> dict[str, str]:
        stubs = self.root / "stubs"
        if not stubs.is_dir():
            stubs.mkdir()
            for name, body in STUBS.items():
                (stubs / name).write_text("#!/bin/bash\n" + body)
                (stubs / name).chmod(stat.S_IRWXU)
        real = shutil.which("python3") or ""
        return {
            "PATH": f"{stubs}:{os.environ['PATH']}", "HOME": str(self.root), "STUB_LOG": str(self.root / "log"), "STUB_BYTES": str(BYTES),
            "REAL_PYTHON": real, **more,
        }  # fmt: skip

    def run(self, path: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([path, *words], capture_output=True, text=True, env=self.environment(**more), cwd="/", timeout=30, check=False)

    @property
    def calls(self) -> list[list[str]]:
        """The words of each program that ran, its name first."""
        log = self.root / "log"
        words = log.read_text().split("\0")[:-1] if log.exists() else []
        found: list[list[str]] = [[]]
        for word in words:
            if word == "--end--":
                found.append([])
            else:
                found[-1].append(word)
        return found[:-1]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_from_a_repository(site: Site) -> None:
    done = site.run(site.write())
    assert done.returncode == 0, done.stderr
    assert [call[0] for call in site.calls] == ["download", "kept", "quantize"]
    assert site.calls[0][1:] == ["-", "org/model", "abc123", "source.part"]
    convert = site.calls[1]
    assert convert[3:] == [str(site.weights / "source"), "--outfile", "./converted.part.gguf", "--outtype", "bf16", "--model-name=model"]
    assert site.calls[2][1:] == ["./model-BF16.gguf", "./result.part.gguf", "Q4_K_M"]
    assert sorted(path.name for path in site.weights.iterdir()) == [".made-of", ".recipe", "model-Q4_K_M.gguf", "source"]
    assert "serve.sh" in done.stderr


def test_what_lies_there_is_not_made_again(site: Site) -> None:
    path = site.write()
    assert site.run(path, "--keep-16bit").returncode == 0
    assert (site.weights / "model-BF16.gguf").is_file()
    assert site.run(path).returncode == 0
    assert len(site.calls) == 3
    assert site.run(path, "--force").returncode == 0
    assert [call[0] for call in site.calls[3:]] == ["quantize"]
    assert not (site.weights / "model-BF16.gguf").exists()


def test_other_types_are_another_result(site: Site) -> None:
    site.run(site.write())
    path = site.write(replace(JOB, tensor_types={"attn_v": "q8_0", "blk.0-1,3": "q6_K"}))
    assert site.run(path).returncode == 0
    assert site.calls[-1][1:5] == [
        "--tensor-type", r"^(blk\.[0-9]+\.)?attn_v\.weight$=q8_0", "--tensor-type", r"^blk\.(0|1|3)\.=q6_K",
    ]  # fmt: skip


def test_files_of_another_model_are_not_taken(site: Site) -> None:
    site.run(site.write())
    path = site.write(model=replace(HUB, revision="def"))
    done = site.run(path)
    assert done.returncode == 1
    assert "org/model@abc123" in done.stderr
    assert site.run(path, "--force").returncode == 0
    assert [call[0] for call in site.calls[3:]] == ["download", "kept", "quantize"]


@pytest.mark.parametrize(("size", "code"), [(BYTES, 0), (BYTES * 101 // 100, 0), (BYTES * 102 // 100, 3), (BYTES * 98 // 100, 3)])
def test_the_size_is_compared(size: int, code: int, site: Site) -> None:
    done = site.run(site.write(), STUB_BYTES=str(size))
    assert done.returncode == code
    assert ("instead of about 50000" in done.stderr) is bool(code)


def test_another_build_is_said(site: Site) -> None:
    assert "warning" not in site.run(site.write()).stderr
    assert "written for llama.cpp b11312, found: build 113121" in site.run(site.write(), "--force", STUB_BUILD="113121").stderr


def test_little_disk_is_said(site: Site) -> None:
    done = site.run(site.write(replace(JOB, needs=Needs(0, 0, 1 << 60))))
    assert done.returncode == 0
    assert "this may take 1152921504.6 GB" in done.stderr


@pytest.mark.parametrize("name", ["llama-quantize", "convert_hf_to_gguf.py"])
def test_a_missing_program_is_named(name: str, site: Site) -> None:
    environment = site.environment(PATH=f"{site.root / 'stubs'}:/usr/bin:/bin")
    (site.root / "stubs" / name).unlink()
    done = subprocess.run([site.write()], capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert done.returncode == 127
    assert done.stderr.count(name) == 1
    assert "Traceback" not in done.stderr


def test_a_checkout_goes_before_the_path(site: Site) -> None:
    checkout = site.root / "check out"
    (checkout / "build" / "bin").mkdir(parents=True)
    (checkout / "convert_hf_to_gguf.py").touch()
    site.environment()
    shutil.copy(site.root / "stubs" / "llama-quantize", checkout / "build" / "bin")
    (site.root / "stubs" / "llama-quantize").unlink()
    assert site.run(site.write(), LLAMA_CPP=str(checkout)).returncode == 0
    assert site.calls[1][2] == str(checkout / "convert_hf_to_gguf.py")


# ---- the importance matrix

IMATRIX = replace(JOB, method="gguf-iq2_m", scheme="IQ2_M", imatrix=True)


def test_texts_are_asked_for(site: Site) -> None:
    done = site.run(site.write(IMATRIX))
    assert done.returncode == 2
    assert "--calibration FILE" in done.stderr
    assert not site.calls
    named = site.run(site.write(replace(IMATRIX, calibration=Calibration(8, 512, dataset="$(touch pwned)/x"))))
    assert "the dataset $(touch pwned)/x" in named.stderr


def test_texts_of_the_spec(site: Site) -> None:
    (site.root / "it's $(x).txt").write_text("words")
    job = replace(IMATRIX, calibration=Calibration(8, 512, file="../it's $(x).txt"))
    model = replace(HUB, back="../../../site")
    (site.root / "site").mkdir()
    done = site.run(site.write(job, model))
    assert done.returncode == 0, done.stderr
    words = site.calls[2]
    assert words[:5] == ["imatrix", "--model", "./model-BF16.gguf", "--file", str(site.weights.parent / "../../.." / "it's $(x).txt")]
    assert words[5:] == [
        "--output-file", "./imatrix.part.gguf", "--output-format", "gguf", "--no-ppl", "--gpu-layers", "0", "--chunks", "8", "--ctx-size", "512",
    ]  # fmt: skip
    assert site.calls[3][1:3] == ["--imatrix", f"imatrix-{sha256(b'words').hexdigest()[:12]}.gguf"]


def test_chats_become_text(site: Site) -> None:
    """The file is named from where the user stands; what is made of it is not left behind."""
    chats = site.root / "-chats.jsonl"
    chats.write_text('{"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]}\n\n{"text": "three"}\n')
    path = site.write(IMATRIX)
    words = [str(path), "--calibration", "-chats.jsonl", "--gpu-layers", "7"]
    done = subprocess.run(words, capture_output=True, text=True, env=site.environment(), cwd=site.root, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert site.calls[2][3:5] == ["--file", "texts.part.txt"]
    assert site.calls[2][-2:] == ["--gpu-layers", "7"]
    assert not list(site.weights.glob("*.part*"))


# ---- the repository's own code


def test_code_runs_only_where_the_spec_says_so(site: Site) -> None:
    done = site.run(site.write(model=replace(HUB, needs_code=True)))
    assert done.returncode == 1
    assert "trust_remote_code" in done.stderr
    assert not site.calls
    assert not site.weights.exists()
    done = site.run(site.write(model=replace(HUB, needs_code=True, trusted=True)))
    assert done.returncode == 0, done.stderr
    assert site.calls[1][0] == "free"


# ---- other starts


def test_from_a_file_in_16_bits(site: Site) -> None:
    (site.root / "big.gguf").write_bytes(b"x")
    path = site.write(model=ModelSource("~/big.gguf", None, "../..", gguf=True))
    done = site.run(path)
    assert done.returncode == 0, done.stderr
    assert site.calls == [["quantize", str(site.root / "big.gguf"), "./result.part.gguf", "Q4_K_M"]]
    assert (site.root / "big.gguf").exists()
    assert "--keep-16bit" not in path.read_text()


def test_from_a_folder(site: Site) -> None:
    (site.root / "models" / "tiny").mkdir(parents=True)
    done = site.run(site.write(model=ModelSource("./models/tiny", None, "../../..", sixteen="f16")))
    assert done.returncode == 0, done.stderr
    assert site.calls[0][3] == f"{site.weights.parent}/../../../models/tiny"
    assert "f16" in site.calls[0]
    missing = site.run(site.write(model=ModelSource("./none", None, "../../..")), "--force")
    assert missing.returncode == 1
    assert "no such folder" in missing.stderr


def test_what_is_left_out_is_said(site: Site) -> None:
    assert "--mmproj" not in site.run(site.write()).stderr
    assert "--mmproj" in site.run(site.write(model=replace(HUB, multimodal=True))).stderr


OLLAMA = replace(JOB, tool="ollama", scheme="q4_K_M", output="quantize/weights/model-F16.gguf")


def test_ollama_quantises_itself(site: Site) -> None:
    """The job ends with the file in 16 bits; llama-quantize is not even looked for."""
    site.environment()
    (site.root / "stubs" / "llama-quantize").unlink()
    path = site.write(OLLAMA)
    done = site.run(path)
    assert done.returncode == 0, done.stderr
    assert [call[0] for call in site.calls] == ["download", "kept"]
    assert site.calls[1][5:8] == ["./converted.part.gguf", "--outtype", "f16"]
    assert sorted(p.name for p in site.weights.glob("*.gguf")) == ["model-F16.gguf"]
    assert "q4_K_M" in done.stderr
    assert site.run(path).returncode == 0
    assert len(site.calls) == 2
    assert site.run(path, "--force").returncode == 0
    assert len(site.calls) == 3


def test_ollama_takes_a_file_as_it_is(site: Site) -> None:
    (site.root / "big.gguf").write_bytes(b"x" * BYTES)
    done = site.run(site.write(OLLAMA, ModelSource("/" + str(site.root / "big.gguf").lstrip("/"), None, "..", gguf=True)))
    assert done.returncode == 0, done.stderr
    assert (site.weights / "model-F16.gguf").read_bytes() == b"x" * BYTES
    assert (site.root / "big.gguf").exists()


# ---- broken off


def test_half_a_file_never_has_the_final_name(site: Site) -> None:
    path = site.write()
    environment = site.environment(STUB_SLEEP="30")
    running = subprocess.Popen([path], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 20
        part = site.weights / "result.part.gguf"
        while not (part.exists() and part.stat().st_size == BYTES) and time.monotonic() < until:
            time.sleep(0.02)
        assert part.exists()
        second = site.run(path)
        assert second.returncode == 1
        assert "is already producing these weights" in second.stderr
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert not (site.weights / "model-Q4_K_M.gguf").exists()
    assert part.exists()
    assert site.run(path).returncode == 0
    assert not part.exists()
    assert (site.weights / "model-Q4_K_M.gguf").stat().st_size == BYTES


def test_a_failed_step_leaves_nothing(site: Site) -> None:
    path = site.write()
    site.environment()
    quantizer = site.root / "stubs" / "llama-quantize"
    quantizer.write_text(quantizer.read_text() + "exit 5\n")
    assert site.run(path).returncode == 5
    assert sorted(p.name for p in site.weights.glob("*.gguf")) == ["model-BF16.gguf"]
    assert not (site.weights / ".running").exists()


# ---- what comes from a spec stays what it is

hostile = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=12))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(name=hostile, revision=hostile)
def test_names_are_literal(name: str, revision: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    shutil.rmtree(site.root / "out", ignore_errors=True)
    (site.root / "log").unlink(missing_ok=True)
    done = site.run(site.write(model=ModelSource(f"org/{name}", revision, "..")))
    assert done.returncode == 0, done.stderr
    assert site.calls[0][1:] == ["-", f"org/{name}", revision, "source.part"]
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("name", NASTY)
def test_folders_are_literal(name: str, tmp_path: Path) -> None:
    """The folder that the spec's files lie in, and a model in one."""
    site = Site(tmp_path / name)
    (site.root / name).mkdir(parents=True)
    model = site.root / name / f"{name}.gguf"
    model.write_bytes(b"x")
    stubs = Site(tmp_path).environment(STUB_LOG=str(site.root / "log"))
    path = site.write(model=ModelSource(f"./{name}/{name}.gguf", None, "../../..", gguf=True))
    done = subprocess.run([path], capture_output=True, text=True, env=stubs, cwd="/", timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(site.calls[0][1]).resolve() == model
    assert (site.weights / "model-Q4_K_M.gguf").exists()
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("kind", ["attn_v=f32 x", "blk", "blk.", "blk.a", "", "a b", "blk.1-", "a\nb", "ATTN_V"])
def test_odd_kinds_are_refused(kind: str) -> None:
    with pytest.raises(GenDeployError):
        quantize_gguf(replace(JOB, tensor_types={kind: "q8_0"}), HUB, "", "0" * 16)


@pytest.mark.parametrize("scheme", ["Q4_K_M; x", "", "Q4 K", "$(x)"])
def test_odd_schemes_are_refused(scheme: str) -> None:
    with pytest.raises(GenDeployError):
        quantize_gguf(replace(JOB, scheme=scheme), HUB, "", "0" * 16)


def test_options(site: Site) -> None:
    path = site.write()
    assert site.run(path, "--nonsense").returncode == 2
    assert site.run(path, "--calibration", "x").returncode == 2  # there is nothing to look at
    assert not site.weights.exists()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("job", [JOB, IMATRIX, OLLAMA], ids=["plain", "imatrix", "ollama"])
@pytest.mark.parametrize(
    "model",
    [HUB, ModelSource("./x", None, ".."), ModelSource("./x.gguf", None, "..", gguf=True), replace(HUB, trusted=True)],
    ids=["hub", "folder", "gguf", "trusted"],
)
def test_shellcheck(job: Job, model: ModelSource, site: Site) -> None:
    done = subprocess.run(["shellcheck", "--exclude=SC2100", site.write(job, model)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
