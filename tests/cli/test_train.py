"""``charlstm train``: what it prints where, what it leaves behind, and what it refuses."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from charlstm.checkpoint.reader import read_checkpoint, read_lines_index
from charlstm.checkpoint.schema import CONFIG, FORMAT, LINES, MODEL, RESUME, TOKENIZER
from charlstm.corpus.split import DocumentDraw
from charlstm.errors import StorageError
from tests.cli.helpers import NAMES, TEXT, TINY
from tests.messages import assert_error, assert_names, assert_warning
from tests.processes import in_a_shell

KEYS = {
    "checkpoint", "seed", "parameters", "steps", "epochs", "tokens", "seconds",
    "tokens_per_second", "train_loss", "valid_loss", "valid_bits_per_character", "best_step",
    "stop_reason", "peak_memory_mb",
}  # fmt: skip
QUICK = [*TINY, "--sequence-length", "10", "--steps", "4", "--eval-every", "2"]
# Long enough to predict better than plain token frequencies, so that there is nothing to warn of.
LEARNS = ["--steps", "60", "--eval-every", "20", "--learning-rate", "0.05"]

pytestmark = pytest.mark.usefixtures("compiled_once")


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_path_goes_to_stdout_and_the_rest_to_stderr(charlstm, corpus):
    result = charlstm("train", corpus, *QUICK)
    assert (result.status, result.out) == (0, "checkpoints/tale\n")
    assert result.err.startswith("checkpoints/tale: 1 x 16 LSTM, ")
    assert "4 steps (" in result.err
    assert "step      4" in result.err
    assert "\r" not in result.err.replace("\r\n", "\n")  # no progress bar: not a terminal
    quiet = charlstm("train", corpus, *QUICK, *LEARNS, "-q")
    assert quiet == (0, "checkpoints/tale-2\n", "")
    assert files_below(Path("checkpoints/tale")) == [
        CONFIG, "history.jsonl", MODEL, TOKENIZER,
    ]  # fmt: skip


def test_json_tells_how_it_went(charlstm, corpus):
    options = [*QUICK, *LEARNS, "--json", "-q", "--seed", 7, "-o", "model"]
    result = charlstm("train", corpus, *options)
    assert (result.status, result.err) == (0, "")
    summary = json.loads(result.out)
    assert summary.keys() >= KEYS
    found = read_checkpoint(Path("model"))
    assert summary["checkpoint"] == "model"
    assert (summary["seed"], summary["steps"], summary["tokens"]) == (7, 60, 2400)
    assert summary["parameters"] == found.config.model.parameters
    assert summary["valid_loss"] == found.figures.valid_loss
    assert summary["best_step"] == found.figures.step
    assert summary["stop_reason"] == "budget"
    assert summary["peak_memory_mb"] > 100


def test_dry_run_writes_no_checkpoint(charlstm, corpus):
    result = charlstm("train", corpus, "--dry-run")
    assert (result.status, result.out) == (0, "")
    assert "tiny, 1 x 128 LSTM" in result.err
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize(("free", "warned"), [(None, False), (64 << 30, False), (100 << 20, True)])
def test_too_little_memory_is_told_before(charlstm, corpus, monkeypatch, sentence, free, warned):
    monkeypatch.setattr("charlstm.system.hardware.available_memory", lambda: free)
    result = charlstm("train", corpus, "--dry-run", "--json", *TINY)
    assert result.status == 0
    needed = json.loads(result.out)["memory_mb"] / 1e3
    assert 0.5 < needed < 1
    if not warned:
        assert "Warning" not in result.err
        return
    remedies = ["--size", "--streams", "--sequence-length"]
    assert_warning(result, f"{needed:.1f} GB", "0.1 GB", *remedies)
    (warning,) = (line for line in result.err.splitlines() if line.startswith("Warning: "))
    sentence(warning.replace(f"{needed:.1f}", "NEEDED"))


def test_samples_are_shown_now_and_then(charlstm, corpus):
    result = charlstm("train", corpus, *QUICK, "--sample-every", 2, "-o", "model")
    shown = [line[:4] for line in result.err.splitlines() if line.startswith(("step", "    | "))]
    assert shown[:2] == ["step", "    "]  # after the first evaluation
    assert shown[-1] == "step"  # and not after the second
    silent = charlstm("train", corpus, *QUICK, "--sample-every", 0, "-o", "other")
    assert "    | " not in silent.err


def test_stdin_is_a_corpus(charlstm, corpus):
    assert charlstm("train", "-", *QUICK, "-q", stdin=TEXT.encode()).out == "checkpoints/stdin\n"
    assert charlstm("train", corpus, *QUICK, "-q").status == 0
    piped, named = (read_checkpoint(Path("checkpoints", n)) for n in ("stdin", "tale"))
    assert piped.figures.valid_loss == named.figures.valid_loss
    assert files_below(Path("checkpoints/stdin")) == files_below(Path("checkpoints/tale"))


def test_unknown_characters_of_the_validation_text_are_told(charlstm, tmp_path):
    (tmp_path / "late.txt").write_text(TEXT + "€€")
    result = charlstm("train", "late.txt", "--dry-run")
    assert_warning(result, "validation text", 2, "2 × '€' U+20AC")


def test_a_named_validation_text(charlstm, corpus, tmp_path):
    (tmp_path / "other.txt").write_text("the lazy dog sleeps; the fox jumps.\n" * 5)
    result = charlstm("train", corpus, "--valid", "other.txt", *QUICK, "-q", "-o", "model")
    assert result.status == 0
    origin = read_checkpoint(Path("model")).config.provenance
    assert origin.valid_characters == len("the lazy dog sleeps; the fox jumps.\n" * 5)
    assert origin.train_tokens == len(TEXT) + 1  # the end is predicted too
    assert origin.valid_tokens == origin.valid_characters + 1


def test_a_named_validation_text_is_taken_out_of_the_corpus(charlstm, corpus, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    shutil.move(corpus, folder / "one.txt")
    (folder / "two.txt").write_text("THE LAZY DOG.\n" * 20)
    arguments = ["train", "texts", "--valid", "texts/two.txt", *QUICK, "-o", "model"]
    result = charlstm(*arguments)
    assert (result.status, result.out) == (0, "model\n")
    (warning,) = (line for line in result.err.splitlines() if "validation text" in line)
    assert_warning(result._replace(err=warning), "validation text", 200)
    found = read_checkpoint(Path("model"))
    assert found.config.provenance.sources == ("texts/one.txt",)
    assert found.config.provenance.train_tokens == len(TEXT) + 1
    assert not set("THELAZYDOG") & set(found.tokenizer.vocabulary)


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize(
    ("arguments", "addresses", "sources"),
    [
        (["HERE/texts/one.txt"], ["one.txt"], ["one.txt"]),
        (["texts/one.txt"], ["texts/one.txt"], ["texts/one.txt"]),
        (["../NAME/texts/one.txt"], ["one.txt"], ["one.txt"]),
        (["HERE/texts"], ["texts"], ["one.txt", "two.txt"]),
        (["HERE/texts/*.txt"], ["*.txt"], ["one.txt", "two.txt"]),
        (["HERE/texts/one.txt", "--valid", "HERE/texts/two.txt"], ["one.txt"], ["one.txt"]),
        (["HERE/texts/one.txt", "--from", "HERE/parent"], ["one.txt"], ["one.txt"]),
    ],
)
def test_a_finished_checkpoint_holds_no_absolute_path(
    charlstm, tmp_path, arguments, addresses, sources, lines
):
    (tmp_path / "texts").mkdir()
    for name in ("one.txt", "two.txt"):
        (tmp_path / "texts" / name).write_text(NAMES)
    names = {"HERE": str(tmp_path), "NAME": tmp_path.name}
    arguments = [re.sub("HERE|NAME", lambda m: names[m[0]], argument) for argument in arguments]
    settings = ["--sequence-length", "10", "--steps", "2", "-q", *["--lines"] * lines]
    if "--from" in arguments:
        assert charlstm("train", "texts", *TINY, *settings, "-o", "parent").status == 0
    else:
        settings += TINY
    assert charlstm("train", *arguments, *settings, "-o", tmp_path / "model").status == 0
    for name in files_below(tmp_path / "model"):
        assert tmp_path.name.encode() not in (tmp_path / "model" / name).read_bytes()
    config = read_checkpoint(Path("model")).config
    assert [*config.corpus.addresses] == addresses
    assert [*config.provenance.sources] == sources
    assert config.corpus.valid == (("two.txt",) if "--valid" in arguments else ())
    assert config.provenance.parent == ("parent" if "--from" in arguments else None)


def test_fine_tuning(charlstm, prose, tmp_path):
    (tmp_path / "new.txt").write_text("A NEW TEXT 123. " * 100)
    result = charlstm(
        "train", "new.txt", "--from", prose, "--steps", 4, "--sequence-length", 10, "-q"
    )
    assert (result.status, result.out) == (0, "checkpoints/new\n")
    child, parent = read_checkpoint(Path("checkpoints/new")), read_checkpoint(prose)
    assert (
        child.tokenizer.vocabulary[: len(parent.tokenizer.vocabulary)]
        == parent.tokenizer.vocabulary
    )
    assert child.config.provenance.parent == prose.name


def test_overwrite_replaces(charlstm, corpus):
    assert charlstm("train", corpus, *QUICK, "-q", "-o", "model").status == 0
    result = charlstm("train", corpus, *QUICK, "-q", "-o", "model", "--overwrite", "--seed", 2)
    assert result.status == 0
    assert read_checkpoint(Path("model")).config.train.seed == 2


def lines_of(checkpoint):
    """Return the training and the validation lines of a checkpoint as sets."""
    config = read_checkpoint(checkpoint).config
    (path,), corpus = config.corpus.addresses, config.corpus
    lines = set((checkpoint.parent / path).read_text().splitlines())
    draw = DocumentDraw(corpus.valid_fraction, corpus.seed)
    drawn = set(filter(draw.validates, lines))
    return lines - drawn, drawn


@pytest.mark.parametrize("level", ["char", "word"])
def test_a_model_of_lines_knows_all_its_lines(charlstm, tmp_path, level):
    (tmp_path / "names.txt").write_text(NAMES + NAMES)
    options = ["--level", level, *QUICK, *LEARNS, "--steps", 20]
    options += ["--tie", "--embedding", "16", "-o"]
    for output, more in (("model", []), ("again", []), ("without", ["--no-index"])):
        result = charlstm("train", "names.txt", "--lines", *options, output, *more)
        if level == "char":
            assert result.status == 0
            assert "Warning" not in result.err
        else:  # training never spells a word, as it would have to those that are held out
            assert_warning(result, "token frequencies")
    trained, held_out = lines_of(Path("model"))
    assert len(trained) > 5 * len(held_out) > 0
    for output in ("model", "again"):  # the second time from the cache
        found = read_lines_index(Path(output))
        assert len(found) == len(trained | held_out)
        assert all(line in found for line in trained | held_out)
        assert read_checkpoint(Path(output)).config.provenance.index_covers == "all"
    assert read_lines_index(Path("without")) is None
    assert not (Path("without") / LINES).exists()
    assert not read_checkpoint(Path("without")).config.corpus.index


def test_a_model_of_documents_keeps_no_lines(prose):
    assert read_lines_index(prose) is None
    assert not (prose / LINES).exists()


def test_fine_tuning_knows_the_lines_of_the_parent_too(charlstm, names, tmp_path):
    (tmp_path / "new.txt").write_text(NAMES.upper())
    arguments = ["train", "new.txt", "--lines", "--from", names, "--steps", 4, "-q", "-o"]
    assert charlstm(*arguments, "child").status == 0
    found = read_lines_index(Path("child"))
    both = set().union(*lines_of(names), *lines_of(Path("child")))
    assert len(found) == len(both)
    assert all(line in found for line in both)
    assert charlstm(*arguments, "without", "--no-index").status == 0
    assert read_lines_index(Path("without")) is None
    copy = tmp_path / "parent"
    shutil.copytree(names, copy)
    (copy / LINES).unlink()
    arguments[4] = copy
    assert charlstm(*arguments, "orphan").status == 0
    assert len(read_lines_index(Path("orphan"))) == len(set().union(*lines_of(Path("orphan"))))


def test_a_parent_with_damaged_lines_is_refused(charlstm, names, tmp_path):
    shutil.copytree(names, tmp_path / "parent")
    (tmp_path / "parent" / LINES).write_bytes(b"x")
    (tmp_path / "new.txt").write_text(NAMES.upper())
    result = charlstm(
        "train", "new.txt", "--lines", "--from", "parent", "--steps", 4, "-o", "child"
    )
    assert_error(result, 1, f"parent/{LINES}", "damaged")
    assert not Path("child").exists()


# What is refused: exit status and message, and nothing is left behind.


def refused(charlstm, folder, status, parts, *arguments, **options):
    before = files_below(folder)
    result = charlstm("train", *arguments, **options)
    assert_error(result, status, *parts)
    assert files_below(folder) == before
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (["nowhere.txt"], 1,
         ["nowhere.txt", "file", "folder", "glob pattern", "-"]),
        (["empty.txt"], 1, ["empty.txt", "empty"]),
        (["short.txt"], 1,
         ["too short", "45 tokens", "4 streams of 16 tokens", 64, "72 characters", "--streams",
          "--sequence-length"]),
        (["image.png"], 1,
         ["image.png", "binary", "NUL byte at offset 4", "--encoding", "UTF-16", "UTF-32"]),
        (["latin.txt"], 1,
         ["latin.txt", "0xe9", "offset 3", "utf-8", "--encoding", "--decode-errors replace"]),
        ([], 2, ["CORPUS", "file", "folder", "-", "charlstm corpora"]),
        (["-", "-"], 2, ["twice"]),
        (["tale.txt", "--epochs", "2", "--minutes", "1"], 2, ["--epochs", "--minutes"]),
        (["tale.txt", "--valid", "tale.txt", "--valid-fraction", "0.2"], 2,
         ["--valid", "--valid-fraction"]),
        (["tale.txt", "--overwrite"], 2, ["--overwrite", "-o FOLDER"]),
        (["tale.txt", "--valid", "tale.txt"], 1, ["tale.txt", "--valid"]),
        (["tale.txt", "--min-count", "3"], 2, ["--min-count", "--level word"]),
        (["tale.txt", "--no-index"], 2, ["--no-index", "--lines"]),
        (["tale.txt", "--tie", "--embedding", "8"], 2,
         ["--tie", "--embedding is 8", "--units is 128"]),
        (["--resume", "model", "--seed", "3"], 2, ["--resume", "--seed", "--from model"]),
        (["--resume", "model", "--units", "8"], 2, ["--resume", "--units", "are those of model"]),
        (["tale.txt", "--from", "model", "--units", "8"], 2, ["--from", "model", "--units"]),
        (["tale.txt", "--from", "nowhere"], 1, ["nowhere"]),
        (["--resume", "nowhere"], 1, ["nowhere"]),
        (["tale.txt", "--encoding", "klingon"], 2, ["'klingon'", "encoding", "utf-8", "cp1252"]),
        (["tale.txt", "-q", "-o", "/proc/none/model"], 1, ["/proc/none/model", "folder"]),
    ],
)  # fmt: skip
def test_refusals(charlstm, corpus, tmp_path, arguments, status, parts):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "short.txt").write_text("too short to learn from, whatever one may try. ok")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0\1\2")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9" * 100)
    refused(charlstm, tmp_path, status, parts, *arguments)


@pytest.mark.parametrize("finished", [True, False])
def test_a_taken_folder_is_refused_before_the_corpus_is_read(charlstm, prose, tmp_path, finished):
    shutil.copytree(prose, tmp_path / "model")
    if not finished:
        (tmp_path / "model" / MODEL).unlink()
    refused(charlstm, tmp_path, 1, ["model", "-o", "--overwrite"], "nowhere.txt", "-o", "model")


def test_no_permission(charlstm, corpus, monkeypatch, sentence):
    def refuse(self, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = charlstm("train", corpus, *QUICK, "-q", "-o", "model")
    assert_error(result, 1, "model", "permission denied")
    sentence(result.err.removesuffix("\n"))


@pytest.mark.parametrize("after", range(1, 12))
def test_a_disk_that_fills_up_leaves_a_checkpoint_that_resumes_or_none(
    charlstm, corpus, monkeypatch, sentence, after
):
    real, calls = os.fsync, []

    def fill(descriptor):
        calls.append(descriptor)
        if len(calls) == after:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    options = [*QUICK, "-q", "-o", "model"]
    charlstm("train", corpus, "--dry-run", *QUICK, "-q")  # so that the text is prepared
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        result = charlstm("train", corpus, *options)
    model = Path("model")
    assert_error(result, 1, "model", "disk is full")
    assert re.search(r"model/[\w.]+: ", result.err)
    assert ("charlstm train --resume model" in result.err) == model.exists()
    sentence(re.sub(r"model/[\w.]+:", "model/FILE:", result.err.removesuffix("\n")))
    assert model.exists() == (after > 6)  # tokenizer, config and first save: two each
    assert not list(model.glob(".*.tmp"))
    assert not list(model.glob("*.tmp"))
    if (model / RESUME).exists():
        assert charlstm("train", "--resume", model, "-q").status == 0
        assert read_checkpoint(model).config.train.steps == 4
    else:
        assert not model.exists()


# Damage, as every command sees it


def damaged(prose, tmp_path, damage):
    model = tmp_path / "model"
    shutil.copytree(prose, model)
    damage(model)
    return model


def edit_config(path, change):
    config = msgspec.json.decode((path / CONFIG).read_bytes())
    change(config)
    (path / CONFIG).write_bytes(msgspec.json.encode(config))


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda m: (m / TOKENIZER).unlink(), ["model/tokenizer.json", "no such file"]),
        (lambda m: (m / MODEL).unlink(),
         ["model", "model.safetensors is missing", "-o model and --overwrite"]),
        (lambda m: (m / CONFIG).unlink(),
         ["model", "config.json is missing", "charlstm train"]),
        (lambda m: os.truncate(m / MODEL, 1000), ["model/model.safetensors", "damaged"]),
        (lambda m: os.truncate(m / CONFIG, 100), ["model/config.json", "damaged"]),
        (lambda m: edit_config(m, lambda c: c.update(format=FORMAT + 1)),
         ["model", f"format {FORMAT + 1}", FORMAT, "Upgrade charlstm"]),
        (lambda m: edit_config(m, lambda c: c["train"].update(seed=99)),
         ["model/config.json", "Restore"]),
        (lambda m: edit_config(m, lambda c: c["model"].update(units=17)),
         ["model/model.safetensors", "lstm_0/kernel", "[8, 64]", "[8, 68]", "config.json"]),
        (lambda m: edit_config(m, lambda c: c["model"].update(layers=2)),
         ["model/model.safetensors", "lstm_1/bias", "config.json"]),
        (lambda m: edit_config(m, lambda c: c["model"].update(units=0)),
         ["model/config.json", "damaged"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["generate", "info"])
def test_a_damaged_checkpoint(charlstm, prose, tmp_path, damage, parts, command):
    damaged(prose, tmp_path, damage)
    assert_error(charlstm(command, "model"), 1, *parts)


def test_altered_weights(charlstm, prose, tmp_path):
    def flip(model):
        data = bytearray((model / MODEL).read_bytes())
        data[-3] ^= 1
        (model / MODEL).write_bytes(data)

    damaged(prose, tmp_path, flip)
    assert_error(charlstm("generate", "model"), 1, "model/model.safetensors", "sha256", "Restore")


def test_a_budget_in_minutes_tells_the_steps(charlstm, corpus):
    result = charlstm(
        "train", corpus, *TINY, "--sequence-length", 10, "--minutes", 0.05, "--json", "-o", "model"
    )
    assert result.status == 0
    (note,) = [line for line in result.err.splitlines() if "--steps" in line]
    sizes = "--layers 1 --units 16 --embedding 8"
    assert_names(note, "--minutes", sizes, f"--steps {json.loads(result.out)['steps']}")


# Closed doors


def test_a_run_whose_reader_has_gone_finishes_and_saves(corpus, tmp_path):
    """``2>&1 | head -1``: nobody reads on, which is no reason to stop after hours."""
    options = [*QUICK, "--sample-every", "1", "-o", "model"]
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "charlstm", "train", corpus, *options],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=write, text=True,
    ) as process:  # fmt: skip
        os.close(write)
        with os.fdopen(read) as stream:
            assert stream.readline().startswith("model: 1 x 16 LSTM, ")
        out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "model\n")
    assert read_checkpoint(tmp_path / "model").figures.step in (2, 4)
    assert files_below(tmp_path / "model") == [CONFIG, "history.jsonl", MODEL, TOKENIZER]


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_a_run_whose_messages_can_not_be_written_finishes_and_saves(corpus, tmp_path, redirection):
    arguments = " ".join([*QUICK, "-o", "model"])
    done = in_a_shell(f"charlstm train {corpus} {arguments} {redirection}", tmp_path)
    assert (done.returncode, done.stdout) == (0, "model\n")
    assert files_below(tmp_path / "model") == [CONFIG, "history.jsonl", MODEL, TOKENIZER]


def test_no_memory_is_one_sentence(charlstm, corpus, monkeypatch, sentence):
    from charlstm.network.backend import tf
    from charlstm.training.step import StepRunner

    def exhausted(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")

    monkeypatch.setattr(StepRunner, "train", exhausted)
    result = charlstm("train", corpus, *QUICK, "-q", "-o", "model")
    assert_error(result, 1, "out of memory", "--size", "--streams", "--sequence-length")
    sentence(result.err.removesuffix("\n"))


def test_each_run_of_a_process_has_its_own_beginning(charlstm, corpus, monkeypatch):
    """A budget in minutes counts from there."""
    began = []

    def execute(run, watcher, **options):
        began.append(options["began"])
        raise StorageError("nothing is trained")

    monkeypatch.setattr("charlstm.training.run.execute", execute)
    for _ in range(2):
        before = time.monotonic()
        assert charlstm("train", corpus, *QUICK, "-q").status == 1
        assert before <= began[-1] <= time.monotonic()
    assert len(began) == 2


# Several workers: what is told before TensorFlow is loaded


def two_workers(index):
    from tests.reliability.workers import configurations

    return configurations(2)[index]


def test_a_wrong_tf_config_is_misuse(charlstm, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:2"]}}')
    task = '"task": {"type": "worker", "index": 0}'
    assert_error(charlstm("train", "python-docs"), 2, "TF_CONFIG", "has no task", task)


def test_a_worker_that_does_not_come_is_named(charlstm, monkeypatch, sentence):
    configuration = two_workers(0)
    monkeypatch.setenv("TF_CONFIG", configuration)
    monkeypatch.setenv("CHARLSTM_WAIT", "0.2")
    address = json.loads(configuration)["cluster"]["worker"][1]
    result = charlstm("train", "python-docs")
    waiting, error = result.err.splitlines()
    assert_error(result._replace(err=f"{error}\n"), 1, "CHARLSTM_WAIT")
    for line in (waiting, error):
        assert_names(line, f"worker 1 at {address}", "0.2 seconds")
        sentence(line.replace(address, "ADDRESS"))
