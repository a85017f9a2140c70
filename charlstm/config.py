"""Frozen, validated settings, which can be stored as JSON.

A setting that is out of range raises ``ConfigError`` when the configuration is built. Defaults that
depend on the text are chosen in ``training.plan``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from charlstm.errors import ConfigError
from charlstm.unicode_text import has_surrogates
from charlstm.validation import Config, quoted

Level = Literal["char", "subword", "word"]
Precision = Literal["auto", "float32", "bfloat16"]
Unit = Literal["sentence", "line", "paragraph", "document"]
# The version of the rules that divide text into words (see ``tokenizer.segmentation``).
Segmentation = Literal[1, 2]
SEGMENTATION: Segmentation = 2  # of new models; checkpoints of formats 1 to 3 use version 1
DocumentUnit = Literal["file", "line", "paragraph", "delimited", "record"]
TextFormat = Literal["auto", "text", "csv", "tsv", "jsonl", "json"]
Normalization = Literal["none", "nfc"]
# Where generated texts begin: at a document or, if the model has seen few documents, at a part.
Beginnings = Literal[
    "document", "paragraph", "line after a sentence", "line", "sentence", "word", "token"
]
Optimizer = Literal["adamw", "adam", "lion", "rmsprop", "sgd"]

# The optimizers with weight decay.
DECAYING: tuple[Optimizer, ...] = ("adamw", "lion")

# The optimizers that take ``beta_1`` and ``beta_2``.
ADAMS: tuple[Optimizer, ...] = ("adamw", "adam")

# Upper bounds are far beyond any use. They keep a hostile configuration from allocating terabytes.
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Window = Annotated[int, Meta(ge=1, le=65_536)]
Width = Annotated[int, Meta(ge=1, le=16_384)]
Depth = Annotated[int, Meta(ge=1, le=64)]
MOST_ATTENDED = 256  # a state has as many outputs
AttentionWindow = Annotated[int, Meta(ge=0, le=MOST_ATTENDED)]
VocabularySize = Annotated[int, Meta(ge=2, le=2**21)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Rate = Annotated[float, Meta(ge=0.0, lt=1.0)]
NonNegative = Annotated[float, Meta(ge=0.0, le=1e9)]
Positive = Annotated[float, Meta(gt=0.0, le=1e9)]
Penalty = Annotated[float, Meta(ge=-1e3, le=1e3)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]

# The minimum number of tokens in a validation text.
LEAST_VALID = 3

# The default of ``SampleConfig.loop_length``, the shortest repetition that is penalized, in tokens.
LOOP_LENGTH: dict[Level, int] = {"char": 20, "subword": 8, "word": 4}

# The maximum width of queries and keys.
WIDEST_KEY = 64

BUDGETS = ("epochs", "steps", "minutes")


def is_one_line(text: str) -> bool:
    """Return whether a line can equal a text: it is not empty and contains no line end."""
    return bool(text) and not {"\n", "\r"} & set(text)


class Division(Config, frozen=True, kw_only=True):
    r"""What a document is: a file, or a part of one.

    Attributes:
        unit: a file, a line, a paragraph (between blank lines), the text between two delimiters,
            or a record of a table. In a text that is not a table, a record is a line.
        delimiter: the line between two documents, if ``unit`` is ``"delimited"``.
        columns: the columns whose cells make up a document, by name or by number from 1. If empty,
            the column with text is found automatically. Only for tables.
        keep_breaks: whether line breaks and tabs in a cell are kept. Otherwise they become spaces.
        rules: the version of the rules. Version 1 is for checkpoints of formats 1 and 2: only "\n"
            ends a line, empty lines are documents, and a byte-order mark is text.
    """

    unit: DocumentUnit = "file"
    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    keep_breaks: bool = False
    rules: Annotated[int, Meta(ge=1, le=2)] = 2

    def check(self) -> None:
        """Check the delimiter, the columns, and that they fit the unit."""
        delimiter = self.delimiter
        if (delimiter is not None) != (self.unit == "delimited"):
            raise ConfigError(
                f"`delimiter` is {quoted(delimiter)} and `unit` is {self.unit!r}: a delimiter is "
                "needed for unit 'delimited' and only allowed there."
            )
        if delimiter is not None and not is_one_line(delimiter):
            raise ConfigError(
                f"`delimiter` is {quoted(delimiter)}: expected the text of one line. "
                "Use `paragraphs` to divide at blank lines."
            )
        if "" in self.columns or any(map(has_surrogates, self.columns)):
            raise ConfigError(
                f"`columns` is {quoted(self.columns)}: expected names or numbers of columns."
            )
        if (self.columns or self.keep_breaks) and self.unit not in ("file", "record"):
            name = "columns" if self.columns else "keep_breaks"
            raise ConfigError(f"`{name}` can't be combined with `unit` {self.unit!r}.")

    @property
    def are_lines(self) -> bool:
        """Whether each document is one line."""
        return self.unit == "line" or (self.unit == "record" and not self.keep_breaks)

    @property
    def within_files(self) -> bool:
        """Whether a file contains several documents, whose ends the model learns."""
        return self.unit != "file"


FILES = Division()


class CorpusConfig(Config, frozen=True, kw_only=True):
    """How a text is read, and which part of it is for validation.

    ``addresses`` and ``valid`` are files, folders and glob patterns. ``format`` applies to all
    files; ``auto`` recognizes tables by file name. ``include`` and ``exclude`` are patterns that
    select files in folders. With ``dedupe``, only the first of equal documents is read. A
    ``valid_fraction`` of 0 means no validation. If files are divided into documents, ``index``
    decides whether the checkpoint gets hashes of the training documents.
    """

    addresses: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    encoding: str = "utf-8"
    decode_errors: Literal["strict", "replace"] = "strict"
    format: TextFormat = "auto"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    dedupe: bool = False
    normalize: Normalization = "none"
    division: Division = FILES
    valid_fraction: Rate = 0.1
    seed: Seed = 1
    index: bool = True

    @property
    def validates(self) -> bool:
        """Whether there is a validation text."""
        return self.valid_fraction > 0 or bool(self.valid)

    def check(self) -> None:
        """Check that names and patterns are possible names of files and can be stored as JSON."""
        for name in ("addresses", "valid", "include", "exclude"):
            for address in getattr(self, name):
                given = quoted(address) if name == "addresses" else f"`{name}` {quoted(address)}"
                if "\0" in address:
                    raise ConfigError(f"{given}: file names can't contain a NUL character.")
                if has_surrogates(address):
                    remedy = "" if name in ("include", "exclude") else " Rename the file."
                    raise ConfigError(f"{given} is not valid UTF-8.{remedy}")


class TokenizerConfig(Config, frozen=True, kw_only=True):
    """How text is divided into tokens.

    Attributes:
        level: whether tokens are characters, pieces of words or words.
        vocab_size: the maximum number of words or pieces, besides characters. ``None`` takes a
            default.
        min_count: how often a word must occur to become a token, at word level.
    """

    level: Level = "char"
    vocab_size: Count | None = None
    min_count: Count = 2


class ModelConfig(Config, frozen=True, kw_only=True):
    """The network: an embedding, stacked LSTM layers and an output projection.

    If it is ``tied``, the output projection uses the weights of the embedding. With ``attention``,
    the top layer attends to its last outputs, at most this many. With ``shifted_keys``, the
    default since format 11, the key of an output is computed from the output before it. If it is
    ``bidirectional``, the model has a second network of the same sizes, which reads the text from
    its end.
    """

    vocab_size: VocabularySize
    embedding: Width = 128
    units: Width = 256
    layers: Depth = 2
    tied: bool = False
    attention: AttentionWindow = 0
    shifted_keys: bool = True
    bidirectional: bool = False

    def check(self) -> None:
        """Check the widths of a tied projection."""
        if self.tied and self.embedding != self.units:
            raise ConfigError(
                f"tied weights need equal widths: `embedding` is {self.embedding} and `units` is "
                f"{self.units}."
            )

    @property
    def parameters(self) -> int:
        """The number of weights of a network; a bidirectional model has two networks."""
        cells = sum(
            4 * self.units * (self.input_width(layer) + self.units + 1)
            for layer in range(self.layers)
        )
        attention = self.units * (2 * self.key_width + self.units) if self.attention else 0
        output = (1 if self.tied else self.units + 1) * self.vocab_size
        return self.vocab_size * self.embedding + cells + attention + output

    @property
    def networks(self) -> int:
        """The number of networks of the model."""
        return 2 if self.bidirectional else 1

    @property
    def key_width(self) -> int:
        """The width of the queries and keys of the attention."""
        return min(self.units, WIDEST_KEY)

    def input_width(self, layer: int) -> int:
        """Return the width of the input of LSTM layer ``layer``, counting from 0."""
        return self.embedding if layer == 0 else self.units


class TrainConfig(Config, frozen=True, kw_only=True):
    """How the network is trained. Exactly one of ``epochs``, ``steps`` and ``minutes`` is set.

    ``charlstm train --help`` explains the settings that have options. The defaults of ``beta_1``,
    ``beta_2``, ``token_dropout``, ``recurrent_dropout``, ``activation_penalty`` and ``averages``
    are for runs that were started before these settings existed. All kinds of dropout rise
    together. A run evaluates every ``eval_every`` steps, or as its minutes allow, and once more at
    step ``first_evaluation``. An evaluation reads at most ``validated`` tokens; ``None`` means all.
    """

    seed: Seed = 1
    epochs: Positive | None = None
    steps: Count | None = None
    minutes: Positive | None = None
    streams: Annotated[int, Meta(ge=1, le=65_536)] = 48
    sequence_length: Annotated[int, Meta(ge=1, le=65_536)] = 32
    optimizer: Optimizer = "adamw"
    learning_rate: Positive = 8e-3
    final_rate: Probability = 0.02
    warmup_steps: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 100
    weight_decay: NonNegative = 0.05
    beta_1: Rate = 0.9
    beta_2: Rate = 0.999
    clip_norm: Positive = 1.0
    dropout: Rate = 0.3
    dropout_ramp: NonNegative = 0.0
    token_dropout: Rate = 0.0
    recurrent_dropout: Rate = 0.0
    activation_penalty: NonNegative = 0.0
    averages: bool = False
    precision: Precision = "auto"
    shards: Annotated[int, Meta(ge=1, le=1024)] = msgspec.field(
        default=1, name="chains"
    )  # "chains" is the name on disk
    eval_every: Count | None = None
    patience: Count = 5
    sample_every: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 1
    save_every: Positive | None = None
    first_evaluation: Count | None = None
    validated: Count | None = None

    @property
    def drops_more(self) -> bool:
        """Whether tokens or recurrent weights are dropped too. No option sets these rates."""
        return bool(self.token_dropout or self.recurrent_dropout)

    def tokens_validated(self, valid_tokens: int) -> int:
        """Return how many tokens of a validation text are evaluated."""
        return min(valid_tokens, self.validated or valid_tokens)

    def check(self) -> None:
        """Check that there is exactly one budget."""
        budgets = [f"`{name}`" for name in BUDGETS if getattr(self, name) is not None]
        if not budgets:
            raise ConfigError("one of `epochs`, `steps` and `minutes` is required.")
        if len(budgets) > 1:
            given = f"{', '.join(budgets[:-1])} and {budgets[-1]}"
            raise ConfigError(f"{given} can't be combined.")


class SampleConfig(Config, frozen=True, kw_only=True):
    """How tokens are sampled, and when a sample ends.

    ``charlstm generate --help`` explains each setting. ``length``, ``min_length``, ``loop_length``
    and the windows are in tokens. Penalties are in nats, ``mirostat`` is in bits per token.
    """

    length: Count = 500
    temperature: NonNegative = 0.8
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    top_p: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    min_p: Rate = 0.02
    typical: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    mirostat: NonNegative = 0.0
    mirostat_rate: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.1
    repetition_penalty: Annotated[float, Meta(ge=1.0, le=1e3)] = 1.0
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    loop_penalty: NonNegative = 0.0
    loop_base: Annotated[float, Meta(ge=1.0, le=1e3)] = 1.75
    loop_length: Count | None = None
    loop_window: Window = 512
    repetition_window: Window = 64
    min_length: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    finished: bool = False
    stop: tuple[str, ...] = ()
    until: Unit | None = None
    ban: tuple[str, ...] = ()
    bias: tuple[tuple[str, Penalty], ...] = ()
    match: str | None = None

    def for_level(self, level: Level) -> SampleConfig:
        """Return the settings with the default of ``loop_length`` for a level."""
        if self.loop_length is not None:
            return self
        return self.replace(loop_length=LOOP_LENGTH[level])

    def with_texts(self, change: Callable[[str], str]) -> SampleConfig:
        """Return the settings with a function applied to each text in them."""
        return self.replace(
            stop=tuple(map(change, self.stop)),
            ban=tuple(map(change, self.ban)),
            bias=tuple((change(text), amount) for text, amount in self.bias),
            match=None if self.match is None else change(self.match),
        )

    def check(self) -> None:
        """Check that texts are not empty, and that settings don't contradict each other."""
        for name in ("stop", "ban", "bias"):
            texts = [text[0] if name == "bias" else text for text in getattr(self, name)]
            if "" in texts:
                raise ConfigError(f"`{name}` can't be an empty text.")
        if self.min_length > self.length:
            raise ConfigError(
                f"`min_length` ({self.min_length:,}) is greater than `length` ({self.length:,})."
            )
        for name in ("stop", "until", "min_length", "ban"):
            if self.match is not None and getattr(self, name):
                raise ConfigError(f"`{name}` can't be combined with `match`.")
