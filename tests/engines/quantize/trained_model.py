"""A small model that knows something: a Llama of 3 million parameters, trained for some minutes on this project's own pages, byte by byte.

.../llm-compressor-VERSION/bin/python trained_model.py FOLDER      writes FOLDER/trained, and FOLDER/held.txt, which it never saw
"""

import sys
from pathlib import Path

import tiny_models
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

DOCS = Path(__file__).resolve().parents[3] / "docs"
HELD = "quantize.md"
STEPS, ROWS, LENGTH = 300, 8, 128


def main() -> None:
    """Train and write."""
    folder = Path(sys.argv[1])
    tokenizer = tiny_models.tokenizer()
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")) if page.name != HELD)
    (folder / "held.txt").write_text((DOCS / HELD).read_text(encoding="utf-8"))
    numbers = torch.tensor(tokenizer(text)["input_ids"])
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(intermediate_size=512, tie_word_embeddings=False, **{**tiny_models.COMMON, "num_hidden_layers": 4})
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=STEPS, pct_start=0.1)
    for step in range(STEPS):
        starts = torch.randint(0, len(numbers) - LENGTH, (ROWS,)).tolist()
        rows = torch.stack([numbers[at : at + LENGTH] for at in starts])
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            print(step + 1, f"{loss.item():.3f}", file=sys.stderr, flush=True)
    model.to(torch.bfloat16).save_pretrained(folder / "trained")
    tokenizer.save_pretrained(folder / "trained")


if __name__ == "__main__":
    main()
