"""Reads what a release of an engine says of itself, and writes what is new into `rules/facts`, with a report.

    scripts/harvest.py vllm 0.33.0                    one release, or several
    scripts/harvest.py sglang 0.5.24 --from CHECKOUT  from a folder or an archive at hand
    scripts/harvest.py --new --report report.md       every release of vLLM and SGLang that the facts do not list
    scripts/harvest.py vllm 0.33.0 --check            writes nothing: exit 3 where the facts say otherwise

The package comes from the index that pip uses; only its text is kept, under ~/.cache/gen-deploy/harvest, and what was read of it stays there, so a
run that was interrupted goes on where it stopped. Nothing of an engine is installed or run. docs/engines.md, "Follow an engine"."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from harvesting import fetch, llama_cpp, models, report, sglang, tensorrt_llm, vllm  # noqa: E402
from harvesting.apply import apply, versions_of  # noqa: E402
from harvesting.spans import ordered  # noqa: E402
from harvesting.static import Source  # noqa: E402

from generator.quantity import version_key  # noqa: E402

ENGINES: dict[str, Any] = {"vllm": vllm, "sglang": sglang, "tensorrt-llm": tensorrt_llm, "llama.cpp": llama_cpp}
FOLLOWED = ("vllm", "sglang")
"""Engines whose every release is in the index."""
FORM = 6
"""Raised when what is read of a release changes, so that what was kept before is read anew."""
SOURCES = {"vllm": "vllm-option-history", "sglang": "sglang-option-history", "tensorrt-llm": "trt-serve", "llama.cpp": "lcpp-arg-source"}


def snapshot(engine: str, version: str, given: Path | None, keep: bool) -> dict[str, Any]:
    """What a release says of itself; read once and kept."""
    folder = fetch.cache_folder() / engine
    kept = folder / f"{version}.json"
    if kept.exists() and given is None and (found := json.loads(kept.read_text(encoding="utf-8"))).get("form") == FORM:
        return dict(found)
    module, begun = ENGINES[engine], time.monotonic()
    if given is not None:
        root = _given(given, folder / version)
    else:
        package, release = module.package_of(version) if hasattr(module, "package_of") else (module.PACKAGE, version)
        root = fetch.source(package, release, folder / ("" if package == module.PACKAGE else package))
    source = Source(root)
    said: dict[str, Any] = {"form": FORM, "engine": engine, "version": version, "source": SOURCES[engine], **module.harvest(source)}
    if engine == "vllm":
        said["architectures"], said["dropped"] = models.vllm(source)
    elif engine == "sglang":
        said["architectures"] = models.entry_classes(source, "sglang/srt/models")
    if engine in FOLLOWED and (least := models.least_transformers(source)):
        library = Source(fetch.source("transformers", least, fetch.cache_folder() / "transformers"))
        said["configs"] = sorted(models.transformers_types(library) | set(models.own_configs(source)))
        said["transformers"] = least
    said["seconds"] = round(time.monotonic() - begun, 1)
    folder.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    part.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(kept)
    if not keep and given is None:
        fetch.forget(folder, version)
    return said


def _given(path: Path, out: Path) -> Path:
    if path.is_dir():
        return path
    if not out.is_dir():
        out.mkdir(parents=True)
        fetch.unpack_archive(path, out)
    return out


def unlisted(engine: str) -> list[str]:
    """Releases newer than the newest that the facts list; repairs (`.post1`) are read as what they repair unless their options differ."""
    listed = versions_of(ROOT, engine)
    newest = max(map(version_key, listed))
    found = fetch.releases(ENGINES[engine].PACKAGE)
    return ordered(v for v in found if re.fullmatch(r"[0-9]+(\.[0-9]+)*(\.post[0-9]+)?", v) and version_key(v) > newest)


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 a release could not be read, 3 with --check where the facts differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", nargs="?", choices=sorted(ENGINES))
    parser.add_argument("versions", nargs="*")
    parser.add_argument(
        "--from", dest="given", type=Path, metavar="PATH", help="a checkout or an archive instead of the index (one version)"
    )
    parser.add_argument("--new", action="store_true", help=f"every release of {' and '.join(FOLLOWED)} after the newest listed one")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report there instead of on standard output")
    parser.add_argument("--check", action="store_true", help="write no facts")
    parser.add_argument("--newest", choices=sorted(ENGINES), metavar="ENGINE", help="print the newest version that the facts list")
    parser.add_argument("--keep", action="store_true", help="keep the source in the cache")
    args = parser.parse_args(argv)
    if args.newest:
        print(ordered(versions_of(ROOT, args.newest))[-1])
        return 0
    if args.new == bool(args.engine and args.versions) or (args.given and len(args.versions) != 1):
        parser.error("say --new, or an engine and its versions; --from takes one version")
    wanted = {engine: unlisted(engine) for engine in FOLLOWED} if args.new else {args.engine: ordered(args.versions)}
    pages, code = [], 0
    for engine, versions in wanted.items():
        read: dict[str, dict[str, Any]] = {}
        for version in versions:
            try:
                read[version] = snapshot(engine, version, args.given, args.keep)
            except (fetch.Missing, LookupError, OSError, SyntaxError) as error:
                print(f"harvest: {engine} {version}: {error}", file=sys.stderr)
                code = 1
        if not read:
            continue
        before = report.before(ROOT, engine, read)
        lists = dict(read)
        if args.given is None and (below := before.get(ordered(read)[0])):
            with contextlib.suppress(fetch.Missing, LookupError, OSError, SyntaxError):  # its lists are then not compared
                lists[below["version"]] = snapshot(engine, below["version"], None, args.keep)
        differences = report.differences(ROOT, engine, read)
        if args.check:
            code = max(code, 3 if any(differences.values()) else 0)
        else:
            print(*apply(ROOT, engine, read), sep="\n", file=sys.stderr)
        pages.append(report.page(ROOT, engine, lists, before, differences, None if args.check else [*read]))
    text = "\n".join(pages) if pages else "No release is new.\n"
    if args.report:
        args.report.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return code


if __name__ == "__main__":
    sys.exit(main())
