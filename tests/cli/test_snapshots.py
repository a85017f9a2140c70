"""Every message of the command line in full: one file of errors and notes for each command.

A case is a command line as typed into a shell, in a folder with the files of ``FILES`` and the
checkpoints ``prose``, ``names`` and ``words``. Its snapshot is what it printed on stderr. Other
tests assert only what a message names, this module asserts the wording. ``make snapshots``
regenerates all snapshots.
"""

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from charlstm.checkpoint.schema import CONFIG, FORMAT, LINES, MODEL, TOKENIZER
from charlstm.cli.app import COMMANDS
from tests import snapshots
from tests.cli.helpers import NAMES, TEXT, TINY
from tests.processes import in_a_shell

HERE = Path(__file__).parent / "snapshots"
FILES = {
    "tale.txt": TEXT.encode(),
    "names.txt": NAMES.encode(),
    "late.txt": (TEXT + "€€").encode(),
    "strange.txt": b"THE LAZY DOG.\n" * 20,
    "empty.txt": b"",
    "short.txt": b"too short to learn from, whatever one may try. ok",
    "image.png": b"\x89PNG\0\1\2",
    "latin.txt": b"caf\xe9" * 100,
    "dots.txt": b"... ---\n",
    "known.onnx": b"somebody's",
    "taken.svg": b"somebody's",
    "home/pictures/one.png": b"",
}

LETTERS = sorted(set(NAMES) - {"\n"})


class Case(NamedTuple):
    """A command line.

    ``shown`` limits the snapshot to lines that start with it, where others depend on the machine.
    ``by_shell`` is for redirections, which need a shell and a process of its own.
    """

    name: str
    command: str
    stdin: bytes = b""
    shown: str = ""
    before: Callable[[], object] | None = None
    environ: dict[str, str] = {}  # noqa: RUF012
    by_shell: bool = False


def shell(name: str, command: str) -> Case:
    return Case(name, command, by_shell=True)


def copied(checkpoint: str, to: str = "model") -> Path:
    shutil.copytree(checkpoint, to)
    return Path(to)


def edited(change: Callable[[dict], object]) -> Callable[[], None]:
    """Return what copies a checkpoint and changes its configuration."""

    def edit() -> None:
        path = copied("prose") / CONFIG
        config = msgspec.json.decode(path.read_bytes())
        change(config)
        path.write_bytes(msgspec.json.encode(config))

    return edit


def flip() -> None:
    path = copied("prose") / MODEL
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


OTHER_SHELL = {"_CHARLSTM_COMPLETE": "tcsh_source"}
GROUP = [
    Case("a number out of its range", "generate -t -1"),
    Case("no number", "generate --length abc"),
    Case("a number that is not whole", "generate --length 2.5"),
    Case("a share out of its range", "train tale.txt --dropout 1.0"),
    Case("a number that must be positive", "train tale.txt --epochs 0"),
    Case("a word that is not a choice", "train tale.txt --size huge"),
    Case("no value", "generate --length"),
    Case("a value of a flag", "train tale.txt --lines=5"),
    Case("an empty path", "export prose -o ''"),
    Case("a file in place of a folder", "train tale.txt -o tale.txt"),
    Case("no checkpoint", "score"),
    Case("one argument too many", "export prose names"),
    Case("a prompt without -p", "generate prose the quick"),
    *(
        Case(f"the command {name}", name)
        for name in (
            "trian",
            "sample",
            "list",
            "complete",
            "test",
            "perplexity",
            "finetune",
            "delete",
            "help",
            "nothing",
        )
    ),
    *(
        Case(f"the option {option}", f"{command} {option} 1")
        for command, option in (
            ("generate", "--temp"),
            ("generate", "--num"),
            ("generate", "--max-new-tokens"),
            ("generate", "--model"),
            ("train", "--lr"),
            ("train", "--batch-size"),
            ("train", "--checkpoint"),
            ("train", "--data"),
            ("train", "--gpu"),
            ("train", "--para"),
            ("score", "--input"),
            ("score", "--device"),
            ("generate", "--temprature"),
            ("generate", "--nothing"),
        )
    ),
    Case(
        "a deleted working directory",
        "mkdir gone; cd gone; rmdir ../gone; charlstm info prose",
        by_shell=True,
    ),
    Case(
        "a prompt in a locale that is not UTF-8",
        "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 charlstm generate prose -p café",
        by_shell=True,
    ),
    Case(
        "a shell without completion", "info nowhere", environ={"_CHARLSTM_COMPLETE": "tcsh_source"}
    ),
    shell("a full disk", "--version > /dev/full"),
]
TRAIN = [
    Case("nothing of that name", "train nowhere.txt"),
    Case("an empty text", "train empty.txt"),
    Case("a short text", f"train short.txt {shlex.join([*TINY, '--sequence-length', '16'])}"),
    Case("a binary file", "train image.png"),
    Case("another encoding", "train latin.txt"),
    Case("no text", "train"),
    Case("standard input twice", "train - -"),
    Case("two budgets", "train tale.txt --epochs 2 --minutes 1"),
    Case("two validation texts", "train tale.txt --valid tale.txt --valid-fraction 0.2"),
    Case("patience without validation", "train tale.txt --valid-fraction 0 --patience 3"),
    Case("nearly all validates", "train tale.txt --valid-fraction 0.99"),
    Case("--overwrite without a folder", "train tale.txt --overwrite"),
    Case("all text validates", "train tale.txt --valid tale.txt"),
    Case("--min-count of characters", "train tale.txt --min-count 3"),
    Case("--no-index without lines", "train tale.txt --no-index"),
    Case("--tie of unequal widths", "train tale.txt --tie --embedding 8"),
    Case("--resume with another option", "train --resume model --seed 3"),
    Case("--from with another network", "train tale.txt --from model --units 8"),
    Case("--from nowhere", "train tale.txt --from nowhere"),
    Case("--resume nowhere", "train --resume nowhere"),
    Case("--resume of what is finished", "train --resume prose"),
    Case("an unknown encoding", "train tale.txt --encoding klingon"),
    Case("a folder that is not there", "train tale.txt -q -o /proc/none/model"),
    Case("a taken folder", "train nowhere.txt -o prose"),
    Case("a fraction out of its range", "train tale.txt --dropout 1"),
    Case("unknown characters", "train late.txt --dry-run", shown="Warning"),
    Case("many unknown characters", "train tale.txt --valid strange.txt --dry-run",
         shown="Warning"),
    Case("damaged lines of a parent", "train names.txt --lines --from model --steps 4 -o child",
         before=lambda: (copied("names") / LINES).write_bytes(b"x")),
    Case("a bound of the cache", "train tale.txt --dry-run -q",
         environ={"CHARLSTM_CACHE_MB": "lots"}),
    Case("a cache folder with other things", "train tale.txt --dry-run -q",
         environ={"CHARLSTM_CACHE": "home"}),
    Case("a wrong TF_CONFIG", "train tale.txt",
         environ={"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:2"]}}'}),
    shell("a closed standard input", "train - -q <&-"),
]  # fmt: skip
GENERATE = [
    Case("a pattern without automaton", "generate names -q --match '(?=a)b'"),
    Case("a pattern that is none", "generate names -q --match '[a'"),
    Case("a pattern of unknown characters", "generate names -q --match '[0-9]+'"),
    Case("a pattern that is not UTF-8", "generate names -q --match caf\udce9"),
    Case("a prompt without a match", "generate names -q -p ab --match c+"),
    Case("two prompts", "generate prose -p a --prompt-file b"),
    Case("a prompt file that is not there", "generate prose --prompt-file b"),
    Case("a prompt that is not UTF-8", "generate prose -p caf\udce9"),
    Case("a piped prompt that is not UTF-8", "generate prose -p -", b"caf\xe9!"),
    Case("an empty --stop", "generate prose --stop ''"),
    Case("unknown characters in the prompt", "generate prose -p 'the €uick' -n 5 --seed 1"),
    Case("unknown characters in prompts", "generate names --prompts - --seed 1",
         "é\na\nü!\n".encode()),
    Case("a pipe that is not read", "generate prose -n 5 --seed 1", b"the quick"),
    Case("a stop text that can't occur", r"generate prose -n 5 --seed 1 --stop '\n'"),
    Case("banned texts that can't occur", "generate prose -n 5 --seed 1 --ban É --ban é"),
    Case("escapes in a prompt", r"generate prose -n 5 --seed 1 -p 'the\nfox'"),
    Case("--min-length beyond --length", "generate prose --min-length 600 -n 10"),
    Case("nothing left to write",
         "generate names -q --min-length 4 " + " ".join(f"--ban {c}" for c in LETTERS)),
    Case("a bias without a number", "generate names --bias na"),
    Case("a bias without a text", "generate names --bias =2"),
    Case("a bias that is no number", "generate names --bias na=x"),
    Case("a bias that is not finite", "generate names --bias na=nan"),
    Case("a bias out of its range", "generate names --bias na=1001"),
    *(Case(f"--beam with {option.split()[0]}", f"generate names --beam 4 {option}")
      for option in ("--novel", "--against x", "--unique", "--temperature 1", "--top-k 0",
                     "--repetition-penalty 1", "--loop-length 4", "--show-probs")),
    Case("a search that is too narrow", "generate names --beam 4 -c 5"),
    Case("--novel without lines", "generate prose --novel"),
    Case("--against nothing", "generate names --against nowhere"),
    Case("--against standard input", "generate names --against -"),
    Case("too few texts", "generate names -q --unique -c 3 --match a|b --min-p 0 --seed 1"),
    Case("one text without chance", "generate names -q --unique -c 3 -t 0"),
    Case("no sample that ends", "generate names -q --finished -n 1 --min-length 1"),
    Case("no text of a search that ends", "generate names -q --finished -n 1 --beam 2"),
    Case("--finished without ends", "generate prose -q --finished"),
    Case("--alternatives without --json", "generate names --alternatives 2"),
    *(Case(f"{option} alone", f"generate prose -n 5 {option} 1")
      for option in ("--mirostat-rate", "--loop-length", "--loop-base", "--loop-window",
                     "--repetition-window")),
    Case("no checkpoint", "generate"),
    Case("no tokenizer", "generate model", before=lambda: (copied("prose") / TOKENIZER).unlink()),
    Case("no weights", "generate model", before=lambda: (copied("prose") / MODEL).unlink()),
    Case("no configuration", "generate model", before=lambda: (copied("prose") / CONFIG).unlink()),
    Case("truncated weights", "generate model",
         before=lambda: os.truncate(copied("prose") / MODEL, 1000)),
    Case("a truncated configuration", "generate model",
         before=lambda: os.truncate(copied("prose") / CONFIG, 100)),
    Case("a later format", "generate model", before=edited(lambda c: c.update(format=FORMAT + 1))),
    Case("another configuration", "generate model",
         before=edited(lambda c: c["train"].update(seed=99))),
    Case("weights of another shape", "generate model",
         before=edited(lambda c: c["model"].update(units=17))),
    Case("weights of fewer layers", "generate model",
         before=edited(lambda c: c["model"].update(layers=2))),
    Case("a number of the configuration out of its range", "generate model",
         before=edited(lambda c: c["model"].update(units=0))),
    Case("altered weights", "generate model", before=flip),
    shell("a closed standard input", "generate prose -p - -q <&-"),
    shell("a closed standard output", "generate prose -n 5 -q >&-"),
    shell("a full disk", "generate prose -n 50 --seed 1 -q > /dev/full"),
]  # fmt: skip
PREDICT = [
    Case("--tokens with --words", "predict prose a --tokens --words 2"),
    Case("--tokens with --words-only", "predict prose a --tokens --words-only"),
    Case("a prompt that is not UTF-8", "predict prose caf\udce9"),
    Case("a line that is not UTF-8", "predict prose", b"caf\xe9!\n"),
    Case("unknown characters", "predict prose --tokens -k 1", "the €\nthe €q\n".encode()),
    shell("a closed standard input", "predict prose <&-"),
]
FILL = [
    Case("a text without a gap", "fill prose fox"),
    shell("an empty gap", "fill prose the___fox --gap ''"),
    Case("unknown characters", "fill prose ___€ -k 1"),
    shell("a closed standard input", "fill prose <&-"),
]
SCORE = [
    Case("the columns", "score prose", b"the\n"),
    *(Case(f"--whole with {option.split()[0]}", f"score prose --whole {option}")
      for option in ("--carry", "--sort", "--top 3")),
    Case("--carry of a model of lines", "score names --carry", b"ana\nbelo\n"),
    Case("no checkpoint", "score tale.txt"),
    Case("no argument", "score"),
    Case("nothing of that name", "score prose nothing.txt"),
    Case("an unknown encoding", "score prose tale.txt --encoding klingon"),
    Case("a binary text", "score prose -q", b"a\0b\n"),
    Case("another encoding", "score prose -q latin.txt"),
    Case("a piped text of another encoding", "score prose -q", b"\xe9 fox\n"),
    shell("a closed standard input", "score prose -q <&-"),
]  # fmt: skip
EVALUATE = [
    Case("no text", "evaluate prose"),
    Case("an empty text", "evaluate prose empty.txt"),
    Case("no words", "evaluate prose dots.txt"),
    Case("another encoding", "evaluate prose latin.txt"),
    Case("standard input twice", "evaluate prose - -"),
    Case("standard input for both texts", "evaluate prose - --against -"),
    Case("an option of --dynamic", "evaluate prose dots.txt --dynamic-rate 1"),
    Case("nothing of that name", "evaluate prose nothing.txt"),
    Case("a second checkpoint", "evaluate prose words dots.txt"),
    Case("models without an end", "evaluate --models prose words tale.txt"),
    Case("one model", "evaluate --models prose -- tale.txt"),
    Case("an option among models", "evaluate --models prose -q words -- tale.txt"),
    Case("models without a text", "evaluate --models prose words --"),
    Case("models and --against", "evaluate --models prose words -- tale.txt --against tale.txt"),
    Case("models that lack characters", "evaluate --models prose names -- late.txt --sample 0"),
]
RANK = [
    Case("a context that is not UTF-8", "rank prose --context caf\udce9"),
    Case("alternatives that are not UTF-8", "rank prose", b"\xe9\n"),
    Case("unknown characters in the context", "rank prose --context €", b"fox\tdog\n"),
    Case("no argument", "rank"),
]
INSPECT = [
    Case("no argument", "inspect"),
    shell("a full disk", "inspect tale.txt > /dev/full"),
]
MODELS = [
    Case("none yet", "models"),
    shell("a full disk", "models --json > /dev/full"),
]
INFO = [
    Case("nothing there", "info nowhere"),
    Case("a name that is too long", f"info {'x' * 300}"),
    Case("two outputs", "info prose --json --markdown"),
    Case("a card of two", "info prose names --markdown"),
    Case("other texts", "info prose names"),
    Case("other tokens", "info prose words"),
    shell("a full disk", "info prose > /dev/full"),
]
LOOK = [
    Case("nothing there", "look nowhere -o a.html"),
    Case("a name that is taken", "look prose -o known.onnx"),
    Case("--overwrite without -o", "look prose --overwrite"),
]
PLOT = [
    Case("nothing there", "plot nowhere"),
    Case("a name that is taken", "plot prose -o taken.svg"),
    Case("another kind of picture", "plot prose -o a.gif"),
    Case("two outputs", "plot prose --json -o a.svg"),
    Case("--overwrite without -o", "plot prose --overwrite"),
]
EXPORT = [
    Case("a name that is taken", "export prose -o known.onnx"),
    Case("nothing there", "export nowhere"),
    Case("int8 for Keras", "export prose --format keras --precision int8"),
    Case("a name that Keras does not open", "export prose --format keras -o a.h5"),
    Case("a name for Keras", "export prose -o a.keras"),
    Case("a folder that is not there", "export prose -o none/a.onnx"),
    Case("no argument", "export"),
    Case("a checkpoint of float32", "export prose --format checkpoint --precision float32"),
    Case("a checkpoint onto itself", "export prose --format checkpoint -o prose"),
]
CORPORA = [
    Case("no name", "corpora fetch"),
    Case("an unknown name", "corpora fetch nothing"),
    shell("a full disk", "corpora --json > /dev/full"),
]
CACHE = [
    Case("an empty cache", "cache", environ={"CHARLSTM_CACHE": "new"}),
    Case("nothing to clear", "cache --clear", environ={"CHARLSTM_CACHE": "new"}),
    Case("a folder with other things", "cache --clear", environ={"CHARLSTM_CACHE": "home"}),
    shell("a full disk", "cache --json > /dev/full"),
]
CASES = {
    "charlstm": GROUP, "inspect": INSPECT, "train": TRAIN, "generate": GENERATE,
    "predict": PREDICT, "fill": FILL, "score": SCORE,
    "evaluate": EVALUATE, "rank": RANK, "look": LOOK, "plot": PLOT,
    "models": MODELS, "info": INFO, "export": EXPORT,
    "corpora": CORPORA, "cache": CACHE,
}  # fmt: skip


def typed(case: Case) -> str:
    """Return the line that a shell would run."""
    piped = [f"printf {repr(case.stdin)[1:]} |"] if case.stdin else []
    environ = [f"{name}={shlex.quote(value)}" for name, value in case.environ.items()]
    own = [] if "charlstm" in case.command else ["charlstm"]
    line = " ".join([*piped, *environ, *own, case.command])
    return line.encode(errors="backslashreplace").decode()


@pytest.fixture
def told(charlstm, prose, names, words, tmp_path, monkeypatch):
    """Return what runs a case in a folder of its own and returns all it told."""

    def run(case: Case, folder: str) -> str:
        (tmp_path / folder).mkdir()
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path / folder)
            for name, content in FILES.items():
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(name).write_bytes(content)
            for checkpoint in (prose, names, words):
                Path(checkpoint.parent.name).symlink_to(checkpoint)
            if case.before:
                case.before()
            for name, value in case.environ.items():
                patch.setenv(name, value)
            if case.by_shell:
                own = "" if "charlstm" in case.command else "charlstm "
                done = in_a_shell(f"{own}{case.command}", timeout=60)
                status, err = done.returncode, done.stderr
            else:
                status, _, err = charlstm(*shlex.split(case.command), stdin=case.stdin)
        lines = [line for line in err.splitlines() if line.startswith(case.shown)]
        return "\n".join([f"$ {typed(case)}", f"exit {status}", *lines]).strip()

    return run


def test_every_command_has_its_cases():
    assert list(CASES) == ["charlstm", *COMMANDS]
    for cases in CASES.values():
        assert len({case.name for case in cases}) == len(cases)


@pytest.mark.parametrize("command", CASES)
def test_what_is_told_is_what_the_snapshot_has(told, updating, command):
    found = {case.name: told(case, str(number)) for number, case in enumerate(CASES[command])}
    path = HERE / f"{command}.txt"
    if updating:
        snapshots.write(path, found)
    difference = snapshots.difference(path, found)
    assert not difference, difference


def test_no_snapshot_is_left_over():
    of_tests = {path.stem for path in HERE.glob("test_*.txt")}
    assert {path.stem for path in HERE.glob("*.txt")} - of_tests == {*CASES}
