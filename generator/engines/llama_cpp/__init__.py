"""llama.cpp; its memory law and its cache are those of Ollama, too, which has one cache for all slots (`--kv-unified`)."""
