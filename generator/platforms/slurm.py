"""`slurm.sbatch`: one job over one or several machines. Floor 6, pure."""

from __future__ import annotations

from collections.abc import Mapping

from generator.decide.names import is_loopback
from generator.platforms import Data, Facts
from generator.quantity import ceil_div
from generator.render.launch import Launch
from generator.render.script import array, exported, host_env, same_exports
from generator.render.spelling import entry_of
from generator.render.words import expected
from generator.verify.data import same_words


def values(launch: Launch, facts: Facts) -> Data:
    """The words and variables of the script, and what a machine gives each task; with MPI a task is a GPU."""
    gpus, mpi = launch.machine_gpus, "mpi" in launch.facts and launch.nodes > 1
    tasks, words = gpus if mpi else 1, [*launch.program(), *launch.words()]
    if not launch.deploy.get("port"):  # the script appends the one that it derives from the job
        at = words.index(entry_of(launch.engine, "port")["flag"])
        del words[at : at + 2]
    return {
        "words": words, "args": array("args", words), "exports": exported(host_env(launch)), "mpi": mpi, "gpus": gpus, "tasks": tasks,
        "cores": ceil_div(facts["sizes"]["cores"] + facts["sizes"]["cores_per_gpu"] * gpus, tasks),
        "client_host": launch.base_url.rpartition(":")[0].removeprefix("http://").strip("[]"), "loopback": is_loopback(launch.host),
    }  # fmt: skip


def check(launch: Launch, facts: Facts, values: Data, texts: Mapping[str, str]) -> None:
    """Words and exports, split again."""
    (text,) = texts.values()
    same_words(values["args"], ["args=(", *map(expected, values["words"]), ")"], text)
    same_exports(host_env(launch), text)
