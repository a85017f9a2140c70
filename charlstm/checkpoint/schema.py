"""The files of a checkpoint, what each contains, and the version of their format.

    config.json         format version, all settings, provenance; written once
    tokenizer.json      the tokenizer; written once
    lines.safetensors   hashes of the lines, or of other documents within files; written once
    model.safetensors   the best weights; figures, hashes and a digest in its metadata
    history.jsonl       one line per evaluation
    resume.safetensors  the state from which a run resumes; removed when the run is finished
    stdin.txt           the text from a pipe or from strings; removed when the run is finished

Values that change together are in one file, and each file is written atomically. At any moment,
even after a crash, a reader therefore sees either the old or the new state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from charlstm.arrays import Weights
from charlstm.checkpoint.bounded import Natural
from charlstm.config import Beginnings, CorpusConfig, ModelConfig, TokenizerConfig, TrainConfig
from charlstm.errors import CheckpointTooNew, harmless
from charlstm.tokenizer.base import Tokenizer

# Increased with every change of the files, so that an older charlstm reports that it is too old,
# not that a file is damaged.
# Format 2: full addresses of the text are in the resume file, no longer in ``config.json``.
# Format 3: how the text is divided into documents (``Division``), and how texts start and end.
# Format 4: line hashes include the validation split; ``segmentation`` selects the rules for where
# word-level tokens end.
# Format 5: ``validated`` is the number of validation tokens that evaluations count, and
# ``first_evaluation`` the step of an early evaluation; settings of the optimizer and of a penalty;
# weights may be averages, which are also in the resume file.
# Format 6: subword level, with ``merges`` in the tokenizer; ``vocab_size`` may be null.
# Format 7: ``weights`` may be 8-bit.
# Format 8: texts have a ``format``, ``include``, ``exclude`` and ``dedupe``; for tables, divisions
# have ``columns`` and ``keep_breaks``.
# Format 9: training may have a ``recurrent_dropout``.
# Format 10: a network may have an ``attention``, and a model a second, backward network.
# Format 11: the keys of an attention may be shifted (``shifted_keys``), as all new ones are.
FORMAT = 11

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
MODEL = "model.safetensors"
HISTORY = "history.jsonl"
RESUME = "resume.safetensors"
STDIN_FILE = "stdin.txt"
LINES = "lines.safetensors"
FILES = (RESUME, MODEL, HISTORY, STDIN_FILE, CONFIG, TOKENIZER, LINES)

# Before the names of the weights of a backward network.
BACKWARD = "backward/"

Value = TypeVar("Value")

# How the weights of a finished model are stored (for ``int8`` see ``quantization``).
StoredWeights = Literal["float32", "int8"]

# Which documents have hashes in the index of lines: all, or those of the training text.
IndexCovers = Literal["all", "training"]


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The origin of a model: counts and hashes of its text, and when its run started.

    ``sources`` and ``parent`` are names for display, not paths (see ``sources.display_name``).
    ``beginnings`` is the unit at whose start texts begin. ``ends`` is whether the model has seen
    enough document ends to end a text. ``frequency_loss`` is the validation loss of plain token
    frequencies in nats per token. ``indexed`` and ``lines_sha256`` are the number of hashes in
    ``lines.safetensors`` and the hash of that file. ``index_covers`` is ``all`` if they include the
    validation split; models of earlier formats, and models fine-tuned from them, don't include it.
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
    beginnings: Beginnings = "document"
    ends: bool = True
    frequency_loss: float | None = None
    parent: str | None = None
    indexed: Natural = 0
    lines_sha256: str | None = None
    index_covers: IndexCovers | None = None


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of ``config.json``.

    The addresses of the text are shortened to names for display. The full addresses are in
    ``Progress`` (in format 1 they are here).
    """

    format: int
    charlstm: str
    corpus: CorpusConfig
    tokenizer: TokenizerConfig
    model: ModelConfig
    train: TrainConfig
    provenance: Provenance
    weights: StoredWeights = "float32"


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One evaluation. Losses are in nats per token; ``None`` before the first evaluation.

    Without validation, validation figures are always ``None``. The perplexity per word is ``None``
    if the text has almost no white space. Two losses are of the backward network, and ``None`` if
    there is none.
    """

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
    backward_train_loss: float | None = None
    backward_valid_loss: float | None = None


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that has been read and checked; ``sha256`` covers its weights and figures.

    ``backward`` are the weights of the network that reads text from its end; ``None`` if the model
    has no such network. All other attributes are about the forward network.
    """

    folder: Path
    config: RunConfig
    tokenizer: Tokenizer
    weights: Weights
    figures: Figures
    sha256: str
    backward: Weights | None = None

    def __repr__(self) -> str:
        return f"<Checkpoint {self.summary}>"

    @property
    def loss(self) -> float | None:
        """Validation loss, or training loss without validation, in nats per token."""
        figures = self.figures
        return figures.train_loss if figures.valid_loss is None else figures.valid_loss

    @property
    def has_learned_little(self) -> bool:
        """Whether plain token frequencies would predict the text better."""
        frequency_loss = self.config.provenance.frequency_loss
        return self.loss is not None and frequency_loss is not None and self.loss > frequency_loss

    @property
    def summary(self) -> str:
        """One line: folder, level, layers x units, and bits per character."""
        model, bits = self.config.model, self.figures.valid_bits_per_character
        reached = "not validated" if bits is None else f"{bits:.4f} bits per character"
        size = f"{model.layers}x{model.units}"
        return f"{harmless(str(self.folder))}: {self.config.tokenizer.level}, {size}, {reached}"


def check_format(version: int, folder: Path) -> None:
    """Check that this version of charlstm can read a format.

    Raises:
        CheckpointTooNew: if the format is later than ``FORMAT``.
    """
    if version > FORMAT:
        raise CheckpointTooNew(
            f"{folder}: checkpoint format {harmless(str(version), 40)}, but this charlstm reads "
            f"up to {FORMAT}. Upgrade charlstm."
        )


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a network by name, ``layer/weight`` as in stock Keras."""
    gates = 4 * config.units
    shapes: dict[str, tuple[int, ...]] = {
        "embedding/embeddings": (config.vocab_size, config.embedding)
    }
    for layer in range(config.layers):
        shapes[f"lstm_{layer}/kernel"] = (config.input_width(layer), gates)
        shapes[f"lstm_{layer}/recurrent_kernel"] = (config.units, gates)
        shapes[f"lstm_{layer}/bias"] = (gates,)
    if config.attention:
        for name in ("query", "key"):
            shapes[f"attention/{name}"] = (config.units, config.key_width)
        shapes["attention/output"] = (config.units, config.units)
    if not config.tied:
        shapes["output/kernel"] = (config.units, config.vocab_size)
    shapes["output/bias"] = (config.vocab_size,)
    return shapes


def joined(forward: Mapping[str, Value], backward: Mapping[str, Value] | None) -> dict[str, Value]:
    """Return the tensors of both networks, or of one, as ``model.safetensors`` names them."""
    named = {BACKWARD + name: value for name, value in (backward or {}).items()}
    return {**forward, **named}


def of_networks(config: ModelConfig, own: Mapping[str, Value]) -> dict[str, Value]:
    """Return a value for each tensor of all networks of a model, given those of one network."""
    return joined(own, own if config.bidirectional else None)


def by_network(tensors: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
    """Undo ``joined``: return the tensors of the forward and of the backward network."""
    backward = {name for name in tensors if name.startswith(BACKWARD)}
    return (
        {name: value for name, value in tensors.items() if name not in backward},
        {name.removeprefix(BACKWARD): tensors[name] for name in tensors if name in backward},
    )
