"""What `scripts/harvest.py` is made of: fetch (packages), static (source read without running it), one module an engine, spans, report."""
