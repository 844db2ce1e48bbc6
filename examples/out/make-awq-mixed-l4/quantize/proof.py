"""What a result lost against its source: the same held-back texts go through both, and their predictions are compared.

Texts: rows of the calibration data that the tool never saw, else held_back.txt beside this file. All rows go through a model in one pass, so
that a model that lies in host memory or on disk is brought to the GPU once, layer by layer.

kl           mean divergence of the result's predictions from the source's, in nats per token
kl_share     the same, divided by how far the source's predictions are from their own mean: the share of what the source knows of the
             next token that is lost (`known`, at least 0.1 nats: who knows nothing has nothing to lose). It means the same for a large model
             and a tiny one, where nats do not
agreement    share of tokens for which both have the same first choice
perplexity   of both, and the growth in percent with its standard error over tokens (paired: the same tokens)
"""

import math
import time
from pathlib import Path

from training_job import Stop

TOKENS, ROWS = 256, 4
"""Of the comparison: enough that 0.01 nats are seen, few enough to cost seconds."""
LARGE = 1 << 28
"""Bytes from which log probabilities are kept in 16 bits, which is exact to 0.001 nats for a likely word."""
LEAST_KNOWN = 0.1
HELD_BACK = "held_back.txt"
BOUNDS = ("kl_share", "perplexity_growth_percent")


class Worse(Stop):
    """The result lost more than its method may; it is kept apart."""

    code = 4


def rows(tokenizer, texts, vocabulary=None):
    """At most `ROWS` rows of `TOKENS` token numbers each, of these texts in order; of the shipped text where they are too short."""
    for source in (texts, [(Path(__file__).resolve().parent / HELD_BACK).read_text(encoding="utf-8")]):
        stream = [number for text in source for number in tokenizer(text, add_special_tokens=False)["input_ids"]]
        stream = [number for number in stream if vocabulary is None or number < vocabulary]
        length = min(TOKENS, len(stream))
        if length >= TOKENS // 4:
            return [stream[at : at + length] for at in range(0, len(stream) - length + 1, length)][:ROWS]
    raise Stop("the held-back texts are shorter than 64 tokens in this model's tokens")


class Predictions:
    """What a model predicts for the rows: log probabilities in a file, since they may be larger than the model's layers."""

    def __init__(self, model, numbers, file, device=None):
        import numpy
        import torch

        started = time.monotonic()
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor(numbers, device=device or input_device(model)), use_cache=False).logits
            self.shape = tuple(logits.shape)
            self.file = file
            small = 4 * logits.numel() < LARGE
            kept = numpy.lib.format.open_memmap(file, mode="w+", dtype=numpy.float32 if small else numpy.float16, shape=self.shape)
            for index in range(self.shape[0]):
                kept[index] = torch.log_softmax(logits[index].float(), -1).clamp(min=-6e4).cpu().numpy()
            kept.flush()
        self.seconds = time.monotonic() - started

    def of(self, index):
        """The log probabilities of one row, tokens by words."""
        import numpy
        import torch

        return torch.from_numpy(numpy.load(self.file, mmap_mode="r")[index].copy()).float()


def input_device(model):
    """Where the inputs of a model have to be: the GPU that the layers are brought to, or where its embeddings are."""
    import torch

    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator()
    return model.get_input_embeddings().weight.device


def compared(source, result, numbers):
    """The figures of a result against its source, by `Predictions` of both."""
    import torch

    if source.shape != result.shape:
        raise Worse(f"the source predicts {source.shape[-1]:,} words, the result {result.shape[-1]:,}")
    mean = torch.stack([source.of(i).exp().mean(0) for i in range(len(numbers))]).mean(0).clamp(min=1e-30).log()
    kl, known, same, lost, base = [], [], [], [], []
    for index, row in enumerate(numbers):
        one, other = source.of(index), result.of(index)
        if not torch.isfinite(other).all():
            raise Worse("the result predicts what is no number (NaN or infinity)")
        chance = one.exp()
        kl.append((chance * (one - other)).sum(-1))
        known.append((chance * (one - mean)).sum(-1))
        same.append((one.argmax(-1) == other.argmax(-1)).float())
        target = torch.tensor(row[1:]).unsqueeze(-1)
        base.append(-one[:-1].gather(-1, target).squeeze(-1))
        lost.append(-other[:-1].gather(-1, target).squeeze(-1) - base[-1])
    kl, known, same, lost, base = (torch.cat(part).double() for part in (kl, known, same, lost, base))
    error = float(lost.std()) / math.sqrt(len(lost))
    return {
        "tokens": len(kl),
        "kl": _rounded(max(0.0, float(kl.mean()))),
        "known": _rounded(float(known.mean())),
        "kl_share": _rounded(max(0.0, float(kl.mean())) / max(LEAST_KNOWN, float(known.mean()))),
        "agreement": _rounded(float(same.mean())),
        "perplexity_source": _rounded(math.exp(min(700, float(base.mean())))),
        "perplexity_result": _rounded(math.exp(min(700, float((base + lost).mean())))),
        "perplexity_growth_percent": _rounded(100 * math.expm1(min(700, float(lost.mean())))),
        "perplexity_growth_error": _rounded(100 * error),
    }


def judged(figures, bounds):
    """What is beyond its bound, as words; the growth of perplexity only where it is so by more than twice its standard error."""
    found = []
    for name in BOUNDS:
        bound = bounds.get(name)
        margin = 2 * figures["perplexity_growth_error"] if name == "perplexity_growth_percent" else 0
        if bound is not None and figures[name] - margin > bound:
            found.append(f"{name} is {figures[name]:.4g}, at most {bound:g} is expected of this method")
    return found


def said(figures):
    """The figures in one line."""
    return (
        f"against the source, {figures['tokens']} tokens: KL divergence {figures['kl']:.4f} ({figures['kl_share']:.2%} of what the source knows), "
        f"the same first choice for {figures['agreement']:.1%}, perplexity {figures['perplexity_source']:.2f} -> {figures['perplexity_result']:.2f} "
        f"({figures['perplexity_growth_percent']:+.2f} ± {2 * figures['perplexity_growth_error']:.2f} %)"
    )


def _rounded(value):
    return float(f"{value:.5g}")


