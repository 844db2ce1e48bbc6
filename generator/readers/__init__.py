"""Readers of untrusted files: YAML and JSON with positions and budgets, headers of GGUF and safetensors. Floor 0."""
