"""LSTM language models from the shell: train on your own text, generate, predict, score.

This module lists the public interface. It imports each name on first use, so that
``import charlstm`` takes a few milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from charlstm.version import __version__ as __version__

if TYPE_CHECKING:
    from charlstm.api import LanguageModel, load
    from charlstm.config import (
        CorpusConfig,
        ModelConfig,
        SampleConfig,
        TokenizerConfig,
        TrainConfig,
    )
    from charlstm.errors import CharlstmError
    from charlstm.evaluation.scoring import Score
    from charlstm.export import load_keras_model
    from charlstm.generation.samples import Sample
    from charlstm.prediction.predictor import Prediction
    from charlstm.train_api import TrainedModel, train
    from charlstm.training.observer import Observer, TrainingResult

__all__ = [
    "CharlstmError",
    "CorpusConfig",
    "LanguageModel",
    "ModelConfig",
    "Observer",
    "Prediction",
    "Sample",
    "SampleConfig",
    "Score",
    "TokenizerConfig",
    "TrainConfig",
    "TrainedModel",
    "TrainingResult",
    "load",
    "load_keras_model",
    "train",
]

_HOME = {
    "CharlstmError": "charlstm.errors",
    "CorpusConfig": "charlstm.config",
    "LanguageModel": "charlstm.api",
    "ModelConfig": "charlstm.config",
    "Observer": "charlstm.training.observer",
    "Prediction": "charlstm.prediction.predictor",
    "Sample": "charlstm.generation.samples",
    "SampleConfig": "charlstm.config",
    "Score": "charlstm.evaluation.scoring",
    "TokenizerConfig": "charlstm.config",
    "TrainConfig": "charlstm.config",
    "TrainedModel": "charlstm.train_api",
    "TrainingResult": "charlstm.training.observer",
    "load": "charlstm.api",
    "load_keras_model": "charlstm.export",
    "train": "charlstm.train_api",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'charlstm' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
