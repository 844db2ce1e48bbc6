"""Rule sets: loading, layering, checking, compiling, and matching. Floor 1."""
