"""Plans on every platform: the same words everywhere, read back by each platform's reader; what cannot be carried is refused."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "render"))

import platform_readers as readers
from platform_readers import Seen
from render_plans import book, candidate, engines, plan

from generator.cli.files import candidates, rendered
from generator.cli.main import main
from generator.decide.decision import Outcome, decide
from generator.errors import GenDeployError, InputError
from generator.plan import Candidate, Plan
from generator.platforms import refused
from generator.readers.document import read_yaml
from generator.render.files import artifacts
from generator.render.launch import Launch, launch_of
from generator.render.spelling import entry_of
from generator.render.words import Beside, Ref
from generator.rulebook.book import RuleBook, load
from generator.spec.deployment import read_spec

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("docker", "kubernetes", "lws", "slurm", "quadlet", "systemd")
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.yaml") if path.name != "gen-deploy.yaml")
CASES, SEED = int(os.environ.get("GEN_DEPLOY_WORDS", "2000")), 24
"""Generated words for every platform; .ci/platforms asks for ten thousand."""


@lru_cache(1)
def rules() -> RuleBook:
    return load("default")


@lru_cache(64)
def decided(path: Path) -> Outcome:
    return decide(read_spec(path), rules())


def written(launch: Launch, work: Path, target: str) -> tuple[Launch, dict[str, str]]:
    """The files of a plan on a platform, on disk; and the launch of one server there."""
    from generator.platforms import _of_one_server

    made = replace(launch.plan, spec={**launch.plan.spec, "deploy": {**launch.plan.spec["deploy"], "targets": [target]}})
    files = artifacts(made, [launch.candidate], launch.book, back="../../..")
    for file in files:
        path = work / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
    name = launch.engine.name
    found = {file.path.removeprefix(f"{name}/"): file.text for file in files if file.path.startswith(f"{name}/")}
    return _of_one_server(launch_of(made, launch.candidate, launch.book, "../../.."), launch.book.section("platforms")[target]), found


def seen_on(target: str, launch: Launch, files: Mapping[str, str], work: Path) -> list[Seen]:
    """What the servers of a plan get on a platform, by its reader."""
    folder, name = work / launch.engine.name, launch.plan.name
    match target:
        case "docker":
            return [readers.docker(one) for one in readers.run(folder / "docker.sh", work, creates=launch.creates_model)]
        case "kubernetes":
            return readers.pods(readers.documents(files["kubernetes/deployment.yaml"]))
        case "lws":
            return readers.pods([one for one in readers.documents(files["lws.yaml"]) if one["kind"] == "LeaderWorkerSet"])
        case "slurm":
            return readers.run(folder / "slurm.sbatch", work, nodes=launch.nodes)
        case "quadlet":
            return [readers.quadlet(files[f"{name}.container"])]
        case _:
            return [readers.service(files[f"{name}.conf" if launch.creates_model else f"{name}.service"])]


def meant(target: str, launch: Launch, work: Path) -> list[str]:
    """The words of the plan, as the launch says them, without what a machine of several adds."""
    inside = launch.book.section("platforms")[target]["runs"] == "image"
    container = launch.facts["container"]
    words = launch.words(inside=inside)
    if inside:
        entry = list(container["entrypoint"]) if container.get("explicit_entrypoint") else []
        words = [*entry, *container["prefix"], *words]
    elif target == "systemd" and launch.creates_model:
        words = []
    else:
        words = [*launch.program(), *words]
    if target == "slurm" and not launch.deploy.get("port"):  # the job appends a port of its own
        at = words.index(entry_of(launch.engine, "port")["flag"])
        del words[at : at + 2]
    folder = f"/etc/{launch.plan.name}" if target == "systemd" else str(work / launch.engine.name)

    def text(word: Any) -> str:
        if isinstance(word, Ref):
            return readers.SECRETS[word.name] + word.suffix if target not in ("kubernetes", "lws") else f"secret {word.name}{word.suffix}"
        return f"{folder}/{word.path}" if isinstance(word, Beside) else str(word)

    return [text(word) for word in words]


def same(target: str, launch: Launch, files: Mapping[str, str], work: Path) -> list[Seen]:
    """Raise unless every server of the platform gets the plan's words and variables; what they get."""
    found, words = seen_on(target, launch, files, work), meant(target, launch, work)
    for rank, one in enumerate(found):
        assert one.words[: len(words)] == words, target
        rest = one.words[len(words) :]
        if target in ("lws", "slurm") and launch.nodes > 1:
            if launch.has("node_rank"):
                given = rest[rest.index(entry_of(launch.engine, "node_rank")["flag"]) + 1]
                assert given == ("1" if target == "lws" else str(rank)), "the rank of a machine"
                headless = launch.engine.spelling("headless")
                assert headless is None or (headless["flag"] in rest) is (rank > 0)
        elif target == "slurm":
            assert rest == [] or rest[0] == entry_of(launch.engine, "port")["flag"]
        else:
            assert rest == [], target
        inside = target in ("docker", "kubernetes", "lws", "quadlet")
        for name, value in launch.env().items():
            if isinstance(value, str) and (inside or target != "slurm" or name in one.env):
                assert one.env[name] == value, name
        for name, value in (launch.plan.spec["deploy"].get("env") or {}).items():
            assert one.env[name] == value, f"{target}: {name}"
    return found


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_same_words_on_every_platform(path: Path, tmp_path: Path) -> None:
    outcome = decided(path)
    if outcome.plan.choice is None:
        return
    carried = 0
    for target in TARGETS:
        launch = launch_of(outcome.plan, outcome.plan.choice, rules(), "../../..")
        if list(refused(launch, target, rules().section("platforms")[target])):
            continue
        carried += 1
        work = tmp_path / target
        of_one, files = written(launch, work, target)
        found = same(target, of_one, files, work)
        assert len(found) == (of_one.nodes if target in ("lws", "slurm") else 1)
    assert carried or outcome.plan.facts["gpu.vendor"] == "apple" or "gpus" in outcome.plan.spec["hardware"]


@pytest.mark.parametrize("engine", engines())
def test_every_engine_on_every_platform(engine: str, tmp_path: Path) -> None:
    """With a key, variables and a name that each platform would expand or divide."""
    one = candidate(engine)
    name = "a $(HF_TOKEN) ${X} $$ %n 100%" if book().section("engines")[engine].get("served_names") is None else "no"
    if "served_name" in one.settings:
        one = replace(one, settings={**one.settings, "served_name": name})
    made = plan(one, deploy={"api_key_from": "MY_KEY", "served_name": name, "env": {"A": "$B ${C} $(HF_TOKEN) $$ %h '\"\\ \t;", "N": "1e3", "L": "no"}})
    launch = launch_of(made, one, book(), "../../..")
    for target in TARGETS:
        if any(why for _, why in refused(launch, target, book().section("platforms")[target])):
            continue
        work = tmp_path / target
        of_one, files = written(launch, work, target)
        for seen in same(target, of_one, files, work):
            text = "".join(files.values())
            assert "s3cret" not in text
            if "api_key_env" in launch.facts and target in ("docker", "kubernetes"):
                assert seen.env[launch.facts["api_key_env"]] == ("s3cret" if target == "docker" else "secret MY_KEY")


PIECES = ["$", "$$", "${", "}", "$(", ")", "%", "%%", "%n", "\\", "'", '"', " ", "\t", ";", "&", "|", "<", ">", "`", "#", ": ", "- ", "{{", "}}", "{%",
          "~", "*", "?", "!", "@", "=", ",", "é", "日本", "\u200b", "\u0085", "\x7f", "\x01", "HF_TOKEN", "A", "1e3", "no", "null", "0x1f",
          "0o17", "on", "x", "[", "]"]  # fmt: skip


def words(count: int) -> Iterator[str]:
    """Words made of what platforms expand, divide or take for another type; the same ones every time."""
    chosen = random.Random(SEED)
    known = ["1e3", "no", ";", "0o17", "~", "$(HF_TOKEN)", "${HF_TOKEN}", "%n", "$$", "a$$b", "=", "-", "--", "'", '"', "\\", "\\n", "$", "%", "#", "{}"]
    yield from known
    for _ in range(count - len(known)):
        yield "".join(chosen.choice(PIECES) for _ in range(chosen.randint(1, 8)))


def test_generated_words_arrive_on_every_platform(tmp_path: Path) -> None:
    """As variables, served name and path of the weights: what is not refused arrives."""
    batch, arrived, turned = 40, 0, 0
    every = list(words(CASES))
    for at in range(0, len(every), batch):
        some = every[at : at + batch]
        name = next((w for w in some if w.strip() and not w.startswith("-") and w.isprintable()), "x")
        place = "/data/" + next((w.replace("/", "") for w in reversed(some) if w.isprintable()), "x").replace("..", "") + "/m"
        one = candidate("vllm", checkpoint=place, settings={"served_name": name})
        made = plan(one, deploy={"served_name": name, "env": {f"V{i}": w for i, w in enumerate(some)}, "api_key_from": "MY_KEY"})
        launch = launch_of(made, one, book(), "../../..")
        for target in ("docker", "kubernetes", "slurm", "quadlet", "systemd"):
            said = [path for path, _ in refused(launch, target, book().section("platforms")[target])]
            if said:
                assert target == "quadlet" and (name == ";" or ":" in place)
                turned += 1
                continue
            work = tmp_path / target
            of_one, files = written(launch, work, target)
            for seen in same(target, of_one, files, work):
                arrived += len(some)
                if target == "docker":
                    assert [m["source"] for m in seen.more["mounts"] if m["type"] == "bind" and m["source"].startswith("/data")] == [place]
    assert arrived >= 4 * CASES and turned < 20


REFUSED = [
    ("kubernetes", 'name: "1e3"', "name", "begins with a letter"),
    ("kubernetes", f"name: {'a' * 63}", "name", "longer than the 56"),
    ("lws", "name: ok", "targets", "fits on one"),
    ("kubernetes", "hardware: {gpu: L4-24GB, devices: [0]}", "devices", "chooses a pod's cards"),
    ("kubernetes", "deploy: {targets: [kubernetes], cache_dir: /c}", "cache_dir", "no folder of this machine"),
    ("quadlet", 'deploy: {targets: [quadlet], served_name: ";"}\npin: {engine: llama.cpp}', "served_name", "at the word"),
    ("slurm", "hardware: {gpu: L4-24GB, devices: [1]}", "devices", "chooses a job's cards"),
    ("slurm", "pin: {engine: llama.cpp}", "targets", "cannot start llama.cpp"),
    ("docker", "hardware: {gpu: M3-Max-128GB}", "targets", "no container image"),
]


@pytest.mark.parametrize(("target", "line", "at", "why"), REFUSED, ids=lambda value: str(value)[:20])
def test_what_cannot_be_carried_is_refused_at_its_place(target: str, line: str, at: str, why: str, tmp_path: Path) -> None:
    given = {"model": "model: Qwen/Qwen2.5-7B-Instruct", "hardware": "hardware: {gpu: L4-24GB}", "deploy": f"deploy: {{targets: [{target}]}}"}
    given[line.partition(":")[0]] = line
    path = tmp_path / "spec.yaml"
    path.write_text("\n".join(given.values()) + "\n")
    outcome = decide(read_spec(path), rules())
    with pytest.raises(InputError) as raised:
        rendered(outcome, rules(), tmp_path / "out", False)
    problem = next(p for p in raised.value.problems if why in p.message)
    assert problem.code == "target-refused" and problem.place is not None
    text = path.read_text().splitlines()[problem.place.line - 1]
    assert at in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "-x"])
def test_a_served_name_that_is_none_is_refused_before(name: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(f"model: Qwen/Qwen2.5-7B-Instruct\nhardware: {{gpu: L4-24GB}}\ndeploy:\n  targets: [kubernetes]\n  served_name: {json.dumps(name)}\n")
    with pytest.raises(GenDeployError) as raised:
        read_spec(path)
    place = raised.value.problems[0].place
    assert place is not None and place.line == 5


def manifests(deploy: Mapping[str, Any] | None = None, one: Candidate | None = None, target: str = "kubernetes", **changes: Any) -> dict[str, Any]:
    """The objects of a plan on Kubernetes, by kind."""
    one = one or candidate("vllm")
    made: Plan = plan(one, deploy={"targets": [target], **(deploy or {})}, **changes)
    found: dict[str, Any] = {}
    for file in artifacts(made, [one], book()):
        if file.path.endswith(".yaml") and ("kubernetes/" in file.path or "lws" in file.path):
            found |= {document["kind"]: document for document in readers.documents(file.text)}
    return found


def test_the_pod_holds_what_the_plan_says() -> None:
    found = manifests({"namespace": "llm"})
    spec = found["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == container["resources"]["requests"]["nvidia.com/gpu"] == "2"
    assert spec["enableServiceLinks"] is False and spec["automountServiceAccountToken"] is False
    shm = next(volume["emptyDir"] for volume in spec["volumes"] if volume["name"] == "shm")
    assert shm["medium"] == "Memory" and int(container["resources"]["limits"]["memory"][:-2]) > int(shm["sizeLimit"][:-2])
    assert found["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    assert {document["metadata"].get("namespace") for kind, document in found.items() if kind != "Kustomization"} == {"llm"}
    probe, launch = container["startupProbe"], launch_of(plan(candidate("vllm")), candidate("vllm"), book(), "")
    assert probe["failureThreshold"] * probe["periodSeconds"] >= launch.start_up.seconds
    assert found["Deployment"]["spec"]["progressDeadlineSeconds"] >= launch.start_up.seconds
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (found["Service"]["spec"]["selector"], found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    assert container["ports"][0]["name"] == found["Service"]["spec"]["ports"][0]["targetPort"] == probe["httpGet"]["port"]
    text = str(found)
    assert not re.search(r"privileged|hostPath|hostNetwork|hostIPC", text)
    assert "PodDisruptionBudget" not in found and "HorizontalPodAutoscaler" not in found


def test_whole_replicas_are_pods_of_their_own_on_machines_of_their_own() -> None:
    one = candidate("vllm", replicas=4, settings={"data_parallel": 4})
    found = manifests(one=one, hardware={"gpus_per_node": 2, "nodes": 4})
    spec = found["Deployment"]["spec"]
    assert spec["replicas"] == found["HorizontalPodAutoscaler"]["spec"]["maxReplicas"] == 4
    assert spec["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert "data-parallel-size" not in found["ConfigMap"]["data"]["config.yaml"]
    assert found["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == spec["selector"]["matchLabels"]
    assert found["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]["metric"]["name"] == "vllm_num_requests_waiting"


def test_a_group_has_as_many_machines_as_the_plan() -> None:
    one = candidate("sglang", tensor_parallel=2, pipeline_parallel=2, settings={"pipeline_parallel": 2})
    found = manifests(one=one, target="lws", hardware={"gpus_per_node": 2, "nodes": 2})
    spec = found["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    assert spec["size"] == 2
    leader, worker = (spec[key]["spec"]["containers"][0] for key in ("leaderTemplate", "workerTemplate"))
    assert "startupProbe" in leader and "startupProbe" not in worker
    assert leader["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert {"name": "NCCL_SOCKET_IFNAME", "value": "eth0"} in worker["env"]
    assert worker["args"][-1] == "$(LWS_LEADER_ADDRESS):20000"
    schema = read_yaml(ROOT / "tests/data/platforms/lws-v1.yaml").data
    assert not [*Draft202012Validator(schema).iter_errors(found["LeaderWorkerSet"])]
    broken = {**found["LeaderWorkerSet"], "spec": {**found["LeaderWorkerSet"]["spec"], "replica": 1}}
    assert [*Draft202012Validator(schema).iter_errors(broken)], "unknown fields are refused"


def test_a_budget_follows_weights_bandwidths_and_what_is_on_disk() -> None:
    def seconds(one: Candidate, **hardware: float) -> int:
        return launch_of(plan(one, hardware=hardware), one, book(), "").start_up.seconds

    small = candidate("vllm")
    assert small.memory is not None
    large = replace(small, tensor_parallel=8, memory=small.memory._replace(weights=80 << 30))
    assert seconds(small) < seconds(large)
    assert seconds(replace(small, checkpoint="/data/model")) < seconds(small)
    assert seconds(small, download_mb_per_s=1000, disk_mb_per_s=5000) < seconds(small, download_mb_per_s=100)


def test_the_target_of_the_command_line_replaces_the_specs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\n")
    assert main([str(path), "-o", str(tmp_path / "out"), "-q", "--target", "docker", "--target", "quadlet"]) == 0
    names = {file.name for file in (tmp_path / "out/a/vllm").iterdir()}
    assert {"docker.sh", "a.container", "a.volume", "config.yaml"} <= names and not {"serve.sh", "compose.yaml"} & names
    assert main(["check", str(path), "-o", str(tmp_path / "out"), "--target", "docker", "--target", "quadlet"]) == 0
    assert main(["check", str(path), "-o", str(tmp_path / "out")]) == 3
    capsys.readouterr()
    assert main([str(path), "-o", str(tmp_path / "out"), "--target", "kubernets"]) == 1
    assert "did you mean" in capsys.readouterr().err


def test_a_platform_is_imported_only_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: Qwen/Qwen2.5-7B-Instruct\nhardware: {gpu: L4-24GB}\n")
    program = "import sys; from generator.cli.main import main; main(sys.argv[1:]); print([m for m in sys.modules if 'generator.platforms' in m])"
    for more, loaded in (([], []), (["--target", "slurm"], ["generator.platforms", "generator.platforms.slurm"])):
        arguments = [str(tmp_path / "a.yaml"), "-o", str(tmp_path / "out"), "-q", *more]
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout.strip().splitlines()[-1] == str(loaded)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here; .ci/platforms has it")
@pytest.mark.parametrize("engine", engines())
def test_systemd_reads_the_unit(engine: str, tmp_path: Path) -> None:
    one = candidate(engine)
    made = plan(one, deploy={"targets": ["systemd"], "env": {"A": "$B %h \\ ' \""}})
    unit = next(file for file in artifacts(made, [one], book()) if file.path.endswith((".service", ".conf")))
    if unit.path.endswith(".conf"):
        return
    (tmp_path / "chat.service").write_text(unit.text.replace("/usr/bin/curl", "/usr/bin/env"))
    done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / "chat.service")], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "chat.service" in line]
    assert not ours, ours


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not here; .ci/platforms has it")
@pytest.mark.parametrize("engine", engines())
def test_shellcheck_reads_the_scripts(engine: str, tmp_path: Path) -> None:
    one = candidate(engine)
    found = 0
    for target in ("docker", "slurm", "script"):
        if target == "slurm" and engine not in ("vllm", "sglang", "tensorrt-llm"):
            continue
        for file in artifacts(plan(one, deploy={"targets": [target], "env": {"A": "$B `id` ' \""}}), [one], book()):
            if file.path.endswith((".sh", ".sbatch")):
                path = tmp_path / f"{target}-{Path(file.path).name}"
                path.write_text(file.text)
                done = subprocess.run(["shellcheck", "--shell=bash", "--severity=warning", str(path)], capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout
                found += 1
    assert found >= 4


QUADLET = Path(os.environ.get("QUADLET_BIN") or "/usr/libexec/podman/quadlet")


@pytest.mark.skipif(not QUADLET.is_file(), reason="Podman 5 is not here (QUADLET_BIN names its generator)")
def test_podman_reads_generated_words(tmp_path: Path) -> None:
    """Its own generator makes a command of systemd of our file, with every word as it was."""
    every, at = list(words(CASES)), 0
    while some := every[at : at + 100]:
        at += 100
        name = next(w for w in (*some, "x") if w.isprintable() and w.strip() and w != ";" and "," not in w and not w.startswith("-"))
        one = candidate("llama.cpp", settings={"served_name": name})
        made = plan(one, deploy={"targets": ["quadlet"], "served_name": name, "env": {f"V{i}": w for i, w in enumerate(some)}})
        for file in artifacts(made, [one], book()):
            if file.path.endswith((".container", ".volume")):
                (tmp_path / Path(file.path).name).write_text(file.text)
        done = subprocess.run([str(QUADLET), "-dryrun"], env={"QUADLET_UNIT_DIRS": str(tmp_path)}, capture_output=True, text=True, check=True)
        assert "unsupported key" not in done.stderr and "not a fully qualified" not in done.stderr, done.stderr
        (line,) = [line for line in done.stdout.split("\n") if line.startswith("ExecStart=/usr/bin/podman run")]
        read = readers.unit_words(line.partition("=")[2].replace("%t/%N", ""))
        env = dict(word.split("=", 1) for flag, word in pairwise(read) if flag == "--env")
        assert all(env[f"V{i}"] == w for i, w in enumerate(some))
        assert name in read


KUBECTLS = (os.environ.get("KUBECTL_BINS") or shutil.which("kubectl") or "").split(":")
"""Programs of several versions; .ci/platforms names two."""


@pytest.mark.skipif(not KUBECTLS[0], reason="kubectl is not here; .ci/platforms has it")
@pytest.mark.parametrize("kubectl", KUBECTLS)
def test_kubectl_reads_the_manifests(kubectl: str, tmp_path: Path) -> None:
    """Its typed decoder keeps every field, and kustomize finds every file."""
    one = candidate("vllm")
    launch = launch_of(plan(one, deploy={"env": {"N": "1e3", "D": "$(A) $$"}}), one, book(), "../../..")
    _, files = written(launch, tmp_path, "kubernetes")
    folder = tmp_path / "vllm/kubernetes"
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.count("kind: ") >= 6
    kept = subprocess.run(
        [kubectl, "set", "env", "--local", "-f", str(folder / "deployment.yaml"), "Z=1", "-o", "yaml"], capture_output=True, text=True, check=True
    )
    (read,) = readers.documents(kept.stdout)
    (meant_,) = readers.documents(files["kubernetes/deployment.yaml"])
    assert _within(meant_, read) == []


def _within(one: Any, other: Any, at: str = "") -> list[str]:
    """The keys of a document that another lacks."""
    if isinstance(one, dict):
        return [found for key, value in one.items() for found in ([f"{at}.{key}"] if key not in other else _within(value, other[key], f"{at}.{key}"))]
    if isinstance(one, list):
        return [found for mine, theirs in zip(one, other, strict=False) for found in _within(mine, theirs, at)]
    return []


def test_candidates_of_all_engines_have_files_too(tmp_path: Path) -> None:
    outcome = decided(ROOT / "examples/all-engines/llama-8b-rtx4090.yaml")
    assert len(candidates(outcome, True)) > 3
