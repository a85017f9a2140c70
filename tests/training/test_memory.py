"""The estimate of the memory is close to what runs have needed."""

import pytest

from charlstm.config import ModelConfig
from charlstm.training.memory import memory_needed


# Peak memory of runs of three steps, in MB.
@pytest.mark.parametrize(
    ("layers", "units", "embedding", "vocab_size", "tokens", "peak"),
    [
        (1, 128, 64, 67, 48 * 32, 665),
        (1, 128, 64, 67, 1024 * 128, 1419),
        (2, 512, 128, 67, 48 * 32, 947),
        (2, 512, 128, 67, 512 * 32, 1398),
        (2, 512, 128, 67, 128 * 256, 2289),
        (2, 256, 128, 67, 512 * 128, 1941),
        (3, 1024, 256, 67, 48 * 32, 1953),
        (3, 1024, 256, 67, 256 * 32, 2177),
        (2, 512, 512, 7_610, 16 * 32, 982),
        (2, 512, 512, 7_610, 256 * 32, 1514),
    ],
)
def test_the_estimate_is_close_to_what_runs_need(
    layers, units, embedding, vocab_size, tokens, peak
):
    sizes = {"layers": layers, "units": units, "embedding": embedding}
    model = ModelConfig(vocab_size=vocab_size, tied=embedding == units, **sizes)
    assert 0.9 < memory_needed(model, tokens, "bfloat16") / (peak * 1e6) < 1.35
