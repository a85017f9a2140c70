"""Fine-tuning: ids and weights are kept, new tokens learned, held-out lines still held out."""

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.config import FILES, Division
from charlstm.corpus.split import DocumentDraw
from charlstm.errors import UsageError
from charlstm.export import export_checkpoint
from charlstm.training import run, setup
from charlstm.training.fine_tuning import rate_share
from charlstm.training.step import StepRunner
from tests.messages import raises_naming
from tests.training.helpers import Stopper, essence, resume, train


def test_fine_tuning_keeps_old_ids_and_learns_new_tokens(request_for):
    parent = request_for("parent")
    train(parent)
    old = read_checkpoint(parent.output)
    child = request_for("child", text="ZEBRA 123! " * 200, layers=None, units=None, embedding=None)
    alone = setup.new_run(child, None).config.train
    child = replace(child, parent=parent.output)
    prepared = setup.new_run(child, None)
    expected = alone.replace(
        learning_rate=prepared.config.train.learning_rate,
        activation_penalty=prepared.config.model.units / 256,
    )
    assert prepared.config.train == expected
    share = rate_share(prepared.familiarity)
    assert expected.learning_rate == pytest.approx(share * alone.learning_rate, rel=0.05)
    assert prepared.prepared.tokenizer.vocabulary[: len(old.tokenizer.vocabulary)] == (
        old.tokenizer.vocabulary
    )
    before = old.weights["embedding/embeddings"]
    grown = prepared.weights["embedding/embeddings"]
    np.testing.assert_array_equal(grown[: len(before)], before)
    assert len(grown) == prepared.prepared.tokenizer.vocab_size > len(before)
    run.execute(prepared, Stopper(), began=time.monotonic())
    new = read_checkpoint(child.output)
    assert new.config.provenance.parent == "parent"
    assert new.figures.valid_loss < math.log(new.tokenizer.vocab_size)


# The validation split stays the same


LINES = "".join(f"line {number} of {number * number}\n" for number in range(300))
BY_LINES = Division(unit="line")


def reading(request, *given, **corpus):
    """Return a request that reads its text in another way, as with these options."""
    return replace(request, corpus=request.corpus.replace(**corpus), given=frozenset(given))


def held_out(config, lines=LINES):
    draw = DocumentDraw(config.corpus.valid_fraction, config.corpus.seed)
    return set(filter(draw.validates, lines.splitlines()))


def child_of(parent, request):
    return replace(request, parent=parent.output)


def own_network(request_for, name, **more):
    """Return a request without sizes, because the parent decides them."""
    return request_for(name, layers=None, units=None, embedding=None, **more)


@pytest.fixture
def of_lines(request_for):
    """Return the request of a trained model of lines, a fifth of which were held out."""
    parent = reading(
        request_for("parent", text=LINES, steps=2), division=BY_LINES, valid_fraction=0.2
    )
    train(parent)
    return parent


@pytest.mark.parametrize(("given", "division"), [((), FILES), (("lines",), BY_LINES)])
def test_the_text_of_the_parent_is_divided_as_before(request_for, of_lines, given, division):
    before = read_checkpoint(of_lines.output).config
    request = own_network(request_for, "child", text=LINES, seed=5)
    request = reading(request, *given, division=division, seed=5)
    prepared = setup.new_run(child_of(of_lines, request), None)
    corpus = prepared.config.corpus
    assert (corpus.division, corpus.valid_fraction, corpus.seed) == (BY_LINES, 0.2, 3)
    assert prepared.config.train.seed == 5
    assert held_out(prepared.config) == held_out(before) != set()
    assert prepared.config.provenance.valid_tokens == before.provenance.valid_tokens


def test_held_out_lines_are_not_trained_on_in_a_longer_text(request_for, of_lines):
    more = LINES + "".join(f"and {number} more\n" for number in range(100))
    request = own_network(request_for, "child", text=more)
    request = reading(request, "lines", division=BY_LINES, seed=5)
    assert request.corpus.valid_fraction == 0.1
    config = setup.new_run(child_of(of_lines, request), None).config
    trained = set(LINES.splitlines()) - held_out(read_checkpoint(of_lines.output).config)
    assert held_out(config, more)
    assert not trained & held_out(config, more)


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ({"division": Division(unit="delimited", delimiter="x")}, ["lines", "parent"]),
        ({"valid_fraction": 0.3}, ["`valid_fraction` 0.2", "0.3", "Leave `valid_fraction` out"]),
        ({"division": BY_LINES, "valid_fraction": 0.3}, ["`valid_fraction` 0.2, not 0.3"]),
        ({"valid_fraction": 0.1}, ["`valid_fraction` 0.2", "0.1", "Leave `valid_fraction` out"]),
    ],
)
def test_another_division_of_the_text_of_the_parent_is_refused(request_for, of_lines, asked, parts):
    options = {"delimited": "delimiter", "line": "lines"}
    given = [options[value.unit] if name == "division" else name for name, value in asked.items()]
    request = reading(own_network(request_for, "child", text=LINES), *given, **asked)
    with raises_naming(UsageError, *parts):
        setup.new_run(child_of(of_lines, request), None)


def test_all_of_the_text_of_the_parent_may_be_trained_on(request_for, of_lines):
    request = reading(own_network(request_for, "child", text=LINES), valid_fraction=0.0)
    assert not setup.new_run(child_of(of_lines, request), None).config.corpus.validates


def test_a_text_that_was_trained_on_entirely_does_not_validate(request_for):
    parent = reading(request_for("parent", steps=2), valid_fraction=0.0)
    train(parent)
    child = child_of(parent, own_network(request_for, "child"))
    assert not setup.new_run(child, None).config.corpus.validates


def test_a_separate_validation_text_is_required_again(request_for, tmp_path):
    for name in ("other", "third"):
        (tmp_path / f"{name}.txt").write_text(f"{name} text of other words.\n" * 20)
    parent = reading(request_for("parent", steps=2), valid=(str(tmp_path / "other.txt"),))
    train(parent)
    child = child_of(parent, own_network(request_for, "child"))
    with raises_naming(UsageError, "other.txt", "`valid`", "parent"):
        setup.new_run(child, None)
    for name in ("other", "third"):
        asked = reading(child, valid=(str(tmp_path / f"{name}.txt"),))
        assert setup.new_run(asked, None).config.corpus.valid == (f"{name}.txt",)
    nothing = setup.new_run(reading(child, "valid_fraction", valid_fraction=0.0), None)
    assert not nothing.config.corpus.validates


def test_the_training_text_of_the_parent_may_not_validate(request_for, tmp_path):
    parent = request_for("parent", steps=2)
    train(parent)
    learned = parent.corpus.addresses[0]
    (tmp_path / "more.txt").write_text("another text of other words.\n" * 60)
    child = reading(
        child_of(parent, own_network(request_for, "child")),
        addresses=(str(tmp_path / "more.txt"),),
        valid=(learned,),
    )
    with raises_naming(UsageError, "`valid`", "parent"):
        setup.new_run(child, None)


def test_a_model_without_line_hashes_has_no_children_with_them(request_for):
    parent = reading(request_for("parent", text=LINES, steps=2), division=BY_LINES, index=False)
    train(parent)
    for text, given, division in ((LINES, (), FILES), (LINES + "more\n", ("lines",), BY_LINES)):
        child = reading(own_network(request_for, "child", text=text), *given, division=division)
        prepared = setup.new_run(child_of(parent, child), None)
        assert prepared.config.corpus.division == BY_LINES
        assert not prepared.config.corpus.index
        assert prepared.lines is None


def test_a_model_of_an_old_format_knows_its_text(request_for, tmp_path):
    """Its rules of dividing a text differ from the current ones, and so do the hashes."""
    old = Path(__file__).parents[1] / "data" / "format-1" / "lines"
    corpus = read_checkpoint(old).config.corpus
    text = (old.parent / "names.txt").read_text()
    child = replace(own_network(request_for, "child", text=text), parent=old)
    prepared = setup.new_run(reading(child, "lines", division=BY_LINES), None)
    assert prepared.config.corpus.division == corpus.division
    assert prepared.config.corpus.seed == corpus.seed
    assert prepared.familiarity is None


def test_patience_does_not_count_the_parent(request_for, monkeypatch):
    """Its loss is hard to reach again before the learning rate has decayed."""
    parent = request_for("parent", steps=2)
    train(parent)
    losses = iter([1.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.45, 1.41, 1.5, 1.3])
    monkeypatch.setattr(StepRunner, "validate", lambda *_: next(losses))
    options = {"eval_every": 1, "steps": 30, "patience": 3}
    result = train(child_of(parent, own_network(request_for, "child", **options)))
    assert (result.best.step, result.best.valid_loss) == (0, 1.0)
    assert (result.step, result.stop_reason) == (9, "early stopping")


# The parent is evaluated first


def test_a_parent_is_evaluated_first_and_kept_if_nothing_is_better(request_for):
    parent = request_for("parent")
    train(parent)
    text = "the lazy dog sleeps; a quick fox jumps.\n" * 60
    wild = {"learning_rate": 3.0, "final_rate": 1.0}
    child = own_network(request_for, "child", text=text, steps=10, **wild)
    observer = Stopper()
    result = train(child_of(parent, child), observer)
    figures = [each for each, _ in observer.evaluations]
    assert [each.step for each in figures] == [0, 10]
    assert [is_best for _, is_best in observer.evaluations] == [True, False]
    assert result.best.step == 0
    kept, before = read_checkpoint(child.output), read_checkpoint(parent.output)
    for name, weight in before.weights.items():
        np.testing.assert_array_equal(kept.weights[name], weight)
    assert kept.figures.valid_loss == figures[0].valid_loss


@pytest.mark.parametrize("after", [0, 1, 15])
def test_a_stopped_run_still_starts_with_the_evaluation_of_the_parent(request_for, after):
    parent = request_for("parent")
    train(parent)
    found = []
    for name in ("whole", "stopped"):
        child = own_network(request_for, name, text="the lazy dog sleeps. a fox!\n" * 60)
        train(child_of(parent, child), Stopper(after if name == "stopped" else math.inf))
        if name == "stopped":
            resume(child.output)
        found.append(essence(child.output))
    assert found[0] == found[1]
    assert [figures["step"] for figures in found[0][1]] == [0, 10, 20, 30]


def test_without_validation_the_parent_is_not_evaluated(request_for):
    parent = request_for("parent")
    train(parent)
    child = reading(
        own_network(request_for, "child", text="a dog sleeps. a fox!\n" * 60), valid_fraction=0.0
    )
    observer = Stopper()
    train(child_of(parent, child), observer)
    assert [figures.step for figures, _ in observer.evaluations] == [10, 20, 30]


def test_an_8_bit_parent_is_fine_tuned_in_float32(request_for, tmp_path):
    parent = request_for("parent")
    train(parent)
    small = tmp_path / "small"
    export_checkpoint(read_checkpoint(parent.output), small)
    child = replace(own_network(request_for, "child", text=LINES), parent=small)
    prepared = setup.new_run(child, None)
    assert prepared.config.weights == "float32"
    grown = prepared.weights["lstm_1/kernel"]
    np.testing.assert_array_equal(grown, read_checkpoint(small).weights["lstm_1/kernel"])
    run.execute(prepared, Stopper(), began=time.monotonic())
    assert read_checkpoint(child.output).config.weights == "float32"


def test_a_text_is_recognized_next_to_the_validation_text(request_for, tmp_path):
    """The validation text may be one of the files to train on."""
    parent = request_for("parent", steps=2)
    train(parent)
    learned = parent.corpus.addresses[0]
    (tmp_path / "new.txt").write_text("another text of other words.\n" * 60)
    new = str(tmp_path / "new.txt")
    child = reading(
        child_of(parent, own_network(request_for, "child")),
        addresses=(learned, new),
        valid=(new,),
    )
    assert setup.new_run(child, None).familiarity is None
