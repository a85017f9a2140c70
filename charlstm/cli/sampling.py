"""The options of sampling, in the order in which they are applied to the logits.

Defaults are those of ``SampleConfig``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.options import Function, Number, OptionGroup
from charlstm.config import SampleConfig

DEFAULTS = SampleConfig()

_HEADING = "Sampling (applied in this order; --temperature last)"
_option = OptionGroup(_HEADING)

if TYPE_CHECKING:
    _Pair = click.ParamType[tuple[str, float]]
else:
    _Pair = click.ParamType  # not generic before Click 8.4


class Bias(_Pair):
    """A text and the nats to add to the logits of tokens that complete it: ``TEXT=+2``."""

    name = "TEXT=NATS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Return the text and the number."""
        text, _, number = str(value).rpartition("=")
        try:
            added = float(number)
        except ValueError:
            added = None
        if not text or added is None:
            self.fail(f"{value!r} is no text with a number: write it like 'love=+2'.", param, ctx)
        return text, Number(-1e3, 1e3).convert(added, param, ctx)


def sampling_options(function: Function) -> Function:
    """Add the options of sampling."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), function)


def given_sampling_options(context: click.Context) -> list[str]:
    """Return the options of sampling that were given on the command line."""
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
    """Return the option of a field of ``SampleConfig``, with its default."""
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
        help="Add so many nats to the logit of every symbol that completes TEXT, like 'love=+2'; "
        "repeatable.",
    ),
    _option(
        "--ban",
        multiple=True,
        metavar="TEXT",
        help="Never write TEXT; repeatable.",
    ),
    _setting(
        Number(1),
        "X",
        "Make symbols of the window less likely; 1 is off, 1.2 helps words against loops.",
        "--repetition-penalty",
    ),
    _setting(
        Number(-1e3, 1e3),
        "NATS",
        "Subtract this from the logit of symbols in the window, once each; 0 is off.",
        "--presence-penalty",
    ),
    _setting(
        Number(-1e3, 1e3),
        "NATS",
        "Subtract this for each time that a symbol stands in the window; 0 is off.",
        "--frequency-penalty",
    ),
    _setting(
        click.IntRange(1, 65_536),
        "TOKENS",
        "How far back these three look.",
        "--repetition-window",
    ),
    _setting(
        Number(0),
        "NATS",
        "DRY: hold against symbols that go on with a repetition; 0 is off, 0.8 ends loops.",
        "--loop-penalty",
    ),
    _option(
        "--loop-length",
        type=click.IntRange(1),
        metavar="TOKENS",
        help="Repetitions of this length cost. Default: 20, for words 4.",
    ),
    _setting(
        Number(1, 1e3),
        "X",
        "The cost of a repetition grows so many times with each symbol more.",
        "--loop-base",
    ),
    _setting(
        click.IntRange(1, 65_536),
        "TOKENS",
        "How far back repetitions are looked for.",
        "--loop-window",
    ),
    _setting(
        click.IntRange(0),
        "N",
        "Draw from the N most likely symbols; 0 is off.",
        "--top-k",
    ),
    _setting(
        Number(0, 1, min_open=True),
        "P",
        "Draw from the symbols of nearest to expected surprise, of probability P; 1 is off.",
        "--typical",
    ),
    _setting(
        Number(0, 1, min_open=True),
        "P",
        "Draw from the most likely symbols that together have probability P; 1 is off.",
        "--top-p",
    ),
    _setting(
        Number(0, 1, max_open=True),
        "P",
        "Leave out symbols less likely than P times the most likely one; 0 is off.",
        "--min-p",
    ),
    _setting(
        Number(0),
        "BITS",
        "Hold the mean surprise of a symbol at so many bits (Mirostat 2); 0 is off. Try 1.5 "
        "for characters, 5 for words.",
        "--mirostat",
    ),
    _setting(
        Number(0, 1, min_open=True),
        "X",
        "How fast it corrects.",
        "--mirostat-rate",
    ),
    _setting(
        Number(0),
        "T",
        "Below 1 safer, above 1 wilder; 0 always takes the most likely symbol.",
        "-t",
        "--temperature",
    ),
)
