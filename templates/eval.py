"""What a served model lost against its 16-bit source; eval.sh starts this with its settings, and the text in the descriptor 3.

Finished tasks lie in eval/ and are not run again. A score is compared item by item with the same item of the baseline, so that what
both find hard does not widen the interval, which is two standard errors to each side."""

import argparse
import concurrent.futures as pool
import hashlib
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

PIECE = 1200
"""Characters of a request of the perplexity: some 300 tokens, which every server holds."""
CHARACTERS, MOST = 3, 16384
"""Of a token at least, and tokens of a long prompt at most."""
ASKED = 50


class Skip(Exception):
    """Why a task has no score."""


def say(text):
    print(f"eval.sh: {text}", file=sys.stderr, flush=True)


def stop(text, code=1):
    say(text)
    sys.exit(code)


def asked(path, body=None, seconds=600):
    request = urllib.request.Request(options.url + path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
    if os.environ.get("OPENAI_API_KEY"):
        request.add_header("Authorization", "Bearer " + os.environ["OPENAI_API_KEY"])
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=min(seconds, max(1, deadline - time.time()))) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Skip(f"the server answers {error.code}: {error.read()[:200].decode(errors='replace')}") from None
    except (OSError, ValueError) as error:
        raise Skip(f"{options.url} does not answer: {error}") from None


def all_of(function, items):
    with pool.ThreadPoolExecutor(settings["concurrency"]) as workers:
        return list(workers.map(function, items))


def number(*words):
    return int(hashlib.sha256(" ".join(map(str, words)).encode()).hexdigest()[:12], 16)


# ---- tasks: scores by item


def perplexity():
    """Log probability of each token of the text, by the server."""
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]

    def one(piece):
        answer = asked("/v1/completions", {"model": model, "prompt": piece, "max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": True})
        found = answer["choices"][0].get("logprobs") or {}
        prompt = (answer.get("usage") or {}).get("prompt_tokens") or 0
        tokens, chances = (list(found.get(key) or ())[:prompt] for key in ("tokens", "token_logprobs"))
        if prompt < 2 or len(chances) < prompt or len(tokens) < prompt:
            raise Skip("the server gives no log probabilities of a prompt (echo with logprobs); for a GGUF use --source FILE")
        return [(token, chance) for token, chance in zip(tokens, chances, strict=True) if chance is not None]

    rows = [pair for row in all_of(one, pieces) for pair in row]
    return {f"{place} {token}": chance for place, (token, chance) in enumerate(rows)}


def needle():
    """A number far back in a long prompt."""
    length = CHARACTERS * min(MOST, settings["max_model_len"] - 600)
    if length < 4 * PIECE:
        raise Skip("the context of this server is too short for long prompts")
    long = (text * (length // len(text) + 1))[:length]

    def one(item):
        wanted, at = str(number("needle", item) % 900000 + 100000), length * item // ASKED
        question = f"What is the pass number of ship {item}? Answer with the number alone."
        return float(wanted in said(f"{long[:at]}\nThe pass number of ship {item} is {wanted}.\n{long[at:]}\n\n{question}").get("content", ""))

    return dict(zip(map(str, range(ASKED)), all_of(one, range(ASKED)), strict=True))


TOOLS = {
    "get_weather": {"city": ["Lima", "Oslo", "Accra", "Hanoi", "Quito"], "unit": ["celsius", "fahrenheit"]},
    "convert_money": {"amount": [12, 250, 99, 1040], "source": ["EUR", "USD", "JPY"], "target": ["CHF", "GBP", "INR"]},
    "book_room": {"room": ["Blue", "Green", "North"], "day": ["Monday", "Tuesday", "Friday"], "people": [3, 8, 14]},
    "find_order": {"order_number": [4711, 90210, 1337, 2048], "status": ["open", "shipped", "returned"]},
}


def tool_calls():
    """The right function with the right arguments, of four that are offered."""
    tools = [
        {"type": "function", "function": {"name": name, "description": name.replace("_", " "), "parameters": {
            "type": "object", "required": [*given],
            "properties": {key: {"type": "integer" if isinstance(of[0], int) else "string"} for key, of in given.items()},
        }}}
        for name, given in TOOLS.items()
    ]  # fmt: skip

    def one(item):
        name = [*TOOLS][item % len(TOOLS)]
        wanted = {key: of[number(item, key) % len(of)] for key, of in TOOLS[name].items()}
        words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in wanted.items())
        calls = said(f"Please {name.replace('_', ' ')}: {words}.", tools=tools).get("tool_calls") or [{}]
        call = calls[0].get("function") or {}
        try:
            return float(call.get("name") == name and json.loads(call.get("arguments") or "") == wanted)
        except ValueError:
            return 0.0

    return dict(zip(map(str, range(ASKED)), all_of(one, range(ASKED)), strict=True))


def said(prompt, **more):
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 500, "temperature": 0, **more}
    found = asked("/v1/chat/completions", body)["choices"][0]["message"]
    return {key: value for key, value in found.items() if value is not None}


def harness(name, task):
    """A task of lm-evaluation-harness, which fetches its data."""
    if importlib.util.find_spec("lm_eval") is None:
        raise Skip(f"lm-evaluation-harness is not installed: pip install '{settings['harness']}'")
    if task.get("code") and not options.run_code:
        raise Skip("runs code that the model writes: only with --run-code, in a place where that can do no harm")
    arguments = {
        "model": model, "base_url": options.url + task["path"], "num_concurrent": settings["concurrency"], "max_retries": 3,
        "tokenizer_backend": "none", "tokenized_requests": False,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "lm_eval", "--model", task["model"], "--model_args", json.dumps(arguments), "--tasks", name, "--log_samples"]
        words += ["--limit", str(options.limit), "--output_path", folder, "--use_cache", str(place(name).with_suffix("").resolve())]
        words += ["--apply_chat_template"] if "chat" in task["path"] else []
        words += ["--confirm_run_unsafe_code"] if task.get("code") else []
        variables = {**os.environ, "HF_ALLOW_CODE_EVAL": "1" if task.get("code") else "0"}
        try:
            done = subprocess.run(words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=max(1, deadline - time.time()), check=False)
        except subprocess.TimeoutExpired:
            raise Skip("not finished in time: start eval.sh again, answers so far are kept") from None
        if done.returncode:
            raise Skip(f"lm_eval ended with {done.returncode}: {done.stdout.decode(errors='replace').strip()[-300:]}")
        found = {}
        for file in Path(folder).rglob(f"samples_{name}_*.jsonl"):
            for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
                if row.get("filter", task["filter"]) == task["filter"]:
                    found[str(row["doc_id"])] = float(row[task["metric"]])
        return found


def by_llama_perplexity():
    """Both GGUF files on the text, by llama.cpp's own tool."""
    result = options.gguf or settings["gguf"]
    for file in (options.source, result):
        if not file or not Path(file).is_file():
            raise Skip(f"no such file: {file}" if file else "which file is measured? --gguf FILE")
    places = [str(Path(os.environ["LLAMA_CPP"], part)) for part in ("build/bin", "bin")] if os.environ.get("LLAMA_CPP") else []
    program = next(filter(None, (shutil.which("llama-perplexity", path=at) for at in (*places, os.environ.get("PATH")))), None)
    if program is None:
        raise Skip("llama-perplexity is not on PATH: install llama.cpp, or set LLAMA_CPP to a checkout that is built")
    with tempfile.TemporaryDirectory(dir=STATE) as folder:
        base, words = Path(folder, "base"), Path(folder, "text")
        words.write_text(text, encoding="utf-8")
        for file, more in ((options.source, ["--file", str(words)]), (result, ["--kl-divergence"])):
            command = [program, "--model", file, "--kl-divergence-base", str(base), "--ctx-size", "256", *more]
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=max(1, deadline - time.time()), check=False)
            except subprocess.TimeoutExpired:
                raise Skip("llama-perplexity did not finish in time") from None
            printed = done.stdout.decode(errors="replace")
            if done.returncode:
                raise Skip(f"llama-perplexity ended with {done.returncode}: {printed.strip()[-300:]}")
    figure = r"\s*:\s*([-\d.]+) ±\s*([-\d.]+)"
    ratio, kl, same, before, after = (
        re.search(re.escape(name) + figure, printed)
        for name in ("Mean ln(PPL(Q)/PPL(base))", "Mean    KLD", "Same top p", "Mean PPL(base)", "Mean PPL(Q)")
    )
    chunks = max(map(int, re.findall(r"^\s*(\d+)\s+[\d.]+ ±", printed, re.MULTILINE)), default=0)
    if not (ratio and kl and same and before and after):
        raise Skip("llama-perplexity printed no comparison: run this again, as a busy machine may lose its last lines; or is it another version?")
    growth, error = float(ratio[1]), float(ratio[2])
    return {
        "items": chunks * 127, "measured": float(after[1]), "baseline": float(before[1]), "kl": float(kl[1]), "agreement_percent": float(same[1]),
        "loss_percent": 100 * math.expm1(growth), "interval": [100 * math.expm1(growth - 2 * error), 100 * math.expm1(growth + 2 * error)],
        "files": [Path(options.source).name, Path(result).name],
    }  # fmt: skip


# ---- scores against those of the baseline


def mean(values):
    return sum(values) / len(values)


def compared(name, mine, base):
    """The loss of a task in percent with its interval; negative where the score is better than the baseline's."""
    surprise = name == "perplexity"
    figures = {"items": len(mine), "measured": mean(mine.values()), "baseline": None, "loss_percent": None, "interval": None}
    if surprise:
        figures["measured"] = math.exp(min(700, -figures["measured"]))
    if not base:
        return figures
    shared = [key for key in mine if key in base]
    if surprise and len(shared) < 0.99 * max(len(mine), len(base)):
        raise Skip("the baseline cuts the text into other tokens: it is another model")
    if not shared:
        raise Skip("no item is in the baseline, too")
    lost, before = [base[key] - mine[key] for key in shared], mean([base[key] for key in shared])
    middle = mean(lost)
    error = math.sqrt(sum((one - middle) ** 2 for one in lost) / max(1, len(lost) - 1) / len(lost))
    if surprise:
        loss, low, high = (100 * math.expm1(min(700, value)) for value in (middle, middle - 2 * error, middle + 2 * error))
        before = math.exp(min(700, -before))
    elif before <= 0:
        raise Skip("the baseline solves nothing, so that there is nothing to lose")
    else:
        error = max(2 * error, 3 / len(lost))  # where no item differs, up to three in so many may
        loss, low, high = (100 * value / before for value in (middle, middle - error, middle + error))
    return {**figures, "items": len(shared), "baseline": before, "loss_percent": loss, "interval": [low, high]}


# ---- what is kept

STATE = Path("eval")


def place(name, side=None):
    return STATE / (side or options.side) / f"{name}.json"


def kept(name, side):
    try:
        found = json.loads(place(name, side).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("of") == OF[side] and found.get("limit") in (None, options.limit) else None


def keep(path, data):
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def run(name):
    task = settings["tasks"][name]
    if kept(name, options.side) and not options.again:
        say(f"{name}: finished before")
        return
    if deadline - time.time() < 1:
        raise Skip("the time is over: start eval.sh again, finished tasks are kept")
    say(f"{name} …")
    started = time.time()
    figures = by_llama_perplexity() if name == "perplexity" and options.source else None
    own = {"perplexity": perplexity, "needle": needle, "tool-calls": tool_calls}.get(name)
    scores = None if figures else own() if own else harness(name, task)
    if not (figures or scores):
        raise Skip("no scores")
    more = {} if own else {"limit": options.limit}
    keep(place(name), {"of": OF[options.side], "seconds": round(time.time() - started, 1), "figures": figures, "scores": scores, **more})


def result():
    tasks, skipped = [], []
    for name in settings["tasks"]:
        mine, base = kept(name, "measured"), kept(name, "baseline")
        try:
            if mine is None:
                raise Skip(missed.get(name, "not run yet"))
            figures = mine["figures"] or compared(name, mine["scores"], base and base["scores"])
            tasks.append({"task": name, **figures, "seconds": mine["seconds"]})
        except Skip as reason:
            skipped.append({"task": name, "because": str(reason)})
    keep(Path("eval.json"), {
        "schema_version": 1, "date": time.strftime("%Y-%m-%d"), **settings["of"], "profile": settings["profile"],
        "text": hashlib.sha256(text.encode()).hexdigest()[:12], "tasks": tasks, "skipped": skipped,
    })  # fmt: skip
    for one in tasks:
        loss = "no baseline yet" if one["loss_percent"] is None else "lost {:.2f} % ({:.2f} to {:.2f})".format(one["loss_percent"], *one["interval"])
        print(f"{one['task']}: {one['measured']:.4g} over {one['items']} items, {loss}")
    for one in skipped:
        print(f"{one['task']}: not measured: {one['because']}")
    return tasks


settings = json.loads(sys.argv[1])
parser = argparse.ArgumentParser(prog="eval.sh", description="Measures what the served weights lost against the 16-bit model.")
parser.add_argument("--baseline", dest="side", action="store_const", const="baseline", default="measured", help="the server runs the 16-bit model")
parser.add_argument("--source", metavar="FILE", help="GGUF: compare with this 16-bit file by llama-perplexity, without a server")
parser.add_argument("--gguf", metavar="FILE", help="GGUF: the file that is measured, where the plan does not know its path")
parser.add_argument("--text", metavar="FILE", help="a text of your own for the perplexity")
parser.add_argument("--tasks", help="only these, with commas")
parser.add_argument("--limit", type=int, default=settings["limit"], help="items of a task of the harness (default: %(default)s)")
parser.add_argument("--minutes", type=float, default=settings["minutes"], help="at most (default: %(default)s)")
parser.add_argument("--run-code", action="store_true", help="also tasks that run code which the model writes")
parser.add_argument("--again", action="store_true", help="also tasks that are finished")
options = parser.parse_args(sys.argv[2:])
options.url = (os.environ.get("BASE_URL") or settings["base_url"]).rstrip("/")
deadline = time.time() + 60 * options.minutes
try:
    text = Path(options.text or "/dev/fd/3").read_text(encoding="utf-8")
except OSError as error:
    stop(f"--text: {error}")
wanted = options.tasks.split(",") if options.tasks else [*settings["tasks"]]
if unknown := [name for name in wanted if name not in settings["tasks"]]:
    stop(f"no task {unknown[0]!r}; there are {', '.join(settings['tasks'])}", 2)
same = hashlib.sha256(text.encode()).hexdigest()[:12]
OF = {"measured": [*settings["of"].values(), same], "baseline": [settings["of"]["model"], same]}
(STATE / options.side).mkdir(parents=True, exist_ok=True)
missed = {}
try:
    model = settings["request_name"]
    if not options.source:
        served = [one.get("id") for one in asked("/v1/models").get("data") or ()]
        if options.side == "baseline":
            model = os.environ.get("MODEL") or (served[0] if served else model)
        elif served and model not in served:
            stop(f"{options.url} serves {', '.join(map(str, served))}, not {model}: is another server there?")
except Skip as reason:
    stop(str(reason))
for name in wanted if not options.source else ["perplexity"]:
    try:
        run(name)
    except Skip as reason:
        missed[name] = str(reason)
        say(f"{name}: {reason}")
finished = result()
say("eval.json is written" + ("" if options.side == "measured" else "; now run eval.sh at the server of the plan, if that is not done"))
sys.exit(0 if finished or (options.side == "baseline" and not missed) else 1)
