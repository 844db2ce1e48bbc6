"""Compiled templates in the user's cache folder: parsing them costs more than a decision.

Floor 4; reads and writes that folder alone. A file is named by what it was made from (the template, Jinja, Python, our own
settings) and begins with a hash of the rest: what is damaged is as if it were not there, as with Python's own bytecode.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from jinja2.bccache import Bucket, BytecodeCache, bc_magic

HASH_BYTES = 32


class TemplateCache(BytecodeCache):
    """Keeps the code of templates; `settings` is whatever else shapes it."""

    def __init__(self, folder: Path, settings: bytes) -> None:
        self.folder, self.settings = folder, settings

    def path(self, bucket: Bucket) -> Path:
        """The file of one template as it is now."""
        made_from = hashlib.sha256(b"\0".join((bc_magic, self.settings, bucket.key.encode(), bucket.checksum.encode())))
        return self.folder / made_from.hexdigest()[:32]

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give the bucket its code, if it lies there whole."""
        with suppress(OSError, ValueError, EOFError, TypeError):
            raw = self.path(bucket).read_bytes()
            if hashlib.sha256(raw[HASH_BYTES:]).digest() == raw[:HASH_BYTES]:
                bucket.code = marshal.loads(raw[HASH_BYTES:])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the bucket's code for the next time, where that is possible."""
        assert bucket.code is not None  # Jinja asks when it has compiled one
        raw = marshal.dumps(bucket.code)
        staging = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, staging = tempfile.mkstemp(prefix=".", dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(raw).digest() + raw)
            Path(staging).replace(self.path(bucket))
        except OSError:
            if staging is not None:
                with suppress(OSError):
                    Path(staging).unlink()
