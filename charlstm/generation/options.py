"""The options of generation as keyword arguments, and the configuration that they make.

The command line and the Python interface share their names, defaults and meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from charlstm.config import SampleConfig, Unit
from charlstm.errors import ConfigError
from charlstm.validation import checked, plain, quoted

# The default maximum length of a text that ends at a unit (``until``), in tokens.
UNTIL_LENGTH = 10_000

# Options that take several texts; one text alone counts as a list of one.
_TEXTS = ("stop", "ban")


class TextLimits(TypedDict, total=False):
    """Where a text ends and what it may contain. Beam search takes these options too.

    Attributes:
        length: the maximum number of tokens. By default 500, or 10,000 with ``until``.
        min_length: the minimum number of tokens. By default 0.
        stop: a text, or several, before which a sample ends.
        until: ends a sample at the end of its ``"sentence"``, ``"line"``, ``"paragraph"`` or
            ``"document"``.
        finished: whether to reject samples that ``length`` cuts off.
        match: a regular expression that prompt and text together match.
        ban: a text, or several, that never occur.
        bias: nats to add to the logits of the tokens that complete a text, such as
            ``{"love": 2.0}``. Pairs are accepted too.
    """

    length: int | None
    min_length: int
    stop: str | Iterable[str]
    until: Unit | None
    finished: bool
    match: str | None
    ban: str | Iterable[str]
    bias: Mapping[str, float] | Iterable[tuple[str, float]]


class SampleOptions(TextLimits, total=False):
    """All options of sampling: those of ``TextLimits``, and how the next token is chosen.

    They are applied to the logits in this order. Windows and ``loop_length`` are in tokens.

    Attributes:
        repetition_penalty: makes tokens in the window less likely (Keskar et al. 2019). By default
            1, which is off.
        presence_penalty: nats to subtract once from each token in the window. By default 0.
        frequency_penalty: nats to subtract for each time that a token occurs in the window. By
            default 0.
        repetition_window: the window of these three. By default 64.
        loop_penalty: DRY, nats to subtract from tokens that continue a repetition. By default 0,
            which is off; 0.8 ends loops.
        loop_length: the shortest repetition that DRY penalizes. By default 20 for characters, 8 for
            pieces and 4 for words.
        loop_base: the factor by which this penalty grows with each token. By default 1.75.
        loop_window: the window in which DRY looks for repetitions. By default 512.
        top_k: samples from this many most likely tokens. By default 0, which is off.
        typical: locally typical sampling (Meister et al. 2023), with this total probability. By
            default 1, which is off.
        top_p: nucleus sampling (Holtzman et al. 2020), with this total probability. By default 1,
            which is off.
        min_p: excludes tokens less likely than this share of the most likely one. By default 0.02.
        mirostat: the mean surprisal of a token in bits (Mirostat 2, Basu et al. 2021). By default
            0, which is off.
        mirostat_rate: the learning rate of Mirostat. By default 0.1.
        temperature: divides the logits. By default 0.8; 0 takes the most likely token.
    """

    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    repetition_window: int
    loop_penalty: float
    loop_length: int | None
    loop_base: float
    loop_window: int
    top_k: int
    typical: float
    top_p: float
    min_p: float
    mirostat: float
    mirostat_rate: float
    temperature: float


def sample_config(options: SampleOptions | TextLimits) -> SampleConfig:
    """Return the configuration for options. Those that are left out have their defaults.

    Raises:
        ConfigError: if an option is out of range, or options contradict each other.
    """
    given: dict[str, Any] = dict(options)
    for name in _TEXTS:
        if name in given:
            given[name] = _texts(name, given[name])
    if "bias" in given:
        given["bias"] = _biases(given["bias"])
    if given.get("length") is None:
        shortest = checked("min_length", given.get("min_length", 0), int)
        usual = UNTIL_LENGTH if given.get("until") else SampleConfig().length
        given["length"] = max(usual, shortest)
    return SampleConfig(**given)


def _texts(name: str, given: Any) -> tuple[str, ...]:
    texts = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"`{name}` is {quoted(given)}: expected a text or a list of texts.")
    return texts


def _biases(given: Any) -> tuple[tuple[str, float], ...]:
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        return tuple((text, plain(amount)) for text, amount in pairs)
    except (TypeError, ValueError):
        raise ConfigError(
            f"`bias` is {quoted(given)}: expected texts with nats, such as {{'love': 2.0}}."
        ) from None
