"""`compose.yaml`, read as Compose reads it: YAML, then `$` expanded. Hostile words, and Compose itself: tests/hostile."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from interpolation import interpolated
from render_plans import GGUF, book, candidate, engines, plan

from generator.plan import Candidate, Plan
from generator.readers.document import parse_yaml
from generator.render.files import artifacts
from generator.render.launch import launch_of
from generator.render.words import Ref


def read(made: Plan, one: Candidate, env: dict[str, str] | None = None) -> Any:
    """The Compose file of a candidate as Compose sees it; None where none is written."""
    files = {a.path: a for a in artifacts(made, [one], book())}
    file = files.get(f"{one.engine}/compose.yaml")
    if file is None:
        return None
    return interpolated(parse_yaml(file.text, "compose.yaml").data, {"MY_KEY": "s3cret", "HOME": "/home/x", **(env or {})})


@pytest.mark.parametrize("engine", engines())
def test_the_container_gets_the_words_of_the_script(engine: str) -> None:
    one = candidate(engine)
    made = plan(one, deploy={"api_key_from": "MY_KEY", "env": {"A": "$B ${C} $$"}})
    data = read(made, one)
    service, facts = data["services"][engine], book().section("engines")[engine]
    words = launch_of(made, one, book(), "../../..").words(inside=True)
    meant = ["s3cret" if isinstance(w, Ref) else w for w in words]
    assert service["command"] == [*facts["container"]["prefix"], *meant]
    assert service["environment"]["A"] == "$B ${C} $$"
    assert service["ports"] == [f"127.0.0.1:8000:{facts['container']['port']}"]
    assert service["image"].endswith(one.engine_version) or engine == "llama.cpp"
    if "token_env" in facts:
        assert service["environment"]["HF_TOKEN"] is None
    if "api_key_env" in facts:
        assert service["environment"][facts["api_key_env"]] == "s3cret"
    (gpu,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert gpu == {"driver": "nvidia", "count": one.tensor_parallel, "capabilities": ["gpu"]}
    assert service["volumes"][0]["target"] == facts["container"]["cache_path"]
    compiled = facts["container"].get("compile_cache")
    assert data["volumes"] == ({"cache": {}, "compiled": {}} if compiled else {"cache": {}})
    assert compiled is None or {"type": "volume", "source": "compiled", "target": compiled} in service["volumes"]


@pytest.mark.parametrize("engine", engines())
def test_mounts_hold_what_the_words_name(engine: str) -> None:
    """Every path of ours in the words is a mount, or lies under one; and every file that is mounted is written."""
    one = candidate(
        engine,
        origin="given" if engine in GGUF else "native",
        checkpoint="./w/m.gguf" if engine in GGUF else "./w/model",
    )
    made = plan(one)
    written = {a.path for a in artifacts(made, [one], book())}
    for service in read(made, one)["services"].values():
        targets = {v["target"]: v["source"] for v in service["volumes"] if v["type"] == "bind"}
        for word in service["command"]:
            if word.startswith("/gen-deploy"):
                assert word in targets, word
        for source in targets.values():
            if not source.startswith("../"):
                assert str(PurePosixPath(engine) / source) in written
            else:
                assert source.startswith("../../../w/m")


def test_from_is_found_in_the_container_too() -> None:
    for path, model in [
        ("./w/m.gguf", "/gen-deploy/w/m.gguf"),
        ("/abs/m.gguf", "/abs/m.gguf"),
        ("~/m.gguf", "/root/m.gguf"),
    ]:
        one = candidate("ollama", origin="given", checkpoint=path)
        create = read(plan(one), one)["services"]["create"]
        modelfile = create["command"][-1]
        text = next(a.text for a in artifacts(plan(one), [one], book()) if a.path == "ollama/Modelfile")
        said = text.split("FROM ", 1)[1].split("\n", 1)[0]
        at = PurePosixPath(modelfile).parent / said.replace("~", "/root")
        parts: list[str] = []
        for part in at.parts:
            parts = parts[:-1] if part == ".." else [*parts, part]
        assert str(PurePosixPath(*parts)) == model
        assert model in [v["target"] for v in create["volumes"]]


VENDORS = [
    ("A100-80GB", "vllm", "vllm/vllm-openai:v0.33.0"),
    ("MI300X-192GB", "vllm", "vllm/vllm-openai-rocm:v0.33.0"),
    ("cpu", "vllm", "vllm/vllm-openai-cpu:v0.33.0"),
    ("MI300X-192GB", "sglang", None),
    ("M3-Max-128GB", "llama.cpp", None),
    ("cpu", "llama.cpp", "ghcr.io/ggml-org/llama.cpp:server-b11865"),
    ("Arc", "llama.cpp", "ghcr.io/ggml-org/llama.cpp:server-intel-b11865"),
    ("MI300X-192GB", "ollama", "ollama/ollama:0.33.0-rocm"),
]


@pytest.mark.parametrize(("gpu", "engine", "image"), VENDORS)
def test_image_and_devices_follow_the_gpu(gpu: str, engine: str, image: str | None) -> None:
    one = candidate(engine)
    made = plan(one, hardware={"gpu": gpu})
    data = read(made, one)
    if image is None:
        assert data is None
        page = next(a.text for a in artifacts(made, [one], book()) if a.path == "PLAN.md")
        assert "no Compose file is written" in page
        return
    service = data["services"][engine]
    assert service["image"] == image
    assert ("deploy" in service) is (gpu == "A100-80GB")
    assert service.get("devices") == {"mi": ["/dev/kfd", "/dev/dri"], "ar": ["/dev/dri"]}.get(gpu[:2].lower())


def test_old_images_are_given_their_entry_point() -> None:
    one = candidate("vllm", engine_version="0.10.0")
    service = read(plan(one), one)["services"]["vllm"]
    assert service["entrypoint"] == ["vllm", "serve"]
    assert service["command"][0] == one.checkpoint


def test_the_image_of_the_spec_is_for_the_choice_only() -> None:
    choice, other = candidate("vllm"), candidate("tgi")
    made = plan(choice, deploy={"image": "registry.example/vllm:1"})
    files = {a.path: a.text for a in artifacts(made, [choice, other], book())}
    assert 'image: "registry.example/vllm:1"' in files["vllm/compose.yaml"]
    assert 'image: "registry.example/vllm:1"' not in files["tgi/compose.yaml"]


@pytest.mark.parametrize(
    ("host", "published"),
    [
        ("0.0.0.0", "0.0.0.0"),
        ("127.0.0.1", "127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("::", "[::]"),
        ("localhost", "127.0.0.1"),
    ],
)
def test_the_address_that_is_published(host: str, published: str) -> None:
    one = candidate("vllm")
    made = plan(one, deploy={"host": host})
    service = read(made, one)["services"]["vllm"]
    assert service["ports"] == [f"{published}:8000:8000"]
    assert service["command"][-4:] == ["--host", "0.0.0.0", "--port", "8000"]
    page = next(a.text for a in artifacts(made, [one], book()) if a.path == "PLAN.md")
    assert ("does not require an API key" in page) is (host not in ("127.0.0.1", "localhost"))


@pytest.mark.parametrize(
    ("folder", "source"),
    [("./c", "../../../c"), ("c", "../../../c"), ("/c $d", "/c $d"), ("~/c", "/home/x/c"), ("~/$c", "/home/x/$c")],
)
def test_the_cache_folder(folder: str, source: str) -> None:
    one = candidate("vllm")
    data = read(plan(one, deploy={"cache_dir": folder}), one)
    assert data["services"]["vllm"]["volumes"][0] == {
        "type": "bind",
        "source": source,
        "target": "/root/.cache/huggingface",
    }
    assert "cache" not in data.get("volumes", {})


@pytest.mark.parametrize("targets", [["script"], ["compose"]])
def test_targets(targets: list[str]) -> None:
    one = candidate("vllm")
    paths = {a.path for a in artifacts(plan(one, deploy={"targets": targets}), [one], book())}
    assert ("vllm/serve.sh" in paths) is ("script" in targets)
    assert ("vllm/compose.yaml" in paths) is ("compose" in targets)
    assert {"vllm/config.yaml", "smoke.sh", "PLAN.md", "plan.json"} <= paths
