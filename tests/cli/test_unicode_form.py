"""Texts in another form of Unicode than the model's: what is told, and what --normalize changes."""

import json
import unicodedata
from pathlib import Path

import pytest

import charlstm as package
from charlstm.checkpoint.reader import read_checkpoint, read_lines_index
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import ModelConfig, TokenizerConfig
from charlstm.errors import UsageError
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import FIGURES, begin, settings, weights_for
from tests.cli.helpers import TINY
from tests.messages import assert_error

TEXT = "Die Würfel über Köln, schön für große Männer; die Vögel fliegen.\n" * 40
NAMES = "Jürgen\nBjörn\nZoë\nRené\nÅsa\n" * 8 + "".join(f"Jö{c}{d}\n" for c in "abc" for d in "xyz")
DECOMPOSED, COMPOSED = "decomposed Unicode (NFD)", "composed Unicode (NFC)"


def nfd(text):
    return unicodedata.normalize("NFD", text)


@pytest.fixture(scope="session")
def models(trained_once, tmp_path_factory):
    def untrained(text):
        """Return a checkpoint with random weights: what is told depends on its characters."""
        tokenizer = build_tokenizer([text], TokenizerConfig())
        network = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=2, units=3, layers=1)
        folder = tmp_path_factory.mktemp("form") / "model"
        begin(folder, settings(network), tokenizer)
        CheckpointWriter(folder).model(weights_for(network), FIGURES)
        return folder

    return {
        "nfc": untrained(TEXT),
        "nfd": untrained(nfd(TEXT)),
        "both": untrained(TEXT + nfd(TEXT)),
        "normalized": trained_once(
            "normalized", TEXT + nfd(TEXT), "--normalize", "nfc", "--steps", "60"
        ),
        "names": trained_once("composed-names", nfd(NAMES), "--lines", "--normalize", "nfc"),
    }


def commands(model, text):
    """Return the arguments and the standard input of every command that reads texts."""
    data = f"{text}\n".encode()
    return {
        "generate": (["generate", model, "-p", text, "-n", 3, "--seed", 1], b""),
        "prompts": (["generate", model, "--prompts", "-", "-n", 3, "--seed", 1], data),
        "beam": (["generate", model, "-p", text, "-n", 3, "--beam", 2], b""),
        "predict": (["predict", model, text], b""),
        "predict lines": (["predict", model, "-"], data),
        "score": (["score", model], data),
        "carry": (["score", model, "--carry"], data),
        "whole": (["score", model, "--whole", "text.txt"], b""),
        "whole pipe": (["score", model, "--whole", "-"], data),
        "paragraphs": (["score", model, "--paragraphs"], data),
        "rank": (["rank", model], data * 2),
        "context": (["rank", model, "--context", text], b"a\nb\n"),
        "evaluate": (["evaluate", model, "text.txt", "--sample", 0], b""),
    }


NAMED = list(commands("", ""))


@pytest.mark.parametrize("name", NAMED)
def test_a_text_in_the_other_form_is_told_once(charlstm, models, here, name):
    for model, text, own in (
        ("nfc", nfd("die Würfel für Köln"), DECOMPOSED),
        ("nfd", "die Würfel für Köln", COMPOSED),
    ):
        Path("text.txt").write_text(f"{text}\n")
        arguments, stdin = commands(models[model], text)[name]
        result = charlstm(*arguments, stdin=stdin)
        assert result.status == 0, result.err
        notes = [line for line in result.err.splitlines() if "Unicode" in line]
        assert len(notes) == 1, result.err
        assert own in notes[0]
        assert f"uconv -x any-{model}" in notes[0]
        assert "Unicode" not in charlstm(*arguments, "-q", stdin=stdin).err


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("nfc", "die Würfel für Köln"),
        ("nfc", "x\u0323y 中文 क\u093f ไทย\u0e34"),  # unknown in every form
        ("nfd", nfd("für Köln")),
        ("both", nfd("für Köln")),
        ("both", "für Köln"),
        ("normalized", nfd("für Köln")),
    ],
)
def test_no_other_text_is(charlstm, models, here, model, text):
    Path("text.txt").write_text(f"{text}\n")
    for arguments, stdin in commands(models[model], text).values():
        result = charlstm(*arguments, stdin=stdin)
        assert result.status == 0, result.err
        assert "Unicode" not in result.err


@pytest.mark.parametrize("name", NAMED)
def test_a_model_that_normalizes_reads_both_forms_alike(charlstm, models, here, name):
    texts = ["die Würfel für Köln", nfd("die Würfel für Köln")]
    found = []
    for text in texts:
        Path("text.txt").write_text(f"{text}\n")
        arguments, stdin = commands(models["normalized"], text)[name]
        result = charlstm(*arguments, stdin=stdin)
        assert result.status == 0
        assert "unknown character" not in result.err
        if name in ("generate", "prompts", "beam"):
            assert result.out.startswith(text)  # echoed as it was given
        found.append(unicodedata.normalize("NFC", result.out))
    assert found[0] == found[1]


def test_it_is_remembered_and_applied_in_python(models):
    model = package.load(models["normalized"])
    assert model.checkpoint.config.corpus.normalize == "nfc"
    assert not any("\u0308" in token for token in model.tokenizer.vocabulary)
    text = "für Köln"
    ours, theirs = (model.generate(t, length=5, seed=1)[0] for t in (text, nfd(text)))
    assert (ours.text, theirs.prompt) == (theirs.text, nfd(text))
    ours, theirs = model.score(text, nfd(text))
    assert (ours.log_probability, theirs.text) == (theirs.log_probability, nfd(text))
    assert theirs.characters == len(text)
    assert model.predict(text) == model.predict(nfd(text))
    assert model.predict(text, tokens=True) == model.predict(nfd(text), tokens=True)
    assert model.evaluate(texts=[text]) == model.evaluate(texts=[nfd(text)])
    two = list(model.stream([text, nfd("Männer")], length=4, count=2, seed=3))
    assert [sample.prompt for sample in two] == [text] * 2 + [nfd("Männer")] * 2
    unique = model.stream([nfd(text)], length=9, count=2, seed=3, unique=True)
    assert [sample.prompt for sample in unique] == [nfd(text)] * 2
    stopped = model.generate("f", length=50, seed=1, ban=(nfd("ü"),))[0].text
    assert "ü" not in stopped
    assert model.generate("f", length=5, seed=1, match=nfd("für.{1,3}"))[0].text.startswith("ür")


def test_lines_are_hashed_in_that_form(charlstm, models, here):
    index = read_lines_index(models["names"])
    assert "Jürgen" in index
    assert nfd("Jürgen") not in index
    Path("known.txt").write_text(nfd(NAMES))
    options = ["-c", 30, "-n", 12, "--seed", 1, "-q"]
    every = set(NAMES.split())
    assert all(name in index for name in every)
    for option in (["--novel"], ["--against", "known.txt"]):
        drawn = charlstm("generate", models["names"], *option, *options)
        assert drawn.status == 0
        assert not every & set(drawn.out.splitlines())


def test_a_model_to_fine_tune_keeps_its_form(charlstm, models, here):
    Path("text.txt").write_text(nfd(TEXT))
    quick = ["text.txt", "--steps", 2, "--streams", 4, "--sequence-length", 10]
    refused = charlstm("train", *quick, "--from", models["nfc"], "--normalize", "nfc")
    assert_error(refused, 2, "--from", "--normalize")
    with pytest.raises(UsageError, match="normalize"):
        package.train("text.txt", from_checkpoint=models["nfc"], normalize="nfc")
    told = charlstm("train", *quick, "--from", models["normalized"], "-o", "child", "--json")
    assert told.status == 0
    assert "Unicode" not in told.err
    child, parent = read_checkpoint(Path("child")), read_checkpoint(models["normalized"])
    assert child.config.corpus.normalize == "nfc"
    assert child.tokenizer.vocabulary == parent.tokenizer.vocabulary
    for model, text in (("nfc", nfd(TEXT)), ("nfd", TEXT)):
        Path("text.txt").write_text(text)
        arguments = ["train", *quick, "--from", models[model], "--dry-run"]
        assert "Unicode (NF" in charlstm(*arguments).err
        assert "Unicode" not in charlstm(*arguments, "-q").err
    Path("text.txt").write_text(TEXT + "x\u0323 क\u093f")
    assert "Unicode" not in charlstm("train", *quick, "--from", models["nfc"], "--dry-run").err


def test_a_validation_text_in_another_form_is_told(charlstm, here):
    Path("train.txt").write_text(TEXT)
    Path("valid.txt").write_text(nfd(TEXT))
    arguments = ["train", "train.txt", "--valid", "valid.txt", "--dry-run", *TINY]
    assert DECOMPOSED in charlstm(*arguments).err
    assert charlstm(*arguments, "--normalize", "nfc", "-q").err == ""


def test_a_resumed_run_keeps_its_form(here):
    class Stops(package.Observer):
        def should_stop(self):
            return True

    options = {"units": 8, "layers": 1, "streams": 4, "sequence_length": 10, "steps": 3}
    stopped = package.train(
        texts=[nfd(TEXT)], normalize="nfc", **options, observer=Stops(), output="model"
    )
    assert stopped.training.stop_reason == "interrupted"
    resumed = package.train(resume="model", quiet=True)
    assert resumed.checkpoint.config.corpus.normalize == "nfc"
    assert resumed.checkpoint.config.provenance.characters == len(TEXT)


def test_a_wrong_form_is_refused(charlstm, here):
    Path("text.txt").write_text(TEXT)
    assert charlstm("train", "text.txt", "--normalize", "nfkc").status == 2
    with pytest.raises(UsageError, match=r"normalize`? is 'nfd'"):
        package.train("text.txt", normalize="nfd")


def test_an_exported_model_says_its_form(charlstm, models, here):
    from charlstm.export import describe

    for name, form in (("normalized", "nfc"), ("nfc", "none")):
        assert json.loads(json.dumps(describe(read_checkpoint(models[name]))["normalize"])) == form
