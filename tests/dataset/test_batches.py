"""Tests of ``dataset.batches``: batches contain every token, in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.dataset.batches import (
    BEGINNING_SHARE,
    FIRST_SHARE,
    FIRST_STEPS,
    RARE_SHARE,
    REPLACEMENT_RATE,
    Streams,
    replacement_rates,
    validation_batches,
)
from charlstm.dataset.excerpts import excerpts_of
from charlstm.dataset.store import TokenStore
from charlstm.tokenizer.base import END_OF_DOCUMENT, UNKNOWN

# Training streams


def text_of_positions(size, is_cut):
    """Return a text of the ids 0, 2, 3, 4, ... that ends with an end of document if it is whole."""
    ids = np.arange(1, size + 1, dtype=np.uint32)
    ids[0] = END_OF_DOCUMENT
    return ids if is_cut else np.append(ids, np.uint32(END_OF_DOCUMENT))


def next_in_ring(inputs, size, is_cut):
    """Return the id that follows each id of such a text, or ``UNKNOWN`` where there is none."""
    following = np.where(inputs == END_OF_DOCUMENT, 2, inputs + 1)
    return np.where(following > size, UNKNOWN if is_cut else END_OF_DOCUMENT, following)


def made(ids, streams, sequence_length, seed=1, rates=None):
    no_rates = np.zeros(int(ids.max()) + 2)
    return Streams(ids, streams, sequence_length, seed, no_rates if rates is None else rates)


shapes = {
    "size": st.integers(2, 400),
    "is_cut": st.booleans(),
    "streams": st.integers(1, 9),
    "sequence_length": st.integers(1, 20),
    "seed": st.integers(0, 2**32 - 1),
}


@given(**shapes, step=st.integers(0, 100))
def test_targets_are_the_inputs_shifted_by_one(size, is_cut, streams, sequence_length, seed, step):
    ids = text_of_positions(size, is_cut)
    inputs, targets, *_ = made(ids, streams, sequence_length, seed).batch(step)
    assert inputs.shape == targets.shape == (streams, sequence_length)
    assert inputs.dtype == targets.dtype == np.int32
    assert np.array_equal(targets, next_in_ring(inputs, size, is_cut))
    shifted = np.where(targets == UNKNOWN, END_OF_DOCUMENT, targets)
    assert np.array_equal(inputs[:, 1:], shifted[:, :-1])


@given(**shapes, epoch=st.integers(0, 5))
def test_rows_continue_from_batch_to_batch_within_an_epoch(
    size, is_cut, streams, sequence_length, seed, epoch
):
    batches = made(text_of_positions(size, is_cut), streams, sequence_length, seed)
    steps = batches.steps_per_epoch
    for step in range(epoch * steps, epoch * steps + min(steps, 8) - 1):
        before, after = batches.batch(step), batches.batch(step + 1)
        ends = before.targets[:, -1]
        starts = np.where(ends == UNKNOWN, END_OF_DOCUMENT, ends)
        assert np.array_equal(after.inputs[:, 0], starts)


@given(**shapes, epoch=st.integers(0, 5))
def test_an_epoch_predicts_every_token(size, is_cut, streams, sequence_length, seed, epoch):
    ids = text_of_positions(size, is_cut)
    batches = made(ids, streams, sequence_length, seed)
    steps = batches.steps_per_epoch
    drawn = [batches.batch(step) for step in range(epoch * steps, (epoch + 1) * steps)]
    counts = Counter(np.concatenate([batch.targets.ravel() for batch in drawn]).tolist())
    assert set(counts) == {UNKNOWN if is_cut else END_OF_DOCUMENT, *range(2, size + 1)}
    assert counts.total() == steps * batches.tokens_per_step
    assert counts.total() - size < batches.tokens_per_step  # no step is superfluous
    assert [batch.first_of_epoch for batch in drawn] == [True] + [False] * (steps - 1)


@given(**shapes)
def test_the_rows_of_an_epoch_are_the_text_from_its_entry(
    size, is_cut, streams, sequence_length, seed
):
    batches = made(text_of_positions(size, is_cut), streams, sequence_length, seed)
    drawn = [batches.batch(step).inputs for step in range(batches.steps_per_epoch)]
    read = np.concatenate(drawn, axis=1).ravel()
    positions = np.where(read == END_OF_DOCUMENT, 0, read - 1)
    assert np.array_equal(positions, (np.arange(read.size) + positions[0]) % size)


def test_each_epoch_enters_at_another_position():
    batches = made(text_of_positions(100_000, True), 4, 25)
    entries = [
        int(batches.batch(epoch * batches.steps_per_epoch).inputs[0, 0]) for epoch in range(50)
    ]
    assert len(set(entries)) == 50
    assert min(entries) < 25_000
    assert max(entries) > 75_000
    other = made(text_of_positions(100_000, True), 4, 25, seed=2)
    assert int(other.batch(0).inputs[0, 0]) != entries[0]


@given(**shapes, steps=st.lists(st.integers(0, 200), min_size=1, max_size=5))
def test_a_batch_depends_only_on_seed_and_step(size, is_cut, streams, sequence_length, seed, steps):
    ids = text_of_positions(size, is_cut)
    rates = np.full(size + 1, 0.5)
    used, fresh = (made(ids, streams, sequence_length, seed, rates) for _ in range(2))
    in_order = {step: used.batch(step) for step in sorted(set(steps))}
    for step in steps:
        again = fresh.batch(step)
        assert np.array_equal(again.inputs, in_order[step].inputs)
        assert np.array_equal(again.targets, in_order[step].targets)
        assert again.first_of_epoch == in_order[step].first_of_epoch


def test_batches_do_not_depend_on_global_random_state():
    batches = made(text_of_positions(1000, True), 4, 25, rates=np.full(1001, 0.5))
    np.random.seed(1)
    before = batches.batch(3).inputs
    np.random.seed(2)
    assert np.array_equal(before, batches.batch(3).inputs)


def test_ids_are_replaced_at_about_their_rate():
    ids = np.pad(
        np.tile(np.arange(2, 6, dtype=np.uint8), 2500), 1
    )  # ends of documents at both ends
    rates = np.array([0.0, 0.0, 0.0, 0.2, 0.0, 1.0])
    plain, replaced = made(ids, 10, 100), made(ids, 10, 100, rates=rates)
    seen, unknown = np.zeros(6, int), np.zeros(6, int)
    for step in range(40):
        before, after = plain.batch(step), replaced.batch(step)
        changed = before.inputs != after.inputs
        assert np.all(after.inputs[changed] == UNKNOWN)
        assert np.array_equal(after.inputs[:, 1:], after.targets[:, :-1])
        seen += np.bincount(before.inputs.ravel(), minlength=6)
        unknown += np.bincount(before.inputs[changed], minlength=6)
    assert np.all(seen[2:] > 9000)
    assert unknown[[0, 1, 2, 4]].tolist() == [0, 0, 0, 0]
    assert unknown[5] == seen[5]
    # Binomial: five standard deviations of about 10,000 samples are 200.
    assert abs(unknown[3] - 0.2 * seen[3]) < 200


def test_replacements_differ_from_step_to_step_and_from_seed_to_seed():
    ids = np.full(1000, 2, np.uint8)
    rates = np.array([0.0, 0.0, 0.5])
    first, other = made(ids, 4, 25, 1, rates), made(ids, 4, 25, 2, rates)
    assert not np.array_equal(first.batch(0).inputs, first.batch(1).inputs)
    assert not np.array_equal(first.batch(0).inputs, other.batch(0).inputs)
    epoch = first.steps_per_epoch
    assert not np.array_equal(first.batch(0).inputs, first.batch(epoch).inputs)


def test_streams_contain_only_training_ids():
    """They have no path to the validation text: no file name, no store, no reader."""
    fields = ["ids", "streams", "sequence_length", "seed", "rates", "starts", "backward"]
    assert [*Streams.__dataclass_fields__] == fields
    ids = text_of_positions(50, False)
    ids.flags.writeable = False
    store = TokenStore(ids, np.arange(1000, 1050, dtype=np.uint32))
    batches = made(store.train, 3, 7)
    read = [part for step in range(60) for part in batches.batch(step)[:2]]
    assert set(np.concatenate(read).ravel().tolist()) == set(ids.tolist())


# Replacement by the unknown token


def oracle_rates(train, character_ids, vocab_size):
    counts = Counter(train)
    seen = sorted((counts[c], list(character_ids).index(c), c) for c in character_ids if counts[c])
    rare, share = [], 0
    for count, _, character in seen:
        share += count
        if share <= RARE_SHARE * len(train):
            rare.append(character)
    chosen = rare or [character for _, _, character in seen[:1]]
    return [
        min(REPLACEMENT_RATE, RARE_SHARE * len(train) / counts[token]) if token in chosen else 0.0
        for token in range(vocab_size)
    ]


@given(
    st.dictionaries(st.integers(0, 19), st.integers(1, 30), max_size=20),
    st.sets(st.integers(2, 19)),
    st.sampled_from([1, 100_000, 1_000_000]),
)
def test_the_rarest_characters_within_the_share_are_replaced(counts, characters, common):
    ids = np.repeat(np.array([20, *counts], np.uint8), [common, *counts.values()])
    characters = np.array(sorted(characters), np.uint32)
    rates = replacement_rates(ids, characters, 21)
    assert rates.dtype == np.float64
    assert rates.tolist() == oracle_rates(ids.tolist(), characters.tolist(), 21)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=200))
def test_the_rarest_characters_are_replaced(ids):
    ids = np.array(ids, np.uint8)
    characters = np.arange(2, 10)
    rates = replacement_rates(ids, characters, 10)
    counts = np.bincount(ids, minlength=10)
    replaced = np.flatnonzero(rates)
    assert set(replaced) <= set(characters)
    assert np.all(counts[replaced] > 0)
    assert replaced.size == (1 if counts[2:].any() else 0)  # the text is too short for two
    left = counts[[c for c in characters if counts[c] and c not in replaced]]
    assert not replaced.size or np.all(left >= counts[replaced].max())


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=200), st.sampled_from([1, 10, 1000, 100_000])
)
def test_only_a_small_share_of_any_text_is_replaced(pattern, repetitions):
    ids = np.tile(np.array(pattern, np.uint8), repetitions)
    rates = replacement_rates(ids, np.arange(2, 10), 10)
    counts = np.bincount(ids, minlength=10)
    assert np.all((rates >= 0) & (rates <= REPLACEMENT_RATE))
    assert rates @ counts <= RARE_SHARE * ids.size * (1 + 1e-9)


def test_few_characters_are_replaced_if_all_are_frequent():
    """In a genome, even the rarest of the four letters is about a quarter of the text."""
    ids = np.random.default_rng(1).integers(2, 6, 400_000).astype(np.uint8)
    rates = replacement_rates(ids, np.arange(2, 6), 6)
    counts = np.bincount(ids, minlength=6)
    (rarest,) = np.flatnonzero(rates)
    assert counts[rarest] == counts[2:].min()
    assert rates[rarest] == pytest.approx(1e-4 * 400_000 / counts[rarest])
    plain, replaced = made(ids, 10, 100), made(ids, 10, 100, rates=rates)
    changed = sum(
        np.count_nonzero(plain.batch(step).inputs != replaced.batch(step).inputs)
        for step in range(400)
    )
    assert 0 < changed < 100  # 40 of 400,000 on average; binomial, so 100 is nine deviations off


def test_words_are_never_replaced():
    ids = np.array([2] * 50_000 + [3] * 2 + [4], np.uint8)
    rates = replacement_rates(ids, np.array([2, 3]), 5)
    assert np.flatnonzero(rates).tolist() == [3]


def test_counts_do_not_depend_on_blocks(monkeypatch):
    """The text is counted block by block; 2**24 + 1 tokens need more than one block."""
    ids = np.full(2**24 + 3, 2, np.uint8)
    ids[[0, -1, -2]] = [3, 3, 4]
    rates = replacement_rates(ids, np.array([2, 3, 4]), 5)
    assert np.flatnonzero(rates).tolist() == [3, 4]


# Validation


def text_of(size, vocab_size=11, seed=0):
    generator = np.random.default_rng([seed, size])
    return generator.integers(0, vocab_size, size).astype(np.uint16)


windows = {
    "size": st.integers(2, 3000),
    "max_streams": st.integers(1, 20),
    "blocks": st.integers(1, 4),
    "length": st.integers(1, 40),
}
default_sizes = pytest.mark.parametrize(
    "size",
    [2, 3, 127, 128, 129, 130, 256, 257, 512, 513, 1024, 1025, 1026, 3000, 5121, 7000, 70_000],
)


def check_every_target_once(ids, batches):
    pairs = Counter()
    for inputs, targets, weights, keep in batches:
        assert inputs.shape == targets.shape == weights.shape == batches[0].inputs.shape
        assert keep.shape == (len(inputs), 1)
        assert inputs.dtype == targets.dtype == np.int32
        assert weights.dtype == keep.dtype == np.float32
        assert set(weights.ravel().tolist()) <= {0.0, 1.0}
        assert set(keep.ravel().tolist()) <= {0.0, 1.0}
        counted = weights > 0
        pairs.update(zip(inputs[counted].tolist(), targets[counted].tolist(), strict=True))
    assert sum(float(batch.weights.sum()) for batch in batches) == ids.size - 1
    assert pairs == Counter(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))


@default_sizes
def test_every_target_after_the_first_is_counted_once(size):
    ids = text_of(size)
    check_every_target_once(ids, list(validation_batches(ids)))


@given(**windows)
def test_every_target_is_counted_once_for_any_window(size, max_streams, blocks, length):
    ids = text_of(size, vocab_size=size)
    batches = validation_batches(ids, max_streams=max_streams, warm=blocks * length, length=length)
    check_every_target_once(ids, list(batches))


def fingerprints(inputs, span, state=()):
    """Run a toy recurrent model whose state is the last ``span`` tokens in order."""
    for token in inputs:
        state = (*state, token)[-span:]
        yield state


def predictions_by_streams(batches, span):
    """Count (hash of the state, target) over the counted positions of all batches."""
    states, seen = {}, []
    for inputs, targets, weights, keep in batches:
        for row in range(len(inputs)):
            state = states.get(row, ()) if keep[row, 0] else ()
            run = list(fingerprints(inputs[row].tolist(), span, state))
            states[row] = run[-1]
            seen += [
                (row, hash(state), target)
                for state, target, weight in zip(
                    run, targets[row].tolist(), weights[row].tolist(), strict=True
                )
                if weight
            ]
    seen.sort(key=lambda item: item[0])  # sort the rows by their position in the text
    return [item[1:] for item in seen]


def predictions_by_one_stream(ids, span):
    run = fingerprints(ids[:-1].tolist(), span)
    return [(hash(state), target) for state, target in zip(run, ids[1:].tolist(), strict=True)]


@pytest.mark.parametrize("span", [1, 200, 256])
@default_sizes
def test_streams_equal_one_stream_with_a_memory_as_long_as_the_warm_up(size, span):
    ids = text_of(min(size, 7000))
    assert predictions_by_streams(validation_batches(ids), span) == predictions_by_one_stream(
        ids, span
    )


@given(**windows)
def test_streams_equal_one_stream_for_any_window(size, max_streams, blocks, length):
    ids = text_of(size)
    warm = blocks * length
    batches = validation_batches(ids, max_streams=max_streams, warm=warm, length=length)
    assert predictions_by_streams(batches, warm) == predictions_by_one_stream(ids, warm)


def test_a_single_stream_remembers_everything():
    ids = text_of(1000)
    batches = list(validation_batches(ids))
    assert batches[0].inputs.shape == (1, 128)
    assert predictions_by_streams(batches, 2000) == predictions_by_one_stream(ids, 2000)


def test_each_stream_counts_more_tokens_than_its_warm_up():
    for size in (2, 1025, 5121, 200_000):
        rows = {len(batch.inputs) for batch in validation_batches(text_of(size))}
        assert rows == {max(1, min(128, (size - 1) // 512))}


def test_only_the_first_stream_is_reset_and_only_once():
    batches = list(validation_batches(text_of(5121)))
    restarts = [(n, np.flatnonzero(b.keep[:, 0] == 0).tolist()) for n, b in enumerate(batches)]
    assert [where for where in restarts if where[1]] == [(2, [0])]


@given(**windows, counted=st.integers(1, 4000))
def test_excerpts_are_predicted_like_in_one_stream(size, max_streams, blocks, length, counted):
    """Each target of an excerpt counts once, after the warm-up of its stream."""
    ids, warm = text_of(size), blocks * length
    options = {"max_streams": max_streams, "warm": warm}
    batches = list(validation_batches(ids, counted, length=length, **options))
    assert sum(float(batch.weights.sum()) for batch in batches) == min(counted, size - 1)
    expected, whole = [], predictions_by_one_stream(ids, warm)
    for first, count in zip(*excerpts_of(size - 1, counted, **options), strict=True):
        expected += whole[first : first + count]
    assert predictions_by_streams(batches, warm) == expected


def test_excerpts_of_a_long_text_are_read_in_few_batches():
    ids = text_of(100_000)
    batches = list(validation_batches(ids, 20_000))
    assert {batch.inputs.shape for batch in batches} == {(39, 128)}
    assert len(batches) == 2 + 5  # 256 tokens of warm-up, then 513


# Beginnings


def marked(size, starts, streams=8):
    """Return a cut text of the ids 2, 3, ..., and positions where texts may begin in it."""
    ids = np.arange(2, size + 2, dtype=np.uint32)
    return Streams(ids, streams, 25, 1, np.zeros(size + 3), np.array(starts, np.int64))


@given(starts=st.sets(st.integers(1, 299), max_size=30), step=st.integers(0, 300))
def test_some_rows_begin_a_text_and_the_others_continue(starts, step):
    batches, plain = marked(300, sorted(starts), 50), marked(300, [], 50)
    inputs, targets, first, begins = batches.batch(step)
    usual = plain.batch(step)
    assert first == usual.first_of_epoch
    assert begins.shape == usual.begins.shape == (50,)
    assert not usual.begins.any()
    assert np.array_equal(inputs[~begins], usual.inputs[~begins])
    assert np.array_equal(targets[~begins], usual.targets[~begins])
    assert (inputs[begins, 0] == END_OF_DOCUMENT).all()
    assert set((targets[begins, 0] - 2).tolist()) <= starts
    following = np.where(inputs == 301, UNKNOWN, inputs + 1)  # the text is cut
    assert np.array_equal(targets[begins, 1:], following[begins, 1:])


def test_a_small_share_of_rows_begins_a_text():
    batches = marked(60_000, range(1, 60_000, 50), 40)
    begun = [batches.batch(step) for step in range(FIRST_STEPS, FIRST_STEPS + 400)]
    assert np.mean([batch.begins for batch in begun]) == pytest.approx(BEGINNING_SHARE, rel=0.2)
    early = [batches.batch(step).begins for step in range(FIRST_STEPS)]
    assert np.mean(early[:50]) == pytest.approx(0.9 * FIRST_SHARE, rel=0.2)
    assert np.mean(early[:100]) > 2 * np.mean(early[-100:]) > 0
    firsts = np.concatenate([batch.targets[batch.begins, 0] for batch in begun])
    assert len(set(firsts.tolist())) > 0.7 * len(firsts)  # not always the same ones


# Texts that are read from their end


@given(**shapes, step=st.integers(0, 100))
def test_backward_streams_predict_the_token_before(
    size, is_cut, streams, sequence_length, seed, step
):
    ids = text_of_positions(size, is_cut)
    backward = replace(made(ids, streams, sequence_length, seed), backward=True)
    forward = made(ids, streams, sequence_length, seed)
    assert backward.steps_per_epoch == forward.steps_per_epoch
    inputs, targets, *_ = backward.batch(step)
    # The end of the last document is not known if it has been cut off.
    last = UNKNOWN if is_cut else size
    before = np.where(inputs == END_OF_DOCUMENT, last, inputs - 1)
    np.testing.assert_array_equal(targets, np.where(inputs == 2, END_OF_DOCUMENT, before))


def test_backward_streams_begin_at_their_starts():
    ids = text_of_positions(300, is_cut=False)
    streams = Streams(ids, 64, 5, 1, np.zeros(400), np.array([10, 200]), backward=True)
    inputs, targets, _, begins = streams.batch(0)
    assert begins.any()
    for row in np.flatnonzero(begins):
        assert inputs[row, 0] == END_OF_DOCUMENT
        assert targets[row, 0] in (300 - 10, 300 - 200)
        np.testing.assert_array_equal(np.diff(targets[row]), -1)


def test_a_reversed_text_is_not_copied(tmp_path):
    ids = np.memmap(tmp_path / "ids", np.uint16, mode="w+", shape=(1000,))
    streams = Streams(ids, 2, 3, 1, np.zeros(9), backward=True)
    streams.batch(0)
    assert np.shares_memory(streams._ring, ids)
