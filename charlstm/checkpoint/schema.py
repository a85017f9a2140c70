"""The files of a checkpoint, what each contains, and the version of their format.

    config.json         format version, every setting, provenance; written once
    tokenizer.json      written once
    lines.safetensors   hashes of the training lines, where lines are documents; written once
    model.safetensors   the best weights; figures, hashes and a digest in its metadata
    history.jsonl       one line per evaluation
    resume.safetensors  all that a run needs to go on; removed when the run is finished
    stdin.txt           the text that came through a pipe, as long as the run may need it

What changes together is one file, and every file is written atomically, so that a reader or a
crash at any moment finds an old or a new state that is whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from charlstm.arrays import Weights
from charlstm.checkpoint.bounded import Natural
from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig, TrainConfig
from charlstm.errors import harmless
from charlstm.tokenizer.base import Tokenizer

# From the first release on, every change of what is written raises it: an older charlstm then says
# that it is too old, and not that a file is damaged.
# Format 2: the full addresses of the text stand in the resume file, no longer in ``config.json``.
FORMAT = 2

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
MODEL = "model.safetensors"
HISTORY = "history.jsonl"
RESUME = "resume.safetensors"
STDIN = "stdin.txt"
LINES = "lines.safetensors"
FILES = (RESUME, MODEL, HISTORY, STDIN, CONFIG, TOKENIZER, LINES)


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model comes from: its text, in numbers and hashes, and when it was begun.

    ``sources`` and ``parent`` are names to show, not paths (see ``addresses.display_name``).
    ``train_lines`` and ``lines_sha256`` tell how many hashes ``lines.safetensors`` holds and which.
    """

    corpus_sha256: str
    sources: tuple[str, ...]
    documents: Natural
    characters: Natural
    train_tokens: Natural
    valid_tokens: Natural
    valid_characters: Natural
    valid_words: Natural
    created: str
    parent: str | None = None
    train_lines: Natural = 0
    lines_sha256: str | None = None


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of ``config.json``.

    Of the text's addresses it holds what may be shown; those that the text is found by are in
    ``Progress``. In format 1 they are here.
    """

    format: int
    charlstm: str
    corpus: CorpusConfig
    tokenizer: TokenizerConfig
    model: ModelConfig
    train: TrainConfig
    provenance: Provenance


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One evaluation. Losses are nats per token; ``None`` before the first evaluation."""

    step: Natural
    epoch: float
    tokens: Natural
    seconds: float
    learning_rate: float
    train_loss: float | None = None
    valid_loss: float | None = None
    valid_bits_per_character: float | None = None
    valid_perplexity: float | None = None
    valid_word_perplexity: float | None = None


class Progress(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How far a run has come; with the tensors beside it, all it needs to go on.

    Attributes:
        step: steps taken.
        seconds: since the command began, over all its resumptions.
        first_step_at: of these, how many were over when the first step was done.
        done: the share of the budget that was used when the last step began.
        learning_rate: of the last step.
        train_loss_sum: of the steps since the last evaluation.
        train_loss_steps: how many those are.
        best: the figures of the weights that are kept.
        waited: evaluations since then.
        evaluation_seconds: how long the last one took.
        evaluated: the step of the last evaluation, 0 before the first; ``None`` in files that
            don't tell it, which were written only after an evaluation was complete.
        corpus: where the text is found; ``None`` in format 1, whose ``config.json`` tells.
    """

    step: Natural
    seconds: float
    first_step_at: float = 0.0
    done: float = 0.0
    learning_rate: float = 0.0
    train_loss_sum: float = 0.0
    train_loss_steps: Natural = 0
    best: Figures | None = None
    waited: Natural = 0
    evaluation_seconds: float = 0.0
    evaluated: Natural | None = None
    corpus: CorpusConfig | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read and found sound; ``sha256`` is of its weights and figures."""

    folder: Path
    config: RunConfig
    tokenizer: Tokenizer
    weights: Weights
    figures: Figures
    sha256: str

    def __repr__(self) -> str:
        return f"<Checkpoint {self.summary}>"

    @property
    def summary(self) -> str:
        """One line: the folder, the level, layers x units, and how well it predicts."""
        model, bits = self.config.model, self.figures.valid_bits_per_character
        reached = "not validated" if bits is None else f"{bits:.4f} bits per character"
        size = f"{model.layers}x{model.units}"
        return f"{harmless(str(self.folder))}: {self.config.tokenizer.level}, {size}, {reached}"


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight; names are ``layer/weight`` as in stock Keras."""
    gates = 4 * config.units
    shapes: dict[str, tuple[int, ...]] = {
        "embedding/embeddings": (config.vocab_size, config.embedding)
    }
    for layer in range(config.layers):
        shapes[f"lstm_{layer}/kernel"] = (config.input_width(layer), gates)
        shapes[f"lstm_{layer}/recurrent_kernel"] = (config.units, gates)
        shapes[f"lstm_{layer}/bias"] = (gates,)
    if not config.tied:
        shapes["output/kernel"] = (config.units, config.vocab_size)
    shapes["output/bias"] = (config.vocab_size,)
    return shapes
