"""The hub as this tool asks it: the facts of a repository, its small files, and the beginnings of its large ones.

Floor 8: opens network connections, through `huggingface_hub`, whose variables (HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE,
proxies) work as people know them. Weights are never downloaded: their headers are read by ranges."""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from generator.errors import fail
from generator.hub.lock import MAX_BYTES, LockedFile
from generator.readers.binary import Opened
from generator.readers.document import read_bytes
from generator.readers.resources import shipped
from generator.record import dataclass

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TIMEOUT_S = 10
MAX_SMALL_BYTES = 32 << 20
MAX_FILES = 20_000
MAX_LINKED = 300
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True, slots=True)
class Info:
    """What the hub says of a repository at one commit; `gated` is empty, `auto` or `manual`."""

    id: str
    commit: str
    licence: str | None
    gated: str
    base_model: tuple[str, ...]
    files: Mapping[str, LockedFile]


class Hub:
    """A model hub. Every method raises `InputError`: `hub-unreachable`, `hub-gated`, `hub-unknown`, `hub-commit`, `hub-answer`."""

    def __init__(self, api: HfApi) -> None:
        self._api = api
        self.name = api.endpoint

    def info(self, repository: str, revision: str | None = None) -> Info:
        """The repository at a commit, a branch or a tag; its main branch without one."""
        with _explained(repository, self.name, revision):
            found = self._api.model_info(repository, revision=revision, timeout=TIMEOUT_S, files_metadata=True)
        if found.id != repository:
            raise fail("hub-moved", f"the hub answers for {repository!r} with {str(found.id)[:200]!r}: write that name in the spec")
        if not re.fullmatch(r"[0-9a-f]{40}", found.sha or ""):
            raise fail("hub-answer", f"{repository}: the hub names no commit")
        siblings = found.siblings or []
        if len(siblings) > MAX_FILES:
            raise fail("hub-answer", f"{repository}: {len(siblings)} files; at most {MAX_FILES} are supported")
        files = {one.rfilename: _file(repository, one) for one in siblings if _is_path(one.rfilename)}
        card: Mapping[str, Any] = found.card_data.to_dict() if found.card_data else {}
        bases = card.get("base_model") or []
        linked = tuple(one for one in ([bases] if isinstance(bases, str) else bases) if isinstance(one, str) and REPOSITORY.fullmatch(one))
        licence = card.get("license")
        gated = found.gated if found.gated in ("auto", "manual") else ""
        return Info(repository, str(found.sha), licence[:80] if isinstance(licence, str) else None, gated, linked, files)

    def prepared_from(self, model: str) -> list[str]:
        """The repositories that say that they quantised this model, most downloaded first."""
        with _explained(model, self.name):
            found = [one.id for one in self._api.list_models(filter=f"base_model:quantized:{model}", sort="downloads", limit=MAX_LINKED)]
        return [name for name in found if REPOSITORY.fullmatch(name)]

    def small(self, info: Info, file: str) -> bytes:
        """A small file, from the client's cache if it is there; its digest is checked."""
        said = info.files[file]
        if said.size > MAX_SMALL_BYTES:
            raise fail("too-large", f"{info.id}/{file} has {said.size} bytes; at most {MAX_SMALL_BYTES} are read")
        with _explained(info.id, self.name, info.commit):
            path = self._api.hf_hub_download(info.id, file, revision=info.commit)
        raw = read_bytes(Path(path), MAX_SMALL_BYTES, f"{info.id}/{file}")
        blob = hashlib.sha256(raw) if len(said.digest) == 64 else hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False)
        if blob.hexdigest() != said.digest:
            raise fail("hub-changed", f"{info.id}/{file} is not the file that the hub lists for commit {info.commit[:12]}: try again, or report it there")
        return raw

    @contextmanager
    def opened(self, info: Info, file: str) -> Iterator[Opened]:
        """A large file, of which only what is read is fetched."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        url = hf_hub_url(info.id, file, revision=info.commit, endpoint=self._api.endpoint)
        headers = build_hf_headers(token=self._api.token, library_name="gen-deploy")
        with _explained(info.id, self.name, info.commit):
            yield cast("BinaryIO", _Ranges(url, headers, info.files[file].size, f"{info.id}/{file}")), info.files[file].size


def connect() -> Hub:
    """The hub of this machine's settings; raises `InputError` (`no-client`) where the client is not installed."""
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise fail("no-client", "looking up on the model hub needs the client huggingface_hub: pip install 'gen-deploy[hub]'") from None
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return Hub(HfApi(library_name="gen-deploy"))


class _Ranges(io.RawIOBase):
    def __init__(self, url: str, headers: Mapping[str, str], size: int, name: str) -> None:
        self._url, self._headers, self._size, self._name, self._at = url, headers, size, name, 0

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        from huggingface_hub.utils import hf_raise_for_status, http_stream_backoff

        end = min(self._size, self._at + size if size >= 0 else self._size)
        if end <= self._at:
            return b""
        headers = {**self._headers, "Range": f"bytes={self._at}-{end - 1}", "Accept-Encoding": "identity"}
        with http_stream_backoff("GET", self._url, headers=headers, timeout=TIMEOUT_S, max_retries=3) as answer:
            hf_raise_for_status(answer)
            whole = answer.headers.get("content-range", "").rpartition("/")[2]
            if answer.status_code == 206 and whole not in ("*", str(self._size)):
                raise fail("hub-changed", f"{self._name} has {whole[:20]} bytes, not the {self._size} that the hub lists for this commit")
            if answer.status_code != 206 and self._at:
                raise fail("hub-answer", f"{self._name}: the server does not send parts of a file")
            found = self._body(answer, end - self._at)
        if not found:
            raise fail("hub-cut", f"{self._name}: the connection broke off at byte {self._at}: try again")
        self._at += len(found)
        return found

    def _body(self, answer: Any, count: int) -> bytes:
        """At most `count` bytes, fewer where the connection breaks off: the next read goes on from there."""
        found = bytearray()
        try:
            for piece in answer.iter_bytes():
                found += piece
                if len(found) >= count:
                    break
        except Exception as error:  # which errors a broken connection raises differs by the client's version
            logging.getLogger(__name__).debug("%s: %s", self._name, type(error).__name__)
        return bytes(found[:count])


def _file(repository: str, one: Any) -> LockedFile:
    large = one.lfs
    size, digest = (large.size, large.sha256) if large else (one.size, one.blob_id)
    if type(size) is not int or not 0 <= size < MAX_BYTES or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", str(digest)):
        raise fail("hub-answer", f"{repository}: the hub gives no size or digest of {str(one.rfilename)[:120]!r}")
    return LockedFile(size, digest)


def _is_path(name: object) -> bool:
    return isinstance(name, str) and len(name) < 400 and name.isprintable() and not name.startswith("/") and not {"", ".", ".."} & set(name.split("/"))


@contextmanager
def _explained(repository: str, hub: str, revision: str | None = None) -> Iterator[None]:
    """The client's errors as ours, by the first entry of `hub_errors.json` that names their class, a base of it or its package."""
    try:
        yield
    except Exception as error:
        names = {type(error).__module__.partition(".")[0], *(base.__name__ for base in type(error).__mro__)}
        for known in shipped("hub_errors.json")["known"]:
            if names & {*known["errors"]}:
                said = known["message"].format(repository=repository, hub=hub, revision=str(revision)[:80], error=error)
                raise fail(known["code"], said) from None
        raise
