"""LSTM language models from the shell: train on your own text, generate, predict, score.

This module lists the public interface. It imports each name on first use, so that
``import charlstm`` takes a few milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from charlstm.version import __version__ as __version__

if TYPE_CHECKING:
    from charlstm.api.loaded import TextOptions
    from charlstm.api.model import LanguageModel, load
    from charlstm.api.training import TrainedModel, train
    from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig, TrainConfig
    from charlstm.curves import plot
    from charlstm.errors import CharlstmError, CharlstmWarning, UnknownCharacterWarning
    from charlstm.evaluation.scoring import Score
    from charlstm.export import load_keras_model
    from charlstm.generation.options import SampleOptions
    from charlstm.generation.samples import Sample
    from charlstm.prediction.predictor import Prediction
    from charlstm.training.observer import Observer, TrainingResult
    from charlstm.training.options import TrainOptions

__all__ = [
    "CharlstmError",
    "CharlstmWarning",
    "CorpusConfig",
    "LanguageModel",
    "ModelConfig",
    "Observer",
    "Prediction",
    "Sample",
    "SampleOptions",
    "Score",
    "TextOptions",
    "TokenizerConfig",
    "TrainConfig",
    "TrainOptions",
    "TrainedModel",
    "TrainingResult",
    "UnknownCharacterWarning",
    "load",
    "load_keras_model",
    "plot",
    "train",
]

_HOME = {
    "CharlstmError": "charlstm.errors",
    "CharlstmWarning": "charlstm.errors",
    "CorpusConfig": "charlstm.config",
    "LanguageModel": "charlstm.api.model",
    "ModelConfig": "charlstm.config",
    "Observer": "charlstm.training.observer",
    "Prediction": "charlstm.prediction.predictor",
    "Sample": "charlstm.generation.samples",
    "SampleOptions": "charlstm.generation.options",
    "Score": "charlstm.evaluation.scoring",
    "TextOptions": "charlstm.api.loaded",
    "TokenizerConfig": "charlstm.config",
    "TrainConfig": "charlstm.config",
    "TrainOptions": "charlstm.training.options",
    "TrainedModel": "charlstm.api.training",
    "TrainingResult": "charlstm.training.observer",
    "UnknownCharacterWarning": "charlstm.errors",
    "load": "charlstm.api.model",
    "load_keras_model": "charlstm.export",
    "plot": "charlstm.curves",
    "train": "charlstm.api.training",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'charlstm' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
