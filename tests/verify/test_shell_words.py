"""The reader of shell text against bash itself, and against anything at all."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.verify.shell_words import read_script

PIECES = [  # what shell is made of
    "'", '"', "$", "{", "}", "(", ")", "`", "\\", "\n", " ", "#", "=", "a", "b=c", "<<E", "<",
    ">", "&", ";", "|", "$'", "${x:-y}", "$(", "[@]", "x=(", "é",
]  # fmt: skip
WORDS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=12)


@given(st.lists(st.sampled_from(PIECES), max_size=25))
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_to_its_end(pieces: list[str]) -> None:
    read_script("".join(pieces), "x.sh")


@given(st.lists(WORDS, min_size=1, max_size=6))
@settings(deadline=None, max_examples=200)
def test_quoted_words_come_back(words: list[str]) -> None:
    script = read_script(f"run {shlex.join(words)}\n", "x.sh")
    assert [word.text for word in script.commands[0].words[1:]] == words
    assert all(word.known for word in script.commands[0].words)


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="asks bash")
@pytest.mark.parametrize(
    "text",
    [
        "run a'b'\"c\"d \\\n  e",
        'N=3; M="x y"; run "$M" ${M} $N ${Z:-z} "${Z:-z w}"',
        "A=(1 '2 3' # four\n 5)\nrun \"${A[@]}\" end",
        "run a\\ b \"q\\\"r\" 'x\\y' >/dev/stderr 2>&1; run second",
        "run one && run two || run three",
        "cat >/dev/null <<'E'\nrun no\nE\nrun yes",
    ],
)
def test_it_reads_as_bash_does(text: str) -> None:
    function = "run() { printf '%s\\0' \"$@\"; printf '\\1'; }\n"
    done = subprocess.run(["bash", "-c", function + text], capture_output=True, text=True, check=False, timeout=10)
    bash = [call.split("\0")[:-1] for call in (done.stdout + done.stderr).split("\1")[:-1]]
    ours = [[w.text for w in c.words[1:]] for c in read_script(text, "x.sh").commands if c.words[0].text == "run"]
    assert {tuple(call) for call in bash} <= {tuple(call) for call in ours}
