"""One launch file: its kind, the servers it starts, and all its problems.

Floor 6. Reads the file, and the config.json of a model that lies beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.architecture.shape import ModelArchitecture
from generator.errors import InputError, Place, Problem, fold
from generator.facts.model import shape_of
from generator.facts.model_names import repositories
from generator.readers.document import Document, decode, parse_yaml, read_bytes
from generator.rulebook.book import RuleBook
from generator.verify.argv import check_argv
from generator.verify.catalogue import Catalogue, catalogue
from generator.verify.containers import in_containers
from generator.verify.data import is_option
from generator.verify.engine_yaml import check_config
from generator.verify.extra import check_env, check_modelfile
from generator.verify.launches import Launch, in_script, names_a_server, of_config, of_modelfile, with_config
from generator.verify.room import of_script
from generator.verify.semantics import Given, check_together, given_options

if TYPE_CHECKING:
    from generator.verify.verdict import Verdict

MAX_BYTES = 4 << 20
SCRIPTS = (".sh", ".bash", ".sbatch", ".slurm", ".txt", ".service", ".container", "")
_HEADER = re.compile(r"^# (.+?) (\S+), ", re.MULTILINE)


@dataclass
class Report:
    """The result for a file: the number of servers and configurations checked, their versions, the findings, what a machine says, the servers,
    and the documents of Compose and Kubernetes."""

    checked: list[str] = field(default_factory=list)
    findings: list[Problem] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    servers: list[tuple[Launch, Catalogue]] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """The user's engine and version, for files that do not name them; the machine to judge for (a spec's hardware), and the model."""

    engine: str | None = None
    version: str | None = None
    hardware: Mapping[str, Any] | None = None
    model: str | None = None


NOBODY = Asked()
STDIN = "-"


def check_file(path: Path, book: RuleBook, asked: Asked = NOBODY, told: Asked = NOBODY) -> Report:
    """The report of one file; `told` comes from the folder (plan.json), and the file's own statements override it.

    Raises `InputError` for an unreadable file or invalid YAML."""
    name = str(path)
    return check_text(name, decode(read_bytes(path, MAX_BYTES, name), name), book, asked, told)


def check_text(name: str, text: str, book: RuleBook, asked: Asked = NOBODY, told: Asked = NOBODY) -> Report:
    """The report of a file's text; the name determines the kind of file, of standard input (`-`) the text does."""
    path, check = Path(_kind(text) if name == STDIN else name), _Check(name, book, header(text, book), asked, told)
    if _is_modelfile(path, text):
        engine = next(name for name, facts in book.section("flags").items() if "parameters" in facts)
        if asked.engine in (None, engine):
            known = check.known(engine)
            check.add(known, found := list(check_modelfile(text, name, known)))
            if not any(finding.code == "modelfile" for finding in found):
                check.judge(of_modelfile(text, name, engine), known, found)
    elif path.suffix in (".yaml", ".yml", ".json"):
        for document in documents(text, name):
            check.yaml(document)
    elif path.suffix in SCRIPTS and names_a_server(text, book):
        for launch in in_script(_commands_of(path, text), name, book):
            place = launch.place.place if launch.place else Place(name)
            check.launch(replace(launch, room=of_script(text, place, [word.text for word in launch.around])))
    return check.report


class _Check:
    """The check of one file, by what the file says, the user asked and the folder told."""

    def __init__(self, name: str, book: RuleBook, said: Asked, asked: Asked, told: Asked) -> None:
        self.name, self.book, self.said, self.asked, self.told = name, book, said, asked, told
        self.folder = Path() if name == STDIN else Path(name).parent
        self.report = Report()

    def yaml(self, document: Document) -> None:
        """One YAML document: containers, or an engine's own configuration (no engine reads JSON, nor plan and manifest)."""
        wanted = self.asked.engine or self.said.engine
        engine = wanted or self.told.engine
        for launch in (servers := in_containers(document, self.book, wanted)) or ():
            self.launch(launch)
        self.report.documents += [document] if servers is not None else []
        if servers is None and engine is not None and engine in self.book.section("flags") and Path(self.name).suffix != ".json":
            known = self.known(engine)
            self.add(known, wrong := list(check_config(document, known)))
            launch = of_config(document, engine)
            if known.syntax.get("config") and (self.asked.model or any(word.text in ("--model", "--model-path") for word in launch.words)):
                self.judge(launch, known, wrong)

    def launch(self, launch: Launch) -> None:
        if self.asked.engine not in (None, launch.engine):
            return
        known = self.known(launch.engine, launch.version)
        given = given_options(launch.words, launch.env, known)
        model = served_model(launch, given, known, self.folder, self.book, self.asked.model)
        argv, env = check_argv(launch.words, known, launch.positionals), check_env(launch.env, known, given)
        found = (*argv, *env, *check_together(given, known, model))
        self.add(known, found)
        self.judge(launch, known, found)

    def judge(self, launch: Launch, known: Catalogue, found: Sequence[Problem]) -> None:
        """What the machine that the user asks about makes of a server; without one only the command as it should be, where words are wrong."""
        launch = with_config(launch, known.config_flag, self._config)
        self.report.servers.append((launch, known))
        if self.asked.hardware is None and not any(finding.severity == "error" for finding in found):
            return
        from generator.verify.verdict import judged  # imported lazily: only wrong words, or a machine, need it

        verdict = judged(launch, known, found, self.asked.hardware, self.asked.model, self.folder, self.book)
        self.report.verdicts.append(verdict)
        self.report.findings += verdict.findings

    def _config(self, name: str) -> Document | None:
        """A configuration file that lies beside the launch file."""
        path = self.folder / name
        if self.name == STDIN or not isfile(path):  # noqa: PTH113 (of a name that is too long, pathlib raises an error)
            return None
        return parse_yaml(decode(read_bytes(path, MAX_BYTES), str(path)), str(path))

    def add(self, known: Catalogue, found: Iterable[Problem]) -> None:
        """Report what was checked as which version, and what was found."""
        self.report.checked.append(known.title)
        self.report.findings += found
        if known.unlisted:
            message = f"{known.engine} {known.version} is not in the catalogue: checked as {known.checked_as}"
            self.report.findings.append(Problem("uncatalogued-version", message, Place(self.name), known.unlisted))

    def known(self, engine: str, version: str | None = None) -> Catalogue:
        """The catalogue of the effective version: the user's, else the file's (header, image), the folder's, the default."""
        of_user = self.asked.version if self.asked.engine in (None, engine) else None
        of_header, of_folder = (one.version if one.engine == engine else None for one in (self.said, self.told))
        default = str(self.book.section("engines")[engine]["default_version"])
        return catalogue(self.book, engine, of_user or of_header or version or of_folder or default)


def header(text: str, book: RuleBook) -> Asked:
    """Engine and version of a generated file, from its first lines."""
    titles = {facts["title"]: name for name, facts in book.section("engines").items()}
    for found in _HEADER.finditer(text[:2000]):
        if found.group(1) in titles:
            return Asked(titles[found.group(1)], found.group(2))
    return Asked()


def documents(text: str, name: str) -> Iterator[Document]:
    """The YAML documents of a file, with positions relative to the file."""
    start, lines = 0, text.split("\n")
    for end in [*(i for i, line in enumerate(lines) if line.rstrip() == "---" or line.startswith("--- ")), len(lines)]:
        part = lines[start:end]
        if any(line.strip() and not line.lstrip().startswith("#") for line in part):
            yield parse_yaml("\n" * start + "\n".join(part), name)
        start = end + 1 if end < len(lines) and lines[end].rstrip() == "---" else end


def _kind(text: str) -> str:
    """A file name such as texts of this kind have."""
    if re.search(r"^\[(Service|Container)\]", text, re.MULTILINE):
        return "x.container" if "[Container]" in text else "x.service"
    return "x.yaml" if re.match(r"(\s*(#.*)?\n|---.*\n)*[\w-]+:(\s|$)", text) else "x.sh" if not text.lstrip().upper().startswith("FROM ") else "x"


def _is_modelfile(path: Path, text: str) -> bool:
    if "modelfile" in path.name.lower():
        return True
    first = next((line for line in text.split("\n") if line.strip() and not line.startswith("#")), "")
    return path.suffix == "" and first.upper().startswith("FROM ") and "PARAMETER" in text.upper()


def _commands_of(path: Path, text: str) -> str:
    """The text of a script; for a systemd unit only the commands of its Exec lines, at their positions (Quadlet: behind its image)."""
    if path.suffix not in (".service", ".container"):
        return text
    image = re.search(r"^Image=(\S+)", text, re.MULTILINE)
    entry = re.search(r"^Entrypoint=(\S+)", text, re.MULTILINE)
    run = f"podman run {f'--entrypoint {entry.group(1)} ' if entry else ''}{image.group(1)} " if image and path.suffix == ".container" else ""
    out, inside = [], False
    for line in text.split("\n"):
        key, equals, rest = line.partition("=")
        starts = bool(equals) and key.strip() in ("ExecStart", "Exec" if run else "ExecStart", "Environment")
        if inside:
            out.append(line)
        elif starts:
            word = "export " if key.strip() == "Environment" else run
            out.append(" " * (len(key) + 1 - len(word)) + word + rest.lstrip("-@:+!") if len(key) + 1 >= len(word) else word + rest)
        else:
            out.append("")
        inside = (starts or inside) and line.endswith("\\")
    if run and not re.search(r"^Exec *=", text, re.MULTILINE):
        out.append(run)
    return "\n".join(out)


def served_model(launch: Launch, given: Given, known: Catalogue, folder: Path, book: RuleBook, named: str | None = None) -> Mapping[str, str | int]:
    """What rules of `together` can ask of the model, `named` by the user or else by the server; empty where it is not known, or no rule asks."""
    if not any("model." in f"{rule}" and rule["option"] in given for rule in known.facts.get("together") or ()):
        return {}
    first = launch.words[0] if launch.positionals and launch.words and not is_option(launch.words[0].text) else None
    options = [f"--{entry.get('key')}" for entry in book.section("engines")[known.engine]["flags"]["model"]]
    word = first or next((given[option][0] for option in options if option in given), None)
    model = named or (word.text if word is not None and word.known else "")
    layout = ""
    try:
        config = folder / model / "config.json"
        if model and not Path(model).is_absolute() and config.resolve().is_relative_to(folder.resolve()) and config.is_file():
            from generator.architecture.config import from_config  # rarely needed
            from generator.facts.model import read_config

            shape: ModelArchitecture | None = from_config(read_config(config), book.section("families"))
        else:
            listed = book.index("models").get(fold(model))
            if listed is None and (prepared := repositories(book).get(fold(model))):
                repository, listed, methods = prepared
                made = book.section("models")[listed]["checkpoints"].get(methods[0]) or []
                files = made if isinstance(made, list) else [made]
                layout = next((str(one.get("layout", "")) for one in files if one["id"] == repository), "")
            shape = shape_of(listed, book) if listed else None
    except (InputError, OSError, ValueError):
        return {}
    if shape is None:
        return {}
    layout = layout or (shape.quantization.layout if shape.quantization else "")
    context = max(shape.max_context, shape.yarn_context)
    facts: dict[str, str | int] = {"attention_heads": shape.attention_heads, "max_context": context, "layers": shape.layers, "model_type": shape.model_type}
    return {**facts, **({"layout": layout} if layout else {}), **({"multimodal": "yes"} if shape.multimodal else {})}
