"""The folder of a run: who may go on with it, checkpoints that are whole or not there, and log lines.

run.json                 the configuration; another one is refused
log.jsonl                a line a step, the same for two runs of one configuration
times.jsonl              the seconds of each step
checkpoints/step-000100  two of these at most
model                    the result
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lac.errors import UserError

KEPT = 2
MANY_DIFFERENCES = 5


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """One process at a time. The lock goes with the process, however that ends. Raises UserError where it is held."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                "Another process is training here", where=str(out), fix="Wait, or choose another --out."
            ) from None
        yield


def claim(out: Path, configuration: dict[str, Any]) -> None:
    """Writes `run.json`, or compares with the one there. Raises UserError naming what differs."""
    path = out / "run.json"
    mine = json.loads(json.dumps(configuration))
    if not path.exists():
        foreign = sorted(entry.name for entry in out.iterdir() if not entry.name.startswith("."))
        if foreign:
            raise UserError(
                "--out is no run folder", where=str(out), got=", ".join(foreign[:3]), allowed="an empty folder"
            )
        write_atomically(path, json.dumps(mine, indent=2) + "\n")
        return
    there = json.loads(path.read_text())
    differing = list(differences(there, mine))
    if differing:
        more = len(differing) - MANY_DIFFERENCES
        told = "; ".join(differing[:MANY_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
        raise UserError(
            "--out holds a run of another configuration", where=str(out), got=told, fix="Choose another --out."
        )


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """`NAME is A there and B here`, for each value that differs."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            yield from differences(there.get(key), here.get(key), f"{name}.{key}" if name else key)
    elif there != here:
        yield f"{name} is {json.dumps(there)} there and {json.dumps(here)} here"


def write_atomically(path: Path, text: str) -> None:
    """The old content or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """To the disk: a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def latest_checkpoint(out: Path) -> Path | None:
    """Names sort by step. A folder under its last name is whole."""
    return max((out / "checkpoints").glob("step-*"), default=None)


def start_folder(final: Path) -> Path:
    """The folder to write `final` in; what a killed process left there is removed."""
    temporary = final.with_name(f".{final.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    return temporary


def finish_folder(temporary: Path, final: Path) -> None:
    """Everything to the disk, then the last name."""
    for folder, _, files in os.walk(temporary):
        for name in files:
            sync(Path(folder, name))
        sync(Path(folder))
    temporary.replace(final)
    sync(final.parent)


def prune_checkpoints(out: Path) -> None:
    """Keeps the last two."""
    for path in sorted((out / "checkpoints").glob("step-*"))[:-KEPT]:
        # Renamed first, for a half removed folder must not look whole.
        gone = path.with_name(f".{path.name}.partial")
        path.replace(gone)
        shutil.rmtree(gone)
    for leftover in (out / "checkpoints").glob(".step-*.partial"):
        shutil.rmtree(leftover)


class StepLog:
    """JSON lines with `step`, appended. Opened at a step, later lines are dropped: those steps are taken again."""

    def __init__(self, path: Path, step: int) -> None:
        lines = path.read_text().splitlines() if path.exists() else []
        kept = "".join(f"{line}\n" for line in lines if step_of(line) <= step)
        write_atomically(path, kept)
        self._file = path.open("a")

    def write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def sync(self) -> None:
        os.fsync(self._file.fileno())


def step_of(line: str) -> float:
    """The step of a line; a line cut off by a kill belongs to no step that is kept."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")
