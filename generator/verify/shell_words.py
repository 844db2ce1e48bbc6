"""Shell text as commands of words with positions. Nothing is run: a variable is known only if the same text sets it to a literal.

Floor 6, pure. Enough of bash for launch scripts: quotes, continuations, comments, arrays, assignments, here-documents; the result of a
command substitution is unknown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from generator.errors import Place
from generator.verify.data import Text

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)((?s:.*))\}")
_ASSIGN = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_ARRAY = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\[[@*]\]\}\Z")
_VARIABLE = re.compile(r"\$\{?[A-Za-z_]\w*\}?\Z")
_BLANK = re.compile(r"<[A-Za-z_](?:[^<>|&;\n]*[^\s<>|&;])?>")  # <your model>
_PARTS = re.compile(r"(?:\$\([^)]*\)|\S)+")
_RESERVED = {"if", "then", "elif", "else", "fi", "do", "done", "while", "until", "!", "{", "}"}
_OPERATORS = ";&|()<>"
_CLOSING = {"(": ")", "{": "}"}
_UNIT = re.compile("ExecStart=")  # a unit in a here-document
_IGNORED = re.compile(r"\\\r?\n|[^\S\n]+|#[^\n]*")
_LINE = re.compile(r"[^\n]*")
_REDIRECTION = re.compile(r"[<>&|-]+")
_BLANKS = re.compile(r"[ \t]*")
_SINGLE = re.compile(r"'[^']*'?")
_ESCAPED = re.compile(r"\\(?s:.)?")
_BACKTICKS = re.compile(r"[^`]*`?")
_SPECIAL = re.compile(r"[@*#?$!\d-]")
_WRITTEN = (".sh", ".bash", ".sbatch", ".slurm", ".service")
SHELLS = {"sh", "bash", "dash", "zsh"}


@dataclass
class Command:
    """A simple command: its words and preceding assignments."""

    words: list[Text] = field(default_factory=list)
    env: dict[str, Text] = field(default_factory=dict)


@dataclass
class Script:
    """The commands and exports of a text."""

    commands: list[Command] = field(default_factory=list)
    exports: dict[str, Text] = field(default_factory=dict)


def read_script(text: str, name: str, start: Place | None = None) -> Script:
    """The commands of a shell text; with `start`, every word gets that place (text inside a YAML value)."""
    return _Reader(text, name, start).run()


class _Reader:
    def __init__(self, text: str, name: str, start: Place | None) -> None:
        self.text, self.name, self.start = text, name, start
        self.at, self.line, self.begin = 0, 1, 0
        self.script = Script()
        self.command = Command()
        self.variables: dict[str, Text] = {}
        self.arrays: dict[str, list[Text]] = {}
        self.array: tuple[str, list[Text]] | None = None
        self.heredocs: list[str] = []
        self.written = ""
        self.branches: list[tuple[dict[str, Text], dict[str, list[Text]]]] = []

    def place(self) -> Place:
        return self.start or Place(self.name, self.line, self.at - self.begin + 1)

    def peek(self, n: int = 0) -> str:
        return self.text[self.at + n : self.at + n + 1]

    def step(self, n: int = 1) -> str:
        taken = self.text[self.at : self.at + n]
        for i, c in enumerate(taken):
            if c == "\n":
                self.line, self.begin = self.line + 1, self.at + i + 1
        self.at += n
        return taken

    def take(self, pattern: re.Pattern[str]) -> str:
        """What matches here, and the step behind it; empty where nothing does."""
        found = pattern.match(self.text, self.at)
        return self.step(len(found.group())) if found else ""

    def run(self) -> Script:
        while self.at < len(self.text):
            c = self.peek()
            if c == "\n":
                self.step()
                self._end_line()
            elif self.take(_IGNORED):
                continue
            elif c in _OPERATORS and not _BLANK.match(self.text, self.at):
                self._operator(c)
            elif self.command.words or not self.take(_UNIT):
                self._word()
        self._end()
        return self.script

    def _operator(self, c: str) -> None:
        if c == ")" and self.array is not None:
            self.arrays[self.array[0]], self.array = self.array[1], None
            self.step()
        elif c in "<>":
            self._redirect()
        else:
            self.step()
            if self.array is None:
                self._end()

    def _redirect(self) -> None:
        mark = self.take(_REDIRECTION)
        self.take(_BLANKS)
        if self.peek() in ("", "\n"):
            return
        target, _, _ = self._pieces()
        if mark in ("<<", "<<-"):
            self.heredocs.append(target)
        elif mark.startswith(">"):
            self.written = target

    def _end_line(self) -> None:
        words = [self.written, *(word.text.rsplit("/", 1)[-1] for word in self.command.words)]
        if any(word in SHELLS or word.endswith(_WRITTEN) for word in words):
            self.heredocs = []  # what a shell reads, or a script or unit is made of, is read here as well, as more of the same text
        for mark in self.heredocs:
            while self.at < len(self.text):
                line = self.take(_LINE)
                self.step()
                if line.strip("\t\r") == mark:
                    break
        self.heredocs, self.written = [], ""
        if self.array is None:
            self._end()

    def _end(self) -> None:
        command, self.command = self.command, Command()
        if not command.words:
            self.variables |= command.env
            return
        if command.words[0].text == "export":
            for word in command.words[1:]:
                name, equals, value = word.text.partition("=")
                if equals:
                    self.variables[name] = Text(value, word.place, word.known)
                if name in self.variables:
                    self.script.exports[name] = self.variables[name]
            return
        self.script.commands.append(command)

    def _word(self) -> None:
        place = self.place()
        if self.array is None and not self.command.words and (found := _ASSIGN.match(self.text, self.at)):
            self._assignment(found, place)
            return
        begin = self.at
        value, known, bare = self._pieces()
        raw = self.text[begin : self.at].strip('"')
        if self.peek() in ("<", ">") and raw.isdigit():
            return  # the number of a redirected stream
        target = self.array[1] if self.array is not None else self.command.words
        if raw in ("$@", "$*"):
            return
        if (array := _ARRAY.match(raw)) and array.group(1) in self.arrays:
            target.extend(self.arrays[array.group(1)])
        elif raw in _RESERVED and target is self.command.words and not target:
            self._branch(raw)
        elif bare and self.text[begin] == "$" and (known or _VARIABLE.match(raw)) and value != raw:
            target.extend(Text(part, place, known or "$" not in part) for part in _PARTS.findall(value))
        else:
            target.append(Text(value, place, known))

    def _branch(self, word: str) -> None:
        """Each branch of an `if` begins with what was set before it; after it, the last one counts."""
        if word == "if":
            self.branches.append((dict(self.variables), dict(self.arrays)))
        elif self.branches and word in ("elif", "else"):
            self.variables, self.arrays = dict(self.branches[-1][0]), dict(self.branches[-1][1])
        elif self.branches and word == "fi":
            self.branches.pop()

    def _assignment(self, found: re.Match[str], place: Place) -> None:
        name = found.group(1)
        self.step(len(found.group(0)))
        if self.peek() == "(":
            self.step()
            self.array = (name, list(self.arrays.get(name, [])) if "+=" in found.group(0) else [])
            return
        value, known, _ = self._pieces()
        self.command.env[name] = Text(value, place, known)

    def _pieces(self) -> tuple[str, bool, bool]:
        """The text of one word, whether it is known, and whether it is entirely unquoted."""
        out, known, bare, quoted = "", True, True, False
        while (c := self.peek()) and (quoted or not c.isspace()):
            if c == '"':
                quoted, bare = not quoted, False
                self.step()
            elif c in "$`":
                inner, sure = self._expansion()
                out, known = out + inner, known and sure
            elif c == "\\" and (not quoted or self.peek(1) in '$`"\\\n'):
                out += self.take(_ESCAPED)[1:].removeprefix("\n")
            elif quoted:
                out += self.step()
            elif c in _OPERATORS:
                if not (blank := self.take(_BLANK)):
                    break
                out, known = out + blank, False
            elif c == "'":
                bare = False
                out += self.take(_SINGLE).strip("'")
            else:
                out += self.step()
        return out, known, bare

    def _expansion(self) -> tuple[str, bool]:
        """A variable's literal value if set in the text, or its default; else the expansion as written, unknown."""
        begin = self.at
        if self.step() == "`":
            self.take(_BACKTICKS)
            return self.text[begin : self.at], False
        if self.peek() in _CLOSING:
            self._balanced()
            raw = self.text[begin : self.at]
            if braced := _BRACED.fullmatch(raw):
                name, rest = braced.groups()
                if name in self.variables and (not rest or rest[:2] in (":-", ":?", ":=")):
                    return self._variable(name)
                if rest[:2] in (":-", ":=") and not set(rest) & set("$`"):
                    return rest[2:].strip("\"'"), True
            return raw, False
        if name := self.take(_NAME):
            return self._variable(name)
        special = self.take(_SPECIAL)
        return f"${special}", not special

    def _variable(self, name: str) -> tuple[str, bool]:
        value = self.variables.get(name)
        return (value.text, value.known) if value is not None else (f"${name}", False)

    def _balanced(self) -> None:
        stack: list[str] = []
        while self.at < len(self.text):
            c = self.step()
            if c in _CLOSING:
                stack.append(_CLOSING[c])
            elif stack and c == stack[-1]:
                stack.pop()
                if not stack:
                    return
            elif c == "\\":
                self.step()
