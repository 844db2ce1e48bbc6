"""What the jobs share that quantise a finished model: the tool's version, the model's class, texts to look at, and a look at what came out.

Beside llm_compressor.py, gptqmodel.py and modelopt.py, which do the work; on top of training_job.py. Exit codes of such a job:
0 made as predicted, 1 something is wrong, 2 the tool is missing or of another version, 3 made, but not what job.yaml expects,
4 made, but it lost more against its source than the method may: kept apart, in weights.rejected.
"""

import contextlib
import fnmatch
import importlib.metadata
import json
import re
import resource
import shutil
import sys
import time
import traceback

import proof
import training_job as common
from training_job import Stop

BESIDE_WEIGHTS = (
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.tiktoken", "*.model", "tekken.json"),
    *("chat_template*", "*processor_config.json", "generation_config.json"),
)
"""Files of the source that the result needs as they are: an engine may read them with another version of transformers."""

EMBEDDINGS = ".*(embed_tokens|embeddings?|wte|wpe)$"
"""Tables, which no job quantises: some tools name them among what they left alone, one would take them for linear layers."""

DTYPES = ("bfloat16", "float16", "float32")
_WIDE_DTYPES = ("BF16", "F16", "F32")

HELD_BACK = 8
"""Rows of the calibration data that the tool never sees: the result is compared with its source by them."""

_TOWER = re.compile(r"(^|[.])(vision\w*|visual|audio\w*|vit|image_\w+|multi_modal_projector|mm_projector|aligner|indexer)([.]|$)")
_HEAD = re.compile(r"(^|[.])(lm_head|embed_out|output_layer|embed_tokens|wte|word_embeddings)$")
_MTP = re.compile(r"(^|[.])(mtp\w*|nextn)[.]")


class MissingTool(Stop):
    """The tool is not there, or not the one that the job was written for."""

    code = 2


def check_tool(job, tool, package):
    """The tool of the job, at the version that it was written for; says so where no GPU is to be seen."""
    job.get("tool", str, choices=(tool,))
    wanted = job.get("tool_version", str)
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise MissingTool(f"{package} is not installed: pip install -r requirements.txt") from None
    if found != wanted:
        raise MissingTool(f"written for {package} {wanted}, found {found}: pip install -r requirements.txt")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingTool(f"{error}: pip install -r requirements.txt") from None
    if not torch.accelerator.is_available():
        print("note: no GPU found; going on on the CPU, which takes very long for anything but a tiny model", file=sys.stderr)
    transformers.set_seed(job.get("calibration.seed", int, 0))


@contextlib.contextmanager
def told(job, doing):
    """Errors of the library in one line; where they came from is written to a file beside the output."""
    try:
        yield
    except Stop:
        raise
    except Exception as error:
        story = job.output.with_name(job.output.name + ".error.txt")
        story.write_text(traceback.format_exc(), encoding="utf-8")
        raise Stop(f"{doing}: {type(error).__name__}: {error}\n(where it happened: {story})") from None


def load_config(folder, trusted):
    """The source's configuration; refuses weights that are quantised already."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trusted)
    except (OSError, ValueError, KeyError) as error:
        raise Stop(f"{folder}: {error}") from None
    if getattr(config, "quantization_config", None):
        raise Stop(f"{folder} is quantised already ({config.quantization_config.get('quant_method')}); name the model in 16 bits")
    return config


def model_class(config):
    """The class of transformers that loads all of the model: with its vision tower, where it has one."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, __version__
    from transformers.models.auto import modeling_auto as names

    architecture = (config.architectures or [None])[0]
    for loader, known in (
        (AutoModelForCausalLM, names.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
        (AutoModelForImageTextToText, names.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES),
    ):
        classes = known.get(config.model_type) or ()
        if architecture in ((classes,) if isinstance(classes, str) else classes):
            return loader
    if "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {}):
        return AutoModelForCausalLM
    raise Stop(f"{architecture} ({config.model_type}) is neither a text nor an image-and-text model of transformers {__version__}")


def dtype_of(job):
    """The torch dtype that the weights are loaded in."""
    import torch

    return getattr(torch, job.get("dtype", str, choices=DTYPES))


def texts(job, tokenizer):
    """The texts to look at as token numbers, `calibration.samples` of at most `calibration.tokens`, and texts held back from them.

    Refuses texts with far fewer tokens than the job asks for: the tool would calibrate on them without a word."""
    length, samples = job.get("calibration.tokens", int), job.get("calibration.samples", int, 0)
    rows = [(common.text_of(row, tokenizer), common.messages(row) is None) for row in job.rows("calibration", spare=HELD_BACK)]
    held = len(rows) - samples if 0 < samples < len(rows) else min(HELD_BACK, len(rows) // 16)
    found = []
    for text, plain in rows[: len(rows) - held]:
        # a chat template writes the beginning-of-text token itself
        numbers = tokenizer(text, truncation=True, max_length=length, add_special_tokens=plain)["input_ids"]
        if numbers:
            found.append({"input_ids": numbers, "attention_mask": [1] * len(numbers)})
    count, wanted = sum(len(row["input_ids"]) for row in found), (samples or len(rows)) * length
    if count < job.get("calibration.least_share", float, 0.25) * wanted:
        raise Stop(
            f"calibration: the texts have {count:,} tokens, the job asks for {wanted:,} ({samples or len(rows)} of {length}); bring more text, "
            "or ask for fewer in the spec (quantize: {calibration: {samples: …, tokens: …}})"
        )
    print(f"calibration: {len(found)} texts, {count:,} of at most {wanted:,} tokens; {held} texts are held back")
    return found, [text for text, _ in rows[len(rows) - held :]]


class Proof:
    """The comparison of a result with its source: `before` the tool changes the model, `after` it has."""

    def __init__(self, job, tokenizer, held, config):
        text = getattr(config, "text_config", None) or config
        self.job, self.figures, self.error, self.source = job, None, None, None
        self.numbers = proof.rows(tokenizer, held, getattr(text, "vocab_size", None))

    def before(self, model):
        """What the source predicts."""
        with told(self.job, "the source does not run"):
            self.source = proof.Predictions(model, self.numbers, self.job.partial / "source.npy")

    def after(self, model):
        """What the result predicts, and the figures."""
        try:
            result = proof.Predictions(model, self.numbers, self.job.partial / "result.npy")
            self.figures = proof.compared(self.source, result, self.numbers) | {"seconds": round(self.source.seconds + result.seconds, 1)}
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"

    def verdict(self):
        """What is wrong with the result, as words; empty where it is within the bounds of its method."""
        if self.figures is None and "CUDA" in (self.error or "") and not _has_gpu():
            print(f"note: not compared with its source, as the tool needs a GPU for that: {self.error}", file=sys.stderr)
            return []
        if self.figures is None:
            return [f"it could not be compared with its source: {self.error or 'it was never run'}"]
        return proof.judged(self.figures, self.job.get("expect.quality", dict, {}))


def _has_gpu():
    import torch

    return torch.accelerator.is_available()


def wide_by_nature(name, shape, config):
    """What a matrix is, where it must stay wide whatever it is called: by its place in the model and its shape. None for the others."""
    text = getattr(config, "text_config", None) or config
    experts = next((n for n in (getattr(text, key, None) for key in _EXPERTS) if n), None)
    if _HEAD.search(name) or (len(shape) == 2 and shape[0] == getattr(text, "vocab_size", None) and ".layers." not in name):
        return "output head or embeddings"
    if _TOWER.search(name):
        return "tower, projector or indexer"
    if experts and len(shape) == 2 and shape[0] == experts and "experts." not in name:
        return "router"
    return None


_EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")


def refuse_narrow(model, patterns, config):
    """Stop before hours are spent where the job's patterns leave out a module that must stay wide."""
    import torch

    modules = [(name, module.weight.shape) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    wrong = [name for name, shape in modules if wide_by_nature(name, shape, config) and not stays_wide(name, patterns)]
    if wrong:
        raise Stop(f"the job would quantise what must stay in 16 bits: {_few(wrong)}; nothing in `ignore` names it")


def keep_config(source, weights):
    """Write the source's own config.json with what was done to it, and the files beside the weights as they were.

    A config.json that transformers wrote anew names things in its own version's words, which an engine may not know.
    """
    made = _json(weights / "config.json")
    config = _json(source / "config.json")
    config |= {key: made[key] for key in ("quantization_config", "tie_word_embeddings") if key in made}
    dtype = made.get("dtype", made.get("torch_dtype"))
    if dtype:
        config["torch_dtype" if "torch_dtype" in config else "dtype"] = dtype
    (weights / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    copy_beside(source, weights)


def copy_beside(source, weights):
    """Copy the tokenizer and what else an engine reads beside the weights."""
    if not (source / "generation_config.json").exists():
        (weights / "generation_config.json").unlink(missing_ok=True)
    for pattern in BESIDE_WEIGHTS:
        for file in source.glob(pattern):
            if file.is_file():
                shutil.copyfile(file, weights / file.name)


def tensors_of(folder):
    """Name to (dtype, shape, bytes) of all tensors of a folder's safetensors files, and the bytes of the files."""
    found, size = {}, 0
    for file in sorted(folder.glob("*.safetensors")):
        size += file.stat().st_size
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                found[name] = (entry["dtype"], entry["shape"], end - start)
    return found, size


def split_modules(tensors):
    """Names of the modules that were quantised, and of those that hold a matrix in 16 or 32 bits."""
    quantised, wide = set(), set()
    for name, (dtype, shape, _) in tensors.items():
        module, _, kind = name.rpartition(".")
        if kind in ("weight_packed", "qweight") or (kind == "weight" and f"{module}.weight_scale" in tensors):
            quantised.add(module)
        elif kind == "weight" and len(shape) == 2 and dtype in _WIDE_DTYPES:
            wide.add(module)
    return quantised, wide


def stays_wide(name, patterns):
    """Whether one of the tool's patterns names the module: a regular expression after re:, -: or +:, the name, or a wildcard.

    Model Optimizer's wildcards are for what hangs on a module, such as model.layers.0.mlp.gate.weight_quantizer.
    """
    for pattern in patterns:
        kind, _, expression = pattern.partition(":")
        if kind in ("re", "-", "+") and re.match(expression, name):
            return True
        if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f"{name}.weight_quantizer", pattern):
            return True
    return False


def finish(job, weights, started, checked, source):
    """Put the weights in their place, and compare them with what job.yaml expects: the exit code of the job.

    `checked` is the comparison with the source (`Proof`), whose folder `source` says what was left behind."""
    tensors, file_bytes = tensors_of(weights)
    quantised, wide = split_modules(tensors)
    size = sum(entry[2] for entry in tensors.values())
    quantization = _json(weights / "config.json").get("quantization_config") or {}
    lines = [_size_line(job, size), *_quantization_lines(job, quantization), *_wide_lines(job, quantised, quantization, tensors, weights)]
    dropped, lost = _dropped(source, tensors), checked.verdict()
    report = {
        "tensor_bytes": size,
        "file_bytes": file_bytes,
        "quantised_modules": len(quantised),
        "wide_modules": sorted(wide),
        "seconds": round(time.monotonic() - started, 1),
        "peak_host_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "as_expected": all(right for *_, right in lines),
        "method": job.get("method", str, None),
        "quality": checked.figures,
        "bounds": job.get("expect.quality", dict, {}),
        "beyond_bounds": lost,
        "mtp_tensors_dropped": len(dropped),
    }
    common.write_report(weights, report)
    if checked.figures:
        print(proof.said(checked.figures))
    if dropped:
        print(f"note: {len(dropped)} tensors of multi-token prediction are not in the result (the tool drops them): no drafting with them")
    if lost:
        apart = job.keep_apart(weights)
        print(f"error: {'; '.join(lost)}. The result lies in {apart} and is not served", file=sys.stderr)
        return 4
    job.finish(weights)
    width = max(len(line[0]) for line in lines)
    for name, expected, found, right in lines:
        print(f"  {'ok ' if right else 'NOT'} {name:<{width}}  expected {expected}, found {found}")
    if not report["as_expected"]:
        print(f"error: {job.output} was made, but it is not what job.yaml expects", file=sys.stderr)
        return 3
    return 0


def _size_line(job, size):
    expected, tolerance = job.get("expect.bytes", int, size), job.get("expect.tolerance", float, 0.01)
    off = size / expected - 1 if expected else 0.0
    return "bytes of all tensors", f"{expected:,}", f"{size:,} ({off:+.2%})", abs(off) <= tolerance


def _quantization_lines(job, found):
    """What the job expects of config.json's quantization_config: what it leaves out may be anything."""
    expected = dict(job.get("expect.quantization", dict, {}))
    for names in ("ignore", "dynamic"):
        expected.pop(names, None)
    wanted, there = _leaves(expected), _leaves(found)
    return [(name, value, there.get(name), _same(value, there.get(name))) for name, value in wanted.items()]


def _dropped(source, tensors):
    """Names of the source's tensors for multi-token prediction that the result does not have."""
    there, _ = tensors_of(source)
    config = _json(source / "config.json")
    layers = config.get("num_hidden_layers") or (config.get("text_config") or {}).get("num_hidden_layers") or 1 << 30
    numbers = {name: int(found[1]) for name in there if (found := re.search(r"(?:^|[.])layers[.](\d+)[.]", name)) and not _TOWER.search(name)}
    found = [name for name in there if _MTP.search(name) or numbers.get(name, -1) >= layers]
    kept = {name.rpartition(".")[0] for name in tensors}
    return [name for name in found if name.rpartition(".")[0] not in kept]


class _Plain:
    """A config.json as an object, with its part for texts."""

    def __init__(self, content):
        self.__dict__.update({key: _Plain(part) if key == "text_config" else part for key, part in content.items()})


def _wide_lines(job, quantised, quantization, tensors, weights):
    """No module is quantised that should stay wide, by its name or by what it is, and none stays wide that nobody named."""
    config = _Plain(_json(weights / "config.json"))
    shapes = {name: next((tensors[f"{name}.{kind}"][1] for kind in ("weight", "weight_packed") if f"{name}.{kind}" in tensors), []) for name in quantised}
    nature = sorted(name for name in quantised if wide_by_nature(name, shapes[name], config))
    patterns = job.get("ignore", list, [])
    wrong = sorted(name for name in quantised if stays_wide(name, patterns))
    named = [name.replace("*", ".x") for name in quantization.get("ignore") or () if not re.match(f"re:|{EMBEDDINGS}", name)]
    unnamed = [name for name in named if not stays_wide(name, patterns)]
    return [
        ("modules quantised", "more than none", len(quantised), bool(quantised)),
        ("quantised though named to stay wide", "none", _few(wrong), not wrong),
        ("quantised though they are heads, routers or towers", "none", _few(nature), not nature),
        ("left wide though not named", "none", _few(unnamed), not unnamed),
    ]


def _leaves(value, path=""):
    """The values of nested mappings by their path; groups are counted, since tools name them as they like."""
    if isinstance(value, dict):
        named = enumerate(value.values()) if path == "config_groups" else value.items()
        return {k: v for key, part in named for k, v in _leaves(part, f"{path}.{key}" if path else str(key)).items()}
    return {path: value}


def _same(one, other):
    return one == other or (isinstance(one, str) and isinstance(other, str) and one.lower() == other.lower())


def _few(names):
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"


def _json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Stop(f"{path}: cannot be read: {error}") from None
