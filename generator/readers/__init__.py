"""Files in: YAML and JSON with positions and budgets, headers of GGUF and safetensors. Nothing here trusts its input.

Floor 0.
"""
