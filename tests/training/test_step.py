"""The compiled steps: schedule, optimizer, loss and validation against simple oracles."""

import inspect
import json

import numpy as np
import pytest

from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig
from charlstm.dataset.batches import Streams, TrainingBatch
from charlstm.dataset.excerpts import excerpts_of
from charlstm.dataset.prepare import prepare
from charlstm.engine.inference import build_engine
from charlstm.evaluation.scoring import score_whole_documents
from charlstm.network import lstm
from charlstm.network import model as network
from charlstm.network.backend import tf
from charlstm.network.model import weights_of
from charlstm.tokenizer.base import END_OF_DOCUMENT
from charlstm.training import step as step_module
from charlstm.training.step import StepRunner
from tests import oracles
from tests.texts import LINES
from tests.training.helpers import MODEL, TRAIN

ATTENTIVE = MODEL.replace(attention=5)


def real_text():
    """Return prose and code that come with Python."""
    return "".join(inspect.getsource(module) for module in (json, json.decoder, inspect))


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def one_stream_loss(steps, ids):
    """Return the float64 mean loss over a text as one stream, with states reset at documents."""
    model, weights = steps.model.config, weights_of(steps.model)
    documents = np.split(ids[:-1], np.flatnonzero(ids[:-1] == END_OF_DOCUMENT))
    logits = [oracles.network(model, weights, one[None])[0] for one in documents if one.size]
    chosen = log_softmax(np.concatenate(logits, axis=1))[0]
    return -chosen[np.arange(ids.size - 1), ids[1:]].mean()


def batch_of(seed=0):
    ids = np.random.default_rng(seed).integers(12, size=(3, 6)).astype(np.int32)
    return TrainingBatch(ids[:, :-1], ids[:, 1:], True, np.zeros(len(ids), np.bool_))


def runner_with_attention(**settings):
    """Return a runner whose attention matters, which a new one does not."""
    steps = StepRunner(ATTENTIVE, TRAIN.replace(**settings))
    noise = np.random.default_rng(0).normal(size=(10, 10))
    steps.model.attention.output_kernel.assign(noise)
    return steps


@pytest.mark.parametrize("length", [2, 3, 50, 700, 3000])
@pytest.mark.parametrize("make", [lambda: StepRunner(MODEL, TRAIN), runner_with_attention])
def test_validation_in_streams_equals_one_stream(make, length):
    steps = make()
    ids = np.random.default_rng(length).integers(12, size=length).astype(np.uint8)
    assert steps.validate(ids) == pytest.approx(one_stream_loss(steps, ids), abs=1e-4)


def test_validation_of_excerpts_is_the_mean_of_their_tokens():
    """The tokens are predicted by one stream over the whole text."""
    ids = np.random.default_rng(1).integers(1, 12, size=4000).astype(np.uint8)
    steps = StepRunner(MODEL, TRAIN.replace(validated=1100))
    logits, _ = oracles.network(steps.model.config, weights_of(steps.model), ids[None, :-1])
    losses = -log_softmax(logits)[0, np.arange(ids.size - 1), ids[1:]]
    first, counts = excerpts_of(ids.size - 1, 1100)
    counted = [losses[a : a + n] for a, n in zip(first, counts, strict=True)]
    assert len(counted) == 2
    assert steps.validate(ids) == pytest.approx(np.concatenate(counted).mean(), abs=1e-4)
    assert StepRunner(MODEL, TRAIN.replace(validated=9999)).validate(ids) == pytest.approx(
        losses.mean(), abs=1e-4
    )


def test_a_step_returns_the_mean_loss_and_lowers_it():
    steps = StepRunner(MODEL, TRAIN)
    batch, states = batch_of(), steps.model.zero_states(3)
    logits, _ = steps.model(batch.inputs, states)
    rows, columns = np.indices(batch.targets.shape)
    expected = -log_softmax(logits.numpy())[rows, columns, batch.targets].mean()
    first, _ = steps.train(batch, states, 0, 0.01, 0.0)
    assert first == pytest.approx(expected, abs=1e-5)
    for step in range(1, 30):
        last, _ = steps.train(batch, states, step, 0.01, 0.0)
    assert last < 0.7 * first


def test_states_are_carried_out_of_a_step():
    steps = StepRunner(MODEL, TRAIN)
    batch, zero = batch_of(), steps.model.zero_states(3)
    _, expected = steps.model(batch.inputs, zero)
    _, after = steps.train(batch, zero, 0, 0.0, 0.0)
    for name, ours in after.items():
        np.testing.assert_allclose(ours, expected[name], atol=1e-6)


@pytest.mark.parametrize("shards", [1, 2])
def test_a_row_that_starts_a_text_is_trained_on_and_keeps_its_states(shards):
    steps = runner_with_attention(streams=4, shards=shards)
    ids = np.random.default_rng(3).integers(1, 12, size=(4, 6)).astype(np.int32)
    ids[2, 0] = END_OF_DOCUMENT
    begins = np.array([False, False, True, False])
    batch = TrainingBatch(ids[:, :-1], ids[:, 1:], False, begins)
    _, states = steps.train(batch, steps.model.zero_states(4), 0, 0.0, 0.0)
    usual = batch._replace(begins=np.zeros(4, np.bool_))
    loss, after = steps.train(batch, states, 0, 0.0, 0.0)
    expected_loss, expected = steps.train(usual, states, 0, 0.0, 0.0)
    assert loss == pytest.approx(expected_loss, abs=1e-6)
    for name, found in after.items():
        np.testing.assert_array_equal(found[2], states[name][2])
        carried = tf.boolean_mask(expected[name], ~begins)
        np.testing.assert_allclose(tf.boolean_mask(found, ~begins), carried, atol=1e-6)
        if name != "filled":
            assert not np.allclose(found[2], expected[name][2])


@pytest.mark.parametrize("name", ["adamw", "adam", "lion", "rmsprop", "sgd"])
def test_every_optimizer_learns(name):
    rate = {"lion": 1e-3, "sgd": 0.3}.get(name, 0.01)
    steps = StepRunner(MODEL, TRAIN.replace(optimizer=name))
    states = steps.model.zero_states(3)
    losses = [steps.train(batch_of(), states, step, rate, 0.0)[0] for step in range(20)]
    assert losses[-1] < losses[0]


def test_dropout_depends_on_seed_and_step_only():
    def loss(steps, seed, step):
        steps.seed = seed
        return steps.train(batch_of(), steps.model.zero_states(3), step, 0.0, 0.5)[0]

    one, other = StepRunner(MODEL, TRAIN), StepRunner(MODEL, TRAIN)
    assert loss(one, 1, 4) == loss(other, 1, 4) == loss(one, 1, 4)
    assert len({loss(one, 1, 4), loss(one, 1, 5), loss(one, 2, 4)}) == 3


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("penalty", [0.0, 5.0])
def test_the_gradient_is_that_of_loss_and_activation_penalty(shards, penalty):
    """SGD with learning rate 1 and no momentum yet subtracts the gradient."""
    settings = {"optimizer": "sgd", "clip_norm": 1e6, "streams": 4, "shards": shards}
    steps = StepRunner(MODEL, TRAIN.replace(activation_penalty=penalty, **settings))
    ids = np.random.default_rng(5).integers(1, 12, size=(4, 6)).astype(np.int32)
    batch = TrainingBatch(ids[:, :-1], ids[:, 1:], True, np.zeros(4, np.bool_))
    states = {name: state + 0.3 for name, state in steps.model.zero_states(4).items()}
    with tf.GradientTape() as tape:
        outputs, _ = steps.model.outputs(tf.transpose(batch.inputs), states)
        logits = steps.model.project(tf.reshape(outputs, [-1, MODEL.units]))
        targets = tf.reshape(tf.transpose(batch.targets), [-1])
        loss = tf.reduce_mean(
            tf.keras.losses.sparse_categorical_crossentropy(targets, logits, True)
        )
        changes = outputs[1:] - outputs[:-1]
        squares = tf.reduce_sum(outputs**2) + tf.reduce_sum(changes**2)
        objective = loss + penalty * squares / tf.cast(tf.size(outputs), tf.float32)
    expected = tape.gradient(objective, [v.value for v in steps.model.trainable_variables])
    before = [v.numpy() for v in steps.model.trainable_variables]
    found, _ = steps.train(batch, states, 0, 1.0, 0.0)
    assert found == pytest.approx(float(loss), abs=1e-6)  # without the penalty
    for first, variable, gradient in zip(
        before, steps.model.trainable_variables, expected, strict=True
    ):
        gradient = tf.convert_to_tensor(gradient).numpy()
        np.testing.assert_allclose(first - variable.numpy(), gradient, atol=2e-6)


def test_a_token_is_dropped_at_all_its_positions():
    """The embedding of a token is either zero in a step or scaled up."""
    dropout = network.Dropout(tf.constant(0.0), tf.constant([1, 2], tf.int64), tf.constant(0.4))
    kept = network.token_mask(2000, dropout).numpy()
    assert set(np.unique(kept)) == {0.0, np.float32(1 / 0.6)}
    assert kept.mean() == pytest.approx(1.0, abs=0.06)
    steps = StepRunner(MODEL, TRAIN)
    steps.model.embedding.embeddings.assign(np.ones((12, 6), np.float32))
    ids = tf.constant([[3, 4, 3, 4, 3]])
    zero = steps.model.zero_states(1)
    read = {
        tuple(np.round(float(tf.reduce_sum(after[f"h_{layer}"][0])), 5) for layer in range(2))
        for after in (
            steps.model.outputs(
                tf.transpose(ids)[:1],
                zero,
                dropout._replace(seed=tf.constant([1, n], tf.int64)),
            )[1]
            for n in range(20)
        )
    }
    assert len(read) == 2  # with the first token and without it


def test_recurrent_weights_are_dropped_for_a_whole_step():
    """The loss is that of a network with some recurrent weights zero and the others scaled up.

    Only the others have a gradient.
    """
    steps = StepRunner(MODEL, TRAIN.replace(recurrent_dropout=0.375, dropout=0.5))
    kernels = {v.path: v for v in steps.model.trainable_variables if "recurrent" in v.path}
    before = {path: kernel.numpy() for path, kernel in kernels.items()}
    ids, zero = tf.constant([[3, 4, 3, 4, 3]]), steps.model.zero_states(1)
    seed = tf.constant([1, 2], tf.int64)
    recurrent = network.Dropout(tf.constant(0.375), seed)
    dropout = network.Dropout(tf.constant(0.0), seed, recurrent=recurrent)
    with tf.GradientTape() as tape:
        found, _ = steps.model.outputs(tf.transpose(ids), zero, dropout)
        total = tf.reduce_sum(found**2)
    gradients = tape.gradient(total, [kernel.value for kernel in kernels.values()])
    kept = {}
    for (path, kernel), gradient in zip(kernels.items(), gradients, strict=True):
        kept[path] = tf.convert_to_tensor(gradient).numpy() != 0
        assert kept[path].mean() == pytest.approx(1 - 0.375, abs=0.1)
        kernel.assign(before[path] * kept[path] / (1 - 0.375))
    expected, _ = steps.model.outputs(tf.transpose(ids), zero)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len({mask.tobytes() for mask in kept.values()}) == len(kept)


@pytest.mark.parametrize("shards", [2, 3])
def test_all_shards_of_a_step_drop_the_same_recurrent_weights(shards):
    """So the step does not depend on the number of cores and processes."""
    # This output dropout is too small to drop anything.
    settings = {"dropout": 1e-3, "recurrent_dropout": 0.5}
    one, several = (after_steps(n, 6, **settings) for n in (1, shards))
    assert several[0] == pytest.approx(one[0], rel=1e-5)
    for name, weight in one[2].items():
        np.testing.assert_allclose(weight, several[2][name], rtol=1e-3, atol=1e-5)
    assert one[0] != pytest.approx(after_steps(1, 6, dropout=1e-3)[0], rel=1e-3)


def test_each_step_drops_other_recurrent_weights(monkeypatch):
    steps = StepRunner(MODEL, TRAIN.replace(recurrent_dropout=0.25, dropout=0.5))
    seeds = []
    monkeypatch.setattr(steps, "_train", lambda *given: (seeds.append(given[-1]), (0.0, []))[1])
    batch = TrainingBatch(*[np.zeros((2, 4), np.int32)] * 2, False, np.zeros(2, bool))
    for step in range(3):
        steps.train(batch, [], step, 1.0, 0.5)
    kernel = tf.ones([10, 40])
    masks = {network.dropped(kernel, seed.recurrent).numpy().tobytes() for seed in seeds}
    assert len(masks) == 3


def test_recurrent_dropout_rises_with_dropout(monkeypatch):
    steps = StepRunner(MODEL, TRAIN.replace(recurrent_dropout=0.25, dropout=0.5, token_dropout=0.1))
    seen = []
    monkeypatch.setattr(steps, "_train", lambda *given: (seen.append(given[-1]), (0.0, []))[1])
    batch = TrainingBatch(*[np.zeros((2, 4), np.int32)] * 2, False, np.zeros(2, bool))
    for rate in (0.0, 0.1, 0.5):
        steps.train(batch, [], 0, 1.0, rate)
    shares = [(float(d.rate), float(d.tokens), float(d.recurrent.rate)) for d in seen]
    np.testing.assert_allclose(shares, [(0, 0, 0), (0.1, 0.02, 0.05), (0.5, 0.1, 0.25)], atol=1e-7)


# Shards: the rows of a batch, split among CPU cores


def after_steps(shards, streams, model=MODEL, steps=6, dropout=0.0, **settings):
    """Take some steps with carried states; return losses, states and weights."""
    train = TRAIN.replace(streams=streams, shards=shards, dropout=dropout, **settings)
    taken = StepRunner(model, train)
    assert taken.shards == shards
    states, losses = taken.model.zero_states(streams), []
    for step in range(steps):
        ids = np.random.default_rng(step).integers(12, size=(streams, 6)).astype(np.int32)
        batch = TrainingBatch(ids[:, :-1], ids[:, 1:], step == 0, np.zeros(len(ids), np.bool_))
        loss, states = taken.train(batch, states, step, 0.01, dropout)
        losses.append(loss)
    return losses, {name: state.numpy() for name, state in states.items()}, weights_of(taken.model)


TIED = ModelConfig(vocab_size=12, embedding=10, units=10, layers=1, tied=True)


@pytest.mark.parametrize(
    ("shards", "streams", "model"),
    [
        *((2, 4, MODEL), (2, 5, MODEL), (3, 4, MODEL), (3, 7, MODEL), (3, 5, TIED)),
        *((2, 5, ATTENTIVE), (3, 7, ATTENTIVE)),
    ],
)
def test_shards_compute_what_one_shard_computes(shards, streams, model):
    losses, states, weights = after_steps(shards, streams, model)
    expected_losses, expected_states, expected_weights = after_steps(1, streams, model)
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    for name, ours in states.items():
        assert ours.shape[0] == streams
        np.testing.assert_allclose(ours, expected_states[name], rtol=1e-5, atol=1e-6)
    assert weights.keys() == expected_weights.keys()
    for name, weight in weights.items():
        np.testing.assert_allclose(weight, expected_weights[name], rtol=1e-5, atol=1e-6)


def test_two_shards_have_different_dropout_masks():
    """Two rows with the same text differ only by what is dropped."""
    steps = StepRunner(MODEL, TRAIN.replace(streams=2, shards=2))
    ids = np.tile(np.random.default_rng(0).integers(1, 12, 6), (2, 1)).astype(np.int32)
    batch = TrainingBatch(ids[:, :-1], ids[:, 1:], True, np.zeros(len(ids), np.bool_))
    _, after = steps.train(batch, steps.model.zero_states(2), 0, 0.0, 0.5)
    first, last = after["h_0"].numpy(), after["h_1"].numpy()
    np.testing.assert_allclose(first[0], first[1], atol=1e-6)  # before any dropout
    assert not np.allclose(last[0], last[1])


def test_a_step_in_shards_depends_on_seed_and_step_only():
    runs = [after_steps(2, 5, dropout=0.5, seed=seed) for seed in (1, 1, 2)]
    assert runs[0][0] == runs[1][0]
    assert runs[0][0] != runs[2][0]
    for name, weight in runs[0][2].items():
        np.testing.assert_array_equal(weight, runs[1][2][name])


@pytest.mark.parametrize("length", [2, 1025, 1600])
def test_validation_in_shards_equals_one_shard(length):
    """With one, two and three streams."""
    ids = np.random.default_rng(length).integers(12, size=length).astype(np.uint8)
    one, two, three = (StepRunner(MODEL, TRAIN.replace(shards=n)).validate(ids) for n in (1, 2, 3))
    assert two == pytest.approx(one, abs=1e-6)
    assert three == pytest.approx(one, abs=1e-6)


def on(monkeypatch, gpu):
    """Use the code path for a GPU or for a CPU, with stock layers in place of cuDNN."""
    for module in (lstm, network, step_module):
        monkeypatch.setattr(module, "gpu_visible", lambda: gpu)


@pytest.mark.parametrize("recurrent", [0.0, 0.3])
@pytest.mark.parametrize("marks", [0, 1, 4], ids=["no mark", "one mark", "several marks"])
def test_the_path_of_a_gpu_takes_the_same_steps(monkeypatch, marks, recurrent):
    """Documents start at the marks, where the states are reset."""
    batch = batch_of()
    inputs = np.maximum(batch.inputs, 1)
    inputs[[0, 1, 1, 2][:marks], [2, 0, 3, 4][:marks]] = END_OF_DOCUMENT
    batch = TrainingBatch(inputs, batch.targets, True, batch.begins)
    model = ModelConfig(vocab_size=12, embedding=16, units=10, layers=2)

    def after(gpu):
        on(monkeypatch, gpu)
        steps = StepRunner(model, TRAIN.replace(dropout=0.5, recurrent_dropout=recurrent))
        states = steps.model.zero_states(3)
        losses = []
        for step in range(3):
            loss, states = steps.train(batch, states, step, 0.01, 0.5)
            losses.append(loss)
        return losses, weights_of(steps.model), np.array(list(states.values()))

    losses, weights, states = after(gpu=True)
    expected_losses, expected, expected_states = after(gpu=False)
    assert losses == pytest.approx(expected_losses, rel=1e-4)
    np.testing.assert_allclose(states, expected_states, rtol=1e-3, atol=1e-4)
    for name, weight in weights.items():
        np.testing.assert_allclose(weight, expected[name], rtol=1e-3, atol=1e-4)


def test_the_path_of_a_gpu_carries_no_state_into_a_document(monkeypatch):
    on(monkeypatch, gpu=True)
    steps = StepRunner(MODEL, TRAIN)
    batch = batch_of()
    batch.inputs[:, 0] = END_OF_DOCUMENT
    states = {name: state + 0.5 for name, state in steps.zero_states().items()}
    loss, _ = steps.train(batch, states, 0, 0.0, 0.0)
    assert loss == pytest.approx(steps.train(batch, steps.zero_states(), 0, 0.0, 0.0)[0], abs=1e-6)


def test_the_path_of_a_gpu_learns_from_lines_as_a_cpu_does(monkeypatch, store_of_lines):
    store, tokenizer, _ = store_of_lines
    model = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=6, units=10, layers=2)
    streams = Streams(store.train, 4, 8, 1, np.zeros(tokenizer.vocab_size))

    def after(gpu):
        on(monkeypatch, gpu)
        steps = StepRunner(model, TRAIN.replace(streams=4, sequence_length=8))
        states, losses = steps.zero_states(), []
        for step in range(2 * streams.steps_per_epoch):
            loss, states = steps.train(streams.batch(step), states, step, 0.01, 0.0)
            losses.append(loss)
        return losses, steps.validate(store.valid)

    losses, valid_loss = after(gpu=True)
    expected, expected_valid_loss = after(gpu=False)
    assert losses == pytest.approx(expected, rel=1e-3)
    assert valid_loss == pytest.approx(expected_valid_loss, rel=1e-3)


@pytest.mark.parametrize("gpu", [True, False])
def test_the_validation_loss_of_lines_equals_that_of_score(monkeypatch, store_of_lines, gpu):
    store, tokenizer, lines = store_of_lines
    on(monkeypatch, gpu)
    model = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=6, units=10, layers=2)
    steps = StepRunner(model, TRAIN)
    for number, variable in enumerate(steps.model.trainable_variables):  # far from a uniform guess
        variable.assign(3 * tf.random.stateless_normal(variable.shape, [1, number]))
    engine = build_engine(model, weights_of(steps.model), precision="float32", threads=1)
    score = score_whole_documents(engine, tokenizer, lines)
    assert store.valid_tokens == score.tokens
    expected = -score.log_probability / score.tokens
    assert steps.validate(store.valid) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def store_of_lines(tmp_path_factory):
    """Return a store of names with its tokenizer and the lines of the validation split."""
    folder = tmp_path_factory.mktemp("lines")
    names = [f"{a}{b}{c}" for a in ("al", "be", "cor") for b in ("da", "mi") for c in "aeinoru"]
    (folder / "train.txt").write_text("\n".join(names))
    (folder / "valid.txt").write_text("\n".join(reversed(names)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLSTM_CACHE", str(folder / "cache"))
        corpus = CorpusConfig(
            addresses=(str(folder / "train.txt"),),
            valid=(str(folder / "valid.txt"),),
            division=LINES,
        )
        prepared = prepare(corpus, TokenizerConfig())
    return prepared.store, prepared.tokenizer, names[::-1]


def test_a_gpu_is_filled_by_the_whole_batch(monkeypatch):
    monkeypatch.setattr(step_module, "gpu_visible", lambda: True)
    assert StepRunner(MODEL, TRAIN.replace(shards=3)).shards == 1


def test_bfloat16_learns_as_float32_does():
    """300 steps on real text: the mean of the last fifty training losses agrees within 1%."""
    ids = np.minimum(np.frombuffer(real_text().encode(), np.uint8), 127)
    streams = Streams(ids, 8, 20, 1, np.zeros(128))
    model = ModelConfig(vocab_size=128, embedding=32, units=64, layers=2)

    def losses(precision):
        train = TRAIN.replace(streams=8, sequence_length=20, precision=precision)
        steps = StepRunner(model, train)
        states = steps.model.zero_states(8)
        for step in range(300):
            loss, states = steps.train(streams.batch(step), states, step, 5e-3, 0.1)
            yield loss

    exact, rounded = (np.mean(list(losses(p))[-50:]) for p in ("float32", "bfloat16"))
    assert exact < 2.5  # the model has learned something
    assert rounded == pytest.approx(exact, rel=0.01)
    assert rounded != exact


@pytest.mark.parametrize(
    ("threads", "shards", "expected"),
    [(2, 2, (2, 1)), (8, 3, (3, 2)), (1, 4, (1, 1)), (4, 1, (1, 4))],
)
def test_threads_are_divided_among_the_shards(monkeypatch, threads, shards, expected):
    given_out = {}
    threading = tf.config.threading
    for name in ("inter", "intra"):
        function = f"set_{name}_op_parallelism_threads"
        monkeypatch.setattr(threading, function, lambda n, name=name: given_out.update({name: n}))
    step_module.use_threads(threads, shards)
    assert (given_out["inter"], given_out["intra"]) == expected
