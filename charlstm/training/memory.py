"""Estimates how much memory a training run needs, before it starts."""

from __future__ import annotations

from charlstm.config import ModelConfig
from charlstm.system.hardware import ProductType

# Memory of a run in bytes: for TensorFlow and validation; for each weight, with its gradient and
# optimizer slots; for each unit of each layer and token of a step, by dtype of the matmuls; for
# each logit. Fitted to the peak memory of runs of all sizes.
BASE_MEMORY = 650e6
MEMORY_OF_WEIGHT = 56.0
MEMORY_OF_UNIT = {"float32": 60.0, "bfloat16": 38.0}
MEMORY_OF_LOGIT = 8.0


def memory_needed(model: ModelConfig, tokens_per_step: int, product_type: ProductType) -> float:
    """Return an estimate of the peak memory of a training run, in bytes.

    Args:
        model: the network.
        tokens_per_step: streams times sequence length.
        product_type: dtype of the matrix multiplications.
    """
    layers = model.layers + (1 if model.attention else 0)
    units = MEMORY_OF_UNIT[product_type] * layers * model.units
    token = units + MEMORY_OF_LOGIT * model.vocab_size
    network = MEMORY_OF_WEIGHT * model.parameters + token * tokens_per_step
    return BASE_MEMORY + model.networks * network
