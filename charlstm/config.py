"""Frozen, validated settings, to and from JSON.

A setting that is out of range raises ``ConfigError`` when the configuration is built. This module
knows the range of each setting; it does not know which values are good (``training.plan`` does) or
how they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from charlstm.errors import ConfigError, harmless
from charlstm.unicode_text import has_surrogates

Level = Literal["char", "subword", "word"]
Precision = Literal["auto", "float32", "bfloat16"]
Unit = Literal["sentence", "line", "paragraph", "document"]
# The rules by which text is divided into words (see ``tokenizer.segmentation``).
Segmentation = Literal[1, 2]
SEGMENTATION: Segmentation = 2  # those of new models; those of the formats 1 to 3 are 1
DocumentUnit = Literal["file", "line", "paragraph", "delimited", "record"]
TextFormat = Literal["auto", "text", "csv", "tsv", "jsonl", "json"]
Normalization = Literal["none", "nfc"]
# What texts begin as: documents, or where a model has seen few of these, parts of them.
Beginnings = Literal[
    "document", "paragraph", "line after a sentence", "line", "sentence", "word", "token"
]
Optimizer = Literal["adamw", "adam", "lion", "rmsprop", "sgd"]

# The optimizers that decay weights.
DECAYING: tuple[Optimizer, ...] = ("adamw", "lion")

# The optimizers that take ``beta_1`` and ``beta_2``.
ADAMS: tuple[Optimizer, ...] = ("adamw", "adam")

# Upper bounds are far beyond any use; they keep a hostile configuration from allocating terabytes.
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Window = Annotated[int, Meta(ge=1, le=65_536)]
Width = Annotated[int, Meta(ge=1, le=16_384)]
Depth = Annotated[int, Meta(ge=1, le=64)]
VocabularySize = Annotated[int, Meta(ge=2, le=2**21)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Rate = Annotated[float, Meta(ge=0.0, lt=1.0)]
NonNegative = Annotated[float, Meta(ge=0.0, le=1e9)]
Positive = Annotated[float, Meta(gt=0.0, le=1e9)]
Penalty = Annotated[float, Meta(ge=-1e3, le=1e3)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]

# The fewest tokens of a validation text.
LEAST_VALID = 3

# The default of ``SampleConfig.loop_length``: the shortest repetition that is penalized, in tokens.
LOOP_LENGTH: dict[Level, int] = {"char": 20, "subword": 8, "word": 4}

BUDGETS = ("epochs", "steps", "minutes")

ConfigType = TypeVar("ConfigType", bound="Config")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the configurations, which check every field against its annotation when built."""

    def __post_init__(self) -> None:
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            try:
                converted = msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                raise _out_of_range(field.name, value, str(error)) from None
            if isinstance(converted, tuple) and not isinstance(value, tuple):
                raise _out_of_range(field.name, value, "Expected a tuple")
        self.check()

    def check(self) -> None:
        """Check conditions on several fields or on parts of one.

        Raises:
            ConfigError: if fields contradict each other.
        """

    def replace(self: ConfigType, **changes: Any) -> ConfigType:
        """Return a copy with some fields changed, which is validated too."""
        return msgspec.structs.replace(self, **changes)


@cache
def _fields(kind: type[Config]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the fields of a configuration; cached, since evaluating annotations is slow."""
    return msgspec.structs.fields(kind)


def _out_of_range(name: str, value: Any, expected: str) -> ConfigError:
    expected = expected.replace("`", "")
    return ConfigError(f"`{name}` is {_quoted(value)}: {expected[0].lower()}{expected[1:]}")


def _quoted(value: Any) -> str:
    return harmless(repr(value), 200)


def is_one_line(text: str) -> bool:
    """Whether a line can equal a text: it is not empty and has no line end."""
    return bool(text) and not {"\n", "\r"} & set(text)


class Division(Config, frozen=True, kw_only=True):
    r"""What a document is: a file, or a part of one.

    Attributes:
        unit: a file, a line, a paragraph (between blank lines), what is between delimiters, or a
            record of a table. In a text that is no table, a record is a line.
        delimiter: the line between two documents, if they are delimited.
        columns: of tables, by name or by number from 1, those whose cells make a document; without
            any, the one that holds text.
        keep_breaks: whether line breaks and tabs within a cell stay; else they become spaces.
        rules: 2, or 1 for models of the formats 1 and 2, for which only "\n" ends a line, empty
            lines are documents, and a byte-order mark is text.
    """

    unit: DocumentUnit = "file"
    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    keep_breaks: bool = False
    rules: Annotated[int, Meta(ge=1, le=2)] = 2

    def check(self) -> None:
        """Check that there is a delimiter if one is needed, and that a line can equal it."""
        delimiter = self.delimiter
        if (delimiter is not None) != (self.unit == "delimited"):
            raise ConfigError(
                f"delimiter is {_quoted(delimiter)} and unit {self.unit}: a delimiter divides "
                f"delimited documents, and nothing else does"
            )
        if delimiter is not None and not is_one_line(delimiter):
            raise ConfigError(
                f"delimiter is {_quoted(delimiter)}: no line equals it; give the text of one line, "
                f"or divide by paragraphs"
            )
        if "" in self.columns or any(map(has_surrogates, self.columns)):
            raise ConfigError(f"columns is {_quoted(self.columns)}: no column has such a name")
        if (self.columns or self.keep_breaks) and self.unit not in ("file", "record"):
            raise ConfigError(
                f"columns is {_quoted(self.columns)} and unit {self.unit}: only tables have columns"
            )

    @property
    def are_lines(self) -> bool:
        """Whether each document is one line."""
        return self.unit == "line" or (self.unit == "record" and not self.keep_breaks)

    @property
    def within_files(self) -> bool:
        """Whether a file holds several documents, whose ends the model learns."""
        return self.unit != "file"


FILES = Division()


class CorpusConfig(Config, frozen=True, kw_only=True):
    """The text, and the part of it that validates.

    If files are divided into documents, ``index`` decides whether the checkpoint gets hashes of
    those of the training text. If ``valid_fraction`` is 0, nothing validates. ``format`` is that of
    all files; ``auto`` tells tables by their names. ``include`` and ``exclude`` are patterns that
    choose among the files of folders; with ``dedupe``, of equal documents only the first is read.
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
        """Whether any text validates."""
        return self.valid_fraction > 0 or bool(self.valid)

    def check(self) -> None:
        """Check that names and patterns can be stored as JSON and can be those of files."""
        for name in ("addresses", "valid", "include", "exclude"):
            for address in getattr(self, name):
                if "\0" in address:
                    raise ConfigError(
                        f"{name} is {_quoted(address)}: no file has a name with a NUL character; "
                        f"name a file, a folder or a pattern"
                    )
                if has_surrogates(address):
                    raise ConfigError(
                        f"{name} is {_quoted(address)}: a name that is not UTF-8 can't be "
                        f"recorded; rename the file, or name its folder"
                    )


class TokenizerConfig(Config, frozen=True, kw_only=True):
    """How text becomes tokens.

    Attributes:
        level: of what the tokens are.
        vocab_size: how many words or pieces there are, at most, besides characters; ``None`` takes
            a default.
        min_count: how often a word must occur, at word level.
    """

    level: Level = "char"
    vocab_size: Count | None = None
    min_count: Count = 2


class ModelConfig(Config, frozen=True, kw_only=True):
    """The network: embedding, stacked LSTM layers, output projection."""

    vocab_size: VocabularySize
    embedding: Width = 128
    units: Width = 256
    layers: Depth = 2
    tied: bool = False

    def check(self) -> None:
        """Check that a tied projection fits."""
        if self.tied and self.embedding != self.units:
            raise ConfigError(
                f"a tied output projection needs an embedding as wide as the layers, "
                f"got embedding {self.embedding} and units {self.units}"
            )

    @property
    def parameters(self) -> int:
        """The number of weights of the network."""
        cells = sum(
            4 * self.units * (self.input_width(layer) + self.units + 1)
            for layer in range(self.layers)
        )
        output = (1 if self.tied else self.units + 1) * self.vocab_size
        return self.vocab_size * self.embedding + cells + output

    def input_width(self, layer: int) -> int:
        """Return the width of the input of LSTM layer ``layer``, counted from 0."""
        return self.embedding if layer == 0 else self.units


class TrainConfig(Config, frozen=True, kw_only=True):
    """How the network is trained; exactly one of ``epochs``, ``steps`` and ``minutes`` is set.

    The defaults of ``beta_1``, ``beta_2``, ``token_dropout``, ``recurrent_dropout``,
    ``activation_penalty`` and ``averages`` are those of runs begun before there were such settings.
    All kinds of dropout rise together. Evaluations come every ``eval_every`` steps, or as the
    minutes allow; ``first_evaluation`` is the step of one more. They count ``validated`` tokens of
    a longer validation text, else all.
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
    )  # the name on disk
    eval_every: Count | None = None
    patience: Count = 5
    sample_every: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 1
    save_every: Positive | None = None
    first_evaluation: Count | None = None
    validated: Count | None = None

    @property
    def drops_more(self) -> bool:
        """Whether tokens or recurrent weights are dropped too, which no option asks for."""
        return bool(self.token_dropout or self.recurrent_dropout)

    def tokens_validated(self, valid_tokens: int) -> int:
        """Return how many tokens of a validation text evaluations count."""
        return min(valid_tokens, self.validated or valid_tokens)

    def check(self) -> None:
        """Check that there is exactly one budget."""
        budgets = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(budgets) != 1:
            given = " and ".join(budgets) or "none"
            raise ConfigError(f"give exactly one of epochs, steps and minutes, got {given}")


class SampleConfig(Config, frozen=True, kw_only=True):
    """How tokens are sampled, and when a sample ends."""

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
        """Return the settings with the defaults that depend on the level filled in."""
        if self.loop_length is not None:
            return self
        return self.replace(loop_length=LOOP_LENGTH[level])

    def with_texts(self, change: Callable[[str], str]) -> SampleConfig:
        """Return the settings with all texts in them changed."""
        return self.replace(
            stop=tuple(map(change, self.stop)),
            ban=tuple(map(change, self.ban)),
            bias=tuple((change(text), amount) for text, amount in self.bias),
            match=None if self.match is None else change(self.match),
        )

    def check(self) -> None:
        """Check that no text is empty and that no setting contradicts ``match``."""
        for name in ("stop", "ban", "bias"):
            texts = [text[0] if name == "bias" else text for text in getattr(self, name)]
            if "" in texts:
                raise ConfigError(
                    f"{name} is an empty text, which every text ends with: give at least one "
                    "character"
                )
        if self.min_length > self.length:
            raise ConfigError(
                f"`min_length` ({self.min_length:,}) is greater than `length` ({self.length:,})"
            )
        for name in ("stop", "until", "min_length", "ban"):
            if self.match is not None and getattr(self, name):
                raise ConfigError(
                    f"{name} and match contradict each other: write the pattern so that it says "
                    f"what {name} is to do, or leave match out"
                )
