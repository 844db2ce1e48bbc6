"""What the training jobs share: job.yaml, the model's folder, texts, and an output that is whole or not there.

Beside qat.py, distillation.py, pruning.py and sparsity.py, which do the work. Nothing here is edited for a model:
everything comes from job.yaml, and paths in it count from the folder that it lies in.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

WITHOUT_WEIGHTS = ("*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken", "*.py")
"""What says how a model is built and how its texts are split into tokens: enough to check a job before hours of download."""

NOT_FETCHED = ("original/*", "metal/*", "*.gguf", "*.pth", "*.onnx", "*.h5", "*.msgpack")
"""Other forms of the same weights, which some repositories hold besides."""


class Stop(Exception):
    """Something that the user can put right; its text is all that is printed, `code` is the exit code."""

    code = 1


class Job:
    """job.yaml, read and checked; `folder` is where it lies."""

    def __init__(self, path, force):
        import yaml

        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Stop(f"{path}: no such file") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise Stop(f"{path}: cannot be read: {error}") from None
        if not isinstance(data, dict):
            raise Stop(f"{path}: a mapping is expected")
        self.data, self.path, self.folder, self.force = data, path, path.resolve().parent, force
        output = self.get("output", str)
        self.output = self.folder / output
        self.partial = self.output.with_name(self.output.name + ".partial")

    def get(self, name, kind, default=..., choices=()):
        """The value of `a.b`, of the type `kind`; an error that names the key where it is missing or of another type."""
        value = self.data
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            if default is ...:
                raise Stop(f"{self.path}: {name} is missing")
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise Stop(f"{self.path}: {name}: {kind.__name__} expected, found {value!r}")
        if choices and value not in choices:
            raise Stop(f"{self.path}: {name}: {value!r} is none of {', '.join(map(str, choices))}")
        return value

    def lock(self):
        """One run at a time in a folder, --force or not; the lock goes with the process, however it ends."""
        import fcntl

        try:
            self.held = (self.folder / ".running").open("a+", encoding="utf-8")
            fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop(f"another run is at work in {self.folder}; wait for it, or stop it") from None
        except OSError as error:
            raise Stop(f"{self.folder}: cannot be written: {error.strerror}") from None

    def folder_of(self, name, *, weights=True):
        """The folder of the model under the key `name`: a local path as it is, else a snapshot of the hub at its revision.

        Without `weights` only what describes the model is fetched."""
        model = self.get(f"{name}.id", str)
        local = Path(model) if Path(model).is_absolute() else self.folder / model
        if local.is_dir():
            return str(local)
        if model.startswith((".", "/")):
            raise Stop(f"{local}: no such folder")
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            wanted = None if weights else list(WITHOUT_WEIGHTS)
            revision = self.get(f"{name}.revision", str, None)
            return snapshot_download(model, revision=revision, allow_patterns=wanted, ignore_patterns=list(NOT_FETCHED))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
            raise Stop(f"{model}: cannot be fetched: {error}") from None

    def trusted(self, name):
        """Whether the model under the key `name` may run code of its own; only on an explicit yes."""
        return self.get(f"{name}.trust_remote_code", bool, False)

    def rows(self, part="data", *, spare=0):
        """The texts of `part` as a list of mappings: of its `file` (.txt or .jsonl), or of its `dataset`, `dataset_config` and `split`.

        `spare` rows more than its `samples` where there are so many; `column` names the column of a text or a conversation."""
        samples = self.get(f"{part}.samples", int, 0)
        samples += spare if samples else 0
        file = self.get(f"{part}.file", str, None)
        if file:
            rows = list(_file_rows(self.folder / file))
        else:
            rows = self._hub_rows(part, samples)
        if not rows:
            raise Stop(f"{self.path}: the data has no rows")
        column = self.get(f"{part}.column", str, None)
        if column:
            rows = [_column(row, column) for row in rows]
        import random

        random.Random(self.get(f"{part}.seed", int, self.get("seed", int, 0))).shuffle(rows)
        if samples and len(rows) < samples - spare:
            print(f"note: {samples - spare} samples were asked for, the data has {len(rows)}", file=sys.stderr)
        return rows[:samples] if samples else rows

    def _hub_rows(self, part, samples):
        import datasets

        name, split = self.get(f"{part}.dataset", str), self.get(f"{part}.split", str, "train")
        revision = self.get(f"{part}.revision", str, None)
        try:
            kind = self.get(f"{part}.dataset_config", str, None)
            data = datasets.load_dataset(name, kind, split=f"{split}[:{samples}]" if samples else split, revision=revision)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            hint = " (the spec takes it as quantize: {calibration: {dataset_config: …}})" if "onfig name is missing" in str(error) else ""
            raise Stop(f"{name}: cannot be loaded: {error}{hint}") from None
        return list(data)

    def begin(self):
        """Refuse to touch what is there (but with --force), and make the empty folder that is filled first."""
        if self.output.exists() and not self.force and (not self.output.is_dir() or any(self.output.iterdir())):
            raise Stop(f"{self.output} is not empty; --force replaces it")
        if first_process():
            shutil.rmtree(self.partial, ignore_errors=True)
            try:
                self.partial.mkdir(parents=True)
            except OSError as error:
                raise Stop(f"{self.partial}: cannot be written: {error.strerror}") from None
        return self.partial

    def keep_apart(self, done):
        """Put a complete folder that is not good enough beside the place where the engine looks: its path."""
        apart = self.output.with_name(self.output.name + ".rejected")
        shutil.rmtree(apart, ignore_errors=True)
        done.rename(apart)
        return apart

    def finish(self, done):
        """Put the folder that is complete in its place."""
        old = self.output.with_name(self.output.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.output.exists():
            self.output.rename(old)
        done.rename(self.output)
        shutil.rmtree(old, ignore_errors=True)
        files = [f for f in self.output.rglob("*") if f.is_file()]
        mask = os.umask(0)
        os.umask(mask)
        for file in files:
            file.chmod(0o666 & ~mask)  # safetensors writes for the owner only; the engine may run as another user
        print(f"{self.output}: {sum(f.stat().st_size for f in files):,} bytes")


def _file_rows(path):
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"{path}: cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if path.suffix == ".txt":
            yield {"text": line}
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise Stop(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise Stop(f"{path}:{number}: an object is expected")
        yield row


def _column(row, name):
    if name not in row:
        raise Stop(f"the data has no column {name!r}; it has {', '.join(sorted(map(str, row)))}")
    return {"messages" if isinstance(row[name], list) else "text": row[name]}


def messages(row):
    """The conversation of a row as chat templates take it, or None where it is plain text."""
    if isinstance(row.get("messages"), list):
        return [_message(message) for message in row["messages"]]
    if isinstance(row.get("prompt"), str) and isinstance(row.get("response"), str):
        return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
    return None


def _message(message):
    """One message; ShareGPT's words become those of chat templates, and a list of parts its texts."""
    if not isinstance(message, dict):
        raise Stop(f"a message of the data is no object: {message!r:.80}")
    speakers = {"human": "user", "gpt": "assistant"}
    role = message.get("role") or speakers.get(message.get("from"), message.get("from"))
    content = message.get("content", message.get("value"))
    if isinstance(content, list):
        content = "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    if not role or (not isinstance(content, str) and not message.get("tool_calls")):
        raise Stop(f"a message of the data has no role, or no text: {message!r:.80}")
    return {**message, "role": role, "content": content or ""}


def text_of(row, tokenizer):
    """The text of a row: its `text`, or its conversation in the model's chat template, with its `tools`, as a server applies it."""
    talk = messages(row)
    if talk is not None and tokenizer.chat_template:
        try:
            return tokenizer.apply_chat_template(talk, tools=row.get("tools") or None, tokenize=False)
        except Exception as error:  # a template may refuse anything, such as two messages of one role
            raise Stop(f"the chat template refuses a conversation of the data: {error}") from None
    if talk is not None:
        return "\n".join(message["content"] for message in talk)
    if isinstance(row.get("text"), str):
        return row["text"]
    raise Stop(f"a row of the data has neither text nor messages, but {', '.join(sorted(map(str, row)))}: `column` names the one to read")


def first_process():
    """Whether this is the only process, or the first of those that torchrun or accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def device():
    """The GPU of this process, or the CPU."""
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


def processes():
    """How many processes torchrun or accelerate started: one for each GPU."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def trained_dtype():
    """Trained in 32 bits with the arithmetic in 16. FSDP makes its 32 bits itself, after it has shared the weights out."""
    import torch

    return torch.float32 if processes() == 1 else torch.bfloat16


def load_tokenizer(folder, trusted):
    """The tokenizer, with something to pad with."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trusted)
    except (OSError, ValueError) as error:
        raise Stop(f"{folder}: its tokenizer cannot be loaded: {error}") from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder, trusted, **options):
    """A causal language model from a local folder."""
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=trusted, **options)
    except (OSError, ValueError, KeyError) as error:
        raise Stop(f"{folder}: cannot be loaded: {error}") from None


def training_options(job, **more):
    """What every Trainer is told; no loss is sent anywhere."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(job.partial / "run"),
        "max_steps": job.get("training.steps", int),
        "per_device_train_batch_size": job.get("training.batch_size", int, 1),
        "gradient_accumulation_steps": job.get("training.gradient_accumulation", int, 1),
        "learning_rate": job.get("training.learning_rate", float),
        "warmup_steps": job.get("training.warmup_steps", int, 0),
        "lr_scheduler_type": "cosine",
        "gradient_checkpointing": True,
        "bf16": cuda,
        "use_cpu": not cuda,
        "ddp_backend": None if cuda or processes() == 1 else "gloo",
        "seed": job.get("seed", int, 0),
        "logging_steps": job.get("training.logging_steps", int, 10),
        "save_strategy": "no",
        "report_to": "none",
        **more,
    }


def losses(trainer):
    """The losses that a Trainer logged, in order."""
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def write_report(folder, report):
    """What was done, as numbers, beside the weights."""
    (folder / "job-report.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def run(work, description):
    """Parse the command line, do the work, and say what went wrong in one line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--job", type=Path, default=Path(__file__).resolve().parent / "job.yaml", help="the job (job.yaml beside this file)")
    parser.add_argument("--force", action="store_true", help="replace an output that is there")
    options = parser.parse_args()
    job = locked = None
    try:
        job = Job(options.job, options.force)
        if first_process():
            job.lock()
        locked = True
        return work(job) or 0
    except Stop as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except ImportError as error:
        print(f"error: {error}: install requirements.txt", file=sys.stderr)
    except KeyboardInterrupt:
        print("error: stopped; nothing was written", file=sys.stderr)
    except Exception as error:
        words = ("out of memory", "outofmemory", "no space left", "read-only file system", "permission denied", "disk quota")
        if not any(word in f"{type(error).__name__} {error}".lower() for word in words):
            raise
        print(f"error: {error}", file=sys.stderr)
    finally:
        if locked and first_process():
            shutil.rmtree(job.partial, ignore_errors=True)
    return 1
