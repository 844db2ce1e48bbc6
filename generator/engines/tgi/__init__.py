"""Text Generation Inference. Its cache keeps every token of every layer; its speed was not measured, so vLLM's bands stand in."""
