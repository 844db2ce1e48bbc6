"""Hostile texts: what a shell, Compose, YAML, Markdown, Jinja or an option parser might take for something of its own.

The same seed gives the same values. A value is one of the attacks below, several of them run together, or characters that
mean something to one of those readers; some keep to what a field allows, so that they get past its first check.
"""

from __future__ import annotations

import random
import string

ATTACKS = [
    # a shell
    "$(touch pwned)", "`touch pwned`", "; touch pwned", "| touch pwned", "& touch pwned &", "&& touch pwned", "|| touch pwned", "> pwned", ">>pwned", "<pwned",
    "'; touch pwned; '", '"; touch pwned; "', "'\"'; touch pwned #", "$'\\n'touch pwned", "\\'; touch pwned", "$((1+1))", "${HOME}", "$HOME", "$0", "$$", "$!", "$?",
    "${x:-$(touch pwned)}", "${PATH@P}", "~", "~root", "*", "?", "[a-z]*", "{a,b}", "!!", "!-1", "\\", "a\\", "'", '"', "''", '""', "it's", 'say "x"', ")", "(", "args=(", ");",
    "<(touch pwned)", "%s%n", "#x", " #x", "a #b", "\\$(x)", "\\`x`", "$(", "`", "${", "<<EOF", "<<<x", "2>&1", "a=b", "=x", "time", "exec x", "esac", "done", "fi", ";;",
    # Compose
    "$$", "$$$", "$$$$", "${MY_KEY}", "${MY_KEY:?x}", "$MY_KEY", "${A:-b}", "$${x}", "$$(x)", "${", "$}", "${}", "$ {x}", "a$", "$a$b",
    # YAML
    ": x", "a: b", "- x", "? x", "# c", "*a", "&a x", "!!python/object:x", "!x", "<<", "=", "%YAML 1.1", "---", "...", "[x]", "{a: b}", "{a", "]", "@x", "|", ">", "|-", "'x", '"x',
    "yes", "no", "on", "off", "y", "n", "true", "false", "null", "NULL", "~", "1", "-1", "+1", "0x1f", "0o17", "017", "1e3", "1_000", "1:30", "12:30:45", ".inf", "-.inf", ".nan",
    "2026-11-30", "2026-11-30T10:00:00Z", "1.0", "1.", ".5", "", " ", "  x", "x  ", "\t", "a\tb",
    # Markdown and HTML, as GitHub renders them
    "[x](http://evil.example)", "![x](http://evil.example/p.png)", "<img src=x onerror=alert(1)>", "<b>x</b>", "<!-- x", "-->", "--!>", "<!--->", "<script>alert(1)</script>", "<a href=x>",
    "http://evil.example", "www.evil.example", "https://user:pass@host/m", "x@evil.example", "@root", "@org/team", "#1", "GH-1", "a|b", "|", "\\|", "`x`", "``", "```", "` `", "`a", "a`",
    "*x*", "**x**", "_x_", "__x__", "~~x~~", "# x", "> x", "1. x", "- [ ] x", "|---|", "<http://evil.example>", "&lt;b&gt;", "&#x3c;", "&amp;", ":smile:", "$x$", "\\*", "[x]: http://evil.example",
    "[^1]", "<details>", "~~~", "    x", "a  ", "\\",
    # templates, formats, option parsers, paths, names
    "{{ 7*7 }}", "{% raw %}", "{# x #}", "{{x", "%}", "{0}", "%(x)s", "%d", "-", "--", "-x", "--help", "--host=0.0.0.0", "-rf", "-rf /", "--config=/etc/passwd", "/", "//", "..", ".", "../..",
    "./..", "../../etc/passwd", "/etc/passwd", "/proc/self/environ", "~/.ssh/id_rsa", "C:\\x", "\\\\host\\share", "file:///etc/passwd", "a/../b", "a//b", "a/./b", "a/", "/a/", "...", ".git", "a.gguf",
    "hf.co/x", "con", "nul", "a:b", "a:b:c", "a@sha256:x", "x" * 300, "constructor", "__proto__", "__class__",
    # JSON, a Modelfile, comments
    '","x":"', '"}', "\\u0000", "\\n", "\\", 'FROM x', '"""', '"""x"""', 'PARAMETER a b', "SYSTEM x", "\nFROM x", "/*", "*/", "//x",
    # control, direction and look-alike characters
    "a\nb", "a\rb", "a\r\nb", "\x00", "\x07", "\x1b[31m", "\x1b]0;x\x07", "\x7f", "\x85", "a\x85b", "\u2028", "\u2029", "\u200b", "\u200e", "\u202eevil", "\u2066x\u2069", "\ufeffx", "x\ufeff", "\u00a0",
    "a\u00a0b", "\u3000", "\u00ad", "\ufffd", "\ufffe", "\U0001f999", "\U000e0041", "е", "gооgle", "ключ", "模型", "é", "e\u0301", "ﬁ", "İ", "ß", "\u0338x", "٣", "Ⅷ", "＄(x)", "｀x｀", "＂", "\ud800",
]  # fmt: skip

META = "$`'\"\\|&;<>(){}[]*?~!#%=:@,+^-_./ "
"""ASCII that means something to one of the readers."""

CHARACTERS = "éßжא中あ🙂\u0301\u00a0\u200b\u2028\u2029\u202e\ufeff\x85\t\n\r\x1b\x00\x7f＄｀　" + META + "azAZ09"

ALLOWED = {
    "revision": string.ascii_letters + string.digits + "-._/",
    "host": string.hexdigits + ":.-" + "xyz",
    "image": string.ascii_letters + string.digits + "-._/:@",
    "label": string.ascii_lowercase + string.digits + "-",
    "variable": string.ascii_uppercase + string.digits + "_",
    "option": string.ascii_letters + string.digits + "-_.",
}
"""What fields of one kind may hold, by their schema: letters to make values of that pass it."""


def value(chance: random.Random, kind: str = "text") -> str:
    """One hostile value for a field of that kind (a key of `ALLOWED`, or `text` for a field that takes any)."""
    dice = chance.random()
    if kind in ALLOWED and dice < 0.6:
        return "".join(chance.choices(ALLOWED[kind], k=chance.randint(1, 16)))
    if dice < 0.5:
        return chance.choice(ATTACKS)
    if dice < 0.68:
        return "".join(chance.choice(ATTACKS) for _ in range(chance.randint(2, 3)))
    if dice < 0.78:
        return chance.choice("abcXYZ") + chance.choice(ATTACKS) + chance.choice("abcXYZ")
    if dice < 0.93:
        return "".join(chance.choices(META + "abc", k=chance.randint(1, 24)))
    return "".join(chance.choices(CHARACTERS, k=chance.randint(1, 24)))
