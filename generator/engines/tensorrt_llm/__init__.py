"""TensorRT-LLM. Its cache keeps every token of every layer, in blocks of 32."""
