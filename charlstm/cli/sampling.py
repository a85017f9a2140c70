"""The options of sampling, in the order in which they are applied to the logits.

Their defaults come from ``SampleConfig``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.kinds import Count, Number
from charlstm.cli.locales import check_text
from charlstm.cli.misuse import BadValue, name_of
from charlstm.cli.options import Function, OptionGroup
from charlstm.config import SampleConfig

DEFAULTS = SampleConfig()

_HEADING = "Sampling (in the order of application)"
_option = OptionGroup(_HEADING)

if TYPE_CHECKING:
    _Pair = click.ParamType[tuple[str, float]]
else:
    _Pair = click.ParamType  # not generic before Click 8.4


class Bias(_Pair):
    """A text, and nats to add to the logit of each token that completes it: ``TEXT=+2``."""

    name = "TEXT=NATS"
    _range = Number(-1e3, 1e3)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Return the text and the number, or raise ``BadValue``."""
        check_text(name_of(param), str(value))
        text, _, number = str(value).rpartition("=")
        try:
            if text:
                return text, self._range.convert(number, param, ctx)
        except BadValue:
            pass
        expected = "a text, = and a number from -1,000 to 1,000, such as love=+2"
        raise BadValue(value, expected, param, ctx)


def sampling_options(function: Function) -> Function:
    """Add the options of sampling."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), function)


def given_sampling_options(context: click.Context) -> list[str]:
    """Return the sampling options that were given on the command line."""
    given = click.core.ParameterSource.COMMANDLINE
    return [
        parameter.opts[-1]
        for parameter in context.command.params
        if getattr(parameter, "heading", None) == _HEADING
        and context.get_parameter_source(parameter.name or "") is given
    ]


def _setting(
    kind: click.ParamType[Any], metavar: str, help_text: str, *flags: str
) -> Callable[[Any], Any]:
    """Return the option for a field of ``SampleConfig``, with its default."""
    return _option(
        *flags,
        type=kind,
        metavar=metavar,
        default=getattr(DEFAULTS, flags[-1].removeprefix("--").replace("-", "_")),
        show_default=True,
        help=help_text,
    )


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option(
        "--bias",
        type=Bias(),
        multiple=True,
        help="Add NATS to the logit of each token that completes TEXT, such as 'love=+2'. "
        "Repeatable.",
    ),
    _option.text(
        "--ban",
        multiple=True,
        help="Never generate TEXT. Repeatable.",
    ),
    _setting(
        Number(1),
        "X",
        "Make tokens in the window less likely. 1 is off, 1.2 keeps word-level models from loops.",
        "--repetition-penalty",
    ),
    _setting(
        Number(-1e3, 1e3),
        "NATS",
        "Subtract NATS once from the logit of each token in the window. 0 is off.",
        "--presence-penalty",
    ),
    _setting(
        Number(-1e3, 1e3),
        "NATS",
        "Subtract NATS for each time that a token occurs in the window. 0 is off.",
        "--frequency-penalty",
    ),
    _setting(
        Count(1, 65_536),
        "TOKENS",
        "Window of the three penalties above, in tokens.",
        "--repetition-window",
    ),
    _setting(
        Number(0),
        "NATS",
        "DRY penalty on tokens that continue a repetition. 0 is off, 0.8 ends loops.",
        "--loop-penalty",
    ),
    _option(
        "--loop-length",
        type=Count(1),
        metavar="TOKENS",
        show_default="20, or 4 for word-level models",
        help="Shortest repetition that DRY penalizes.",
    ),
    _setting(
        Number(1, 1e3),
        "X",
        "Factor by which the DRY penalty grows with each further token of a repetition.",
        "--loop-base",
    ),
    _setting(
        Count(1, 65_536),
        "TOKENS",
        "Window in which DRY looks for repetitions, in tokens.",
        "--loop-window",
    ),
    _setting(
        Count(0),
        "N",
        "Sample from the N most likely tokens. 0 is off.",
        "--top-k",
    ),
    _setting(
        Number(0, 1, min_open=True),
        "P",
        "Locally typical sampling: sample from the tokens with surprisal closest to the entropy, "
        "with total probability P. 1 is off.",
        "--typical",
    ),
    _setting(
        Number(0, 1, min_open=True),
        "P",
        "Nucleus sampling: sample from the most likely tokens with total probability P. 1 is off.",
        "--top-p",
    ),
    _setting(
        Number(0, 1, max_open=True),
        "P",
        "Exclude tokens less likely than P times the most likely one. 0 is off.",
        "--min-p",
    ),
    _setting(
        Number(0),
        "BITS",
        "Keep the mean surprisal of a token at BITS (Mirostat 2). 0 is off. Try 1.5 for "
        "character-level models, 5 for word-level models.",
        "--mirostat",
    ),
    _setting(
        Number(0, 1, min_open=True),
        "X",
        "Learning rate of Mirostat.",
        "--mirostat-rate",
    ),
    _setting(
        Number(0),
        "T",
        "Divide the logits by T. Lower is safer, higher is more varied. 0 always takes the most "
        "likely token.",
        "-t",
        "--temperature",
    ),
)
