"""Runs ``charlstm`` in a process that kills itself at a chosen moment, or meets a fault there.

    python -m tests.reliability.dying PLAN train ...

PLAN is a JSON object:

    event   what triggers it, one of EVENTS: a file operation on a file of the checkpoint, such as
            "replace history.jsonl", or a part of training, "step" or "validate"
    when    "before", "after" or "half" (the first half of the bytes is written)
    nth     which of these events, from 1
    step    events count only from the start of this step on; 0 counts from the start
    do      what happens: "kill" (the default, like kill -9), the name of an error that the file
            system returns from then on, such as "EDQUOT", or "sleep SECONDS"
    interrupt  a module whose import is interrupted by Ctrl-C
    nan     a step after which a weight is NaN
    mark    file to which the process writes what it died of
    archive folder that gets a numbered copy of each model.safetensors that was in place
    keep    file that gets a copy of the last resume file before a finished run removes it

Without "event" nothing happens to the process. Files are written with the product's own code; only
the system calls are intercepted. This program depends only on the product's file names and on the
two functions for a step and a validation.
"""

from __future__ import annotations

import errno
import inspect
import io
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

CHANGING = ("resume.safetensors", "model.safetensors", "history.jsonl")
WRITTEN_ONCE = ("tokenizer.json", "config.json")

# Every moment in the life of a file, from its first byte to its durable name.
OPERATIONS = (
    ("write", "before"),
    ("write", "half"),
    ("write", "after"),
    ("fsync", "before"),
    ("fsync", "after"),
    ("replace", "before"),
    ("replace", "after"),
)
EVENTS = [(f"{operation} {name}", when) for name in CHANGING for operation, when in OPERATIONS] + [
    ("fsync folder", "after"),
    ("validate", "before"),
    ("validate", "after"),
    ("step", "before"),
    ("step", "after"),
]


def label(path: str) -> str:
    """Return the file of the checkpoint that a path, perhaps a temporary one, stands for."""
    name = os.path.basename(path)
    for known in (*CHANGING, *WRITTEN_ONCE):
        if name == known or name.startswith(f".{known}."):
            return known
    return "folder" if os.path.isdir(path) else ""


class Death:
    """Counts events and, at the planned one, ends the process or makes it fail."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.event: str | None = plan.get("event")
        self.when: str | None = plan.get("when")
        self.left = int(plan.get("nth", 1))
        self.from_step = int(plan.get("step", 0))
        self.mark = Path(plan["mark"]) if "mark" in plan else None
        self.counting = self.from_step == 0
        self.action = str(plan.get("do", "kill"))
        self.nan_after: int | None = plan.get("nan")
        self.archive = Path(plan["archive"]) if "archive" in plan else None

    def due(self, event: str, when: str) -> bool:
        """Return whether this is the planned moment; called once per moment."""
        if not self.counting or (event, when) != (self.event, self.when):
            return False
        self.left -= 1
        return self.left == 0 or (self.left < 0 and self.action.startswith("E"))

    def die(self) -> None:
        """End at once, without flushing or handlers; or fail, or sleep, as planned."""
        if self.mark is not None:
            self.mark.write_text(f"{self.when} {self.event}")
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.action.startswith("E"):
            code = getattr(errno, self.action)
            raise OSError(code, os.strerror(code))
        else:
            time.sleep(float(self.action.removeprefix("sleep ")))

    def at(self, event: str, when: str) -> None:
        """Die if this is the planned moment."""
        if self.due(event, when):
            self.die()

    def archive_model(self, path: Path) -> None:
        """Copy the file that has just become the model."""
        if self.archive is not None:
            os.link(path, self.archive / f"{time.time_ns()}")

    def step_begins(self, step: int) -> None:
        """Note how far training is."""
        self.counting = self.counting or step >= self.from_step


class DyingFile(io.FileIO):
    """A file that is opened for writing and may be left half written."""

    def __init__(self, path: Any, mode: str, death: Death) -> None:
        super().__init__(path, mode.replace("b", "").replace("t", ""))
        self.death, self.event = death, f"write {label(os.fspath(path))}"

    def write(self, data: Any) -> int:
        self.death.at(self.event, "before")
        if self.death.due(self.event, "half"):
            view = memoryview(data).cast("B")
            super().write(view[: len(view) // 2])
            self.death.die()
        written = super().write(data)
        self.death.at(self.event, "after")
        return written


def watch_files(death: Death) -> None:
    """Make each operation on the files of the checkpoint check whether to die."""
    fsync, replace, open_file, write = os.fsync, os.replace, io.open, os.write

    def named(descriptor: int) -> str:
        return label(os.readlink(f"/proc/self/fd/{descriptor}"))

    def dying_fsync(descriptor: int) -> None:
        event = f"fsync {named(descriptor)}"
        death.at(event, "before")
        fsync(descriptor)
        death.at(event, "after")

    def dying_replace(source: Any, target: Any, **options: Any) -> None:
        event = f"replace {label(os.fspath(target))}"
        death.at(event, "before")
        replace(source, target, **options)
        set_aside = Path(target).parent.name.startswith(".")  # the checkpoint being overwritten
        if event.endswith("model.safetensors") and not set_aside:
            death.archive_model(target)
        death.at(event, "after")

    def dying_write(descriptor: int, data: Any) -> int:
        event = f"write {named(descriptor)}"
        death.at(event, "before")
        if death.due(event, "half"):
            view = memoryview(data).cast("B")
            write(descriptor, view[: len(view) // 2])
            death.die()
        written = write(descriptor, data)
        death.at(event, "after")
        return written

    def dying_open(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        named = isinstance(file, str | os.PathLike) and label(os.fspath(file)) in CHANGING
        if named and set(mode) & set("wax+") and "b" in mode:
            return DyingFile(file, mode, death)
        return open_file(file, mode, *arguments, **options)

    os.fsync, os.replace, os.write = dying_fsync, dying_replace, dying_write
    io.open = dying_open


def watch_training(death: Death) -> None:
    """Make steps and validations check, too."""
    from charlstm.training.step import StepRunner

    train, validate = StepRunner.train, StepRunner.validate
    signature = inspect.signature(train)

    def dying_train(*arguments: Any, **options: Any) -> Any:
        bound = signature.bind(*arguments, **options).arguments
        death.step_begins(int(bound["step"]))
        death.at("step", "before")
        result = train(*arguments, **options)
        if death.nan_after is not None and bound["step"] + 1 >= death.nan_after:
            weight = bound["self"].model.trainable_variables[0]
            weight.assign(weight * float("nan"))
        death.at("step", "after")
        return result

    def dying_validate(*arguments: Any, **options: Any) -> Any:
        death.at("validate", "before")
        result = validate(*arguments, **options)
        death.at("validate", "after")
        return result

    StepRunner.train, StepRunner.validate = dying_train, dying_validate


class Interrupter:
    """Sends Ctrl-C to the process when a module is imported for the first time."""

    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(self, name: str, *arguments: Any) -> None:
        """Find nothing, but note the name."""
        if name == self.module:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)


def keep_last_state(target: Path) -> None:
    """Copy the resume file before a finished run removes it."""
    from charlstm.checkpoint import schema
    from charlstm.checkpoint.writer import CheckpointWriter

    finish = CheckpointWriter.finish

    def keeping(writer: CheckpointWriter) -> None:
        shutil.copyfile(writer.folder / schema.RESUME, target)
        finish(writer)

    CheckpointWriter.finish = keeping  # type: ignore[method-assign]


def main() -> None:
    """Run ``charlstm`` with the plan."""
    plan = json.loads(sys.argv.pop(1))
    from charlstm.__main__ import main as run

    if "interrupt" in plan:
        sys.meta_path.insert(0, Interrupter(plan["interrupt"]))  # type: ignore[arg-type]
        run()
    death = Death(plan)
    watch_files(death)
    watch_training(death)
    if "keep" in plan:
        keep_last_state(Path(plan["keep"]))
    run()


if __name__ == "__main__":
    main()
