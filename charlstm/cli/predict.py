"""``charlstm predict``: the most likely next words of a text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.escapes import remedy
from charlstm.cli.kinds import Text
from charlstm.cli.line_ends import line_rules, one_line
from charlstm.cli.options import (
    OptionGroup,
    checkpoint_argument,
    grouped_command,
)
from charlstm.cli.output import note, write_json, write_text
from charlstm.cli.prompts import UnknownOnce, lines_of_stdin, note_long, stdin_prompt
from charlstm.cli.shares import show_share
from charlstm.corpus.encodings import without_mark
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel
    from charlstm.prediction.predictor import Prediction

_SPECIAL = {
    "end": "<end of document>",
    "unknown": "<unknown character>",
    "begin_spelling": "<start of spelling>",
    "end_spelling": "<end of spelling>",
}
# JSON has a key for each special token, which is true. For these two it differs from ``special``.
_KEYS = {"begin_spelling": "spelling", "end_spelling": "spelled"}

what = OptionGroup("Predictions")
output = OptionGroup("Output")


@grouped_command(
    "predict",
    "charlstm predict checkpoints/shakespeare 'to be or not to'",
    "charlstm predict checkpoints/shakespeare 'the kin' -k 20 | cut -f 2",
    "charlstm predict -p 'to be or not to'",
    "echo 'My lord' | charlstm predict checkpoints/shakespeare -",
)
@checkpoint_argument(required=False)
@click.argument("prompt", required=False, type=Text())
@what.text(
    "-p",
    "--prompt",
    "option",
    help="PROMPT as an option, so that CHECKPOINT can be omitted. With -, all of stdin is the "
    "prompt, without one newline at its end.",
)
@what.count(
    "-k",
    "--top",
    most=1000,
    default=5,
    help="Maximum number of predictions, per group if there are two.",
)
@what.count(
    "--words",
    most=50,
    default=1,
    help="Predict phrases of N words. Punctuation counts as a word.",
)
@what.flag("--words-only", help="Exclude punctuation and the end of the document.")
@what.flag("--tokens", help="Predict tokens instead of words.")
@output.json("Print one JSON object. Prompts read line by line always get one.")
@output.quiet()
@output.engine
def command(
    checkpoint: Path | None, prompt: str | None, option: str | None, **options: Any
) -> None:
    """Predict the words that follow PROMPT with CHECKPOINT, each with its probability.

    The last word of PROMPT may be incomplete. If it may also be complete, there are two groups:
    words that complete it and words that follow it. The group with the most likely word comes
    first. A space at the end of PROMPT marks the word as complete. An empty PROMPT starts a
    document.

    Without PROMPT, or with -, each line of stdin is a prompt and gets one line of JSON at once.

    With -p, CHECKPOINT defaults to $CHARLSTM_CHECKPOINT, or to the newest checkpoint in
    checkpoints/.
    """
    if options["tokens"] and (options["words"] > 1 or options["words_only"]):
        other = "--words-only" if options["words_only"] else "--words"
        raise UsageError(f"--tokens can't be combined with {other}.")
    if option is not None and prompt is not None:
        raise UsageError("PROMPT can't be combined with --prompt.")
    if checkpoint is None and option is None:
        raise UsageError(
            "CHECKPOINT is missing. Name one, or give the prompt with -p to use the newest "
            "checkpoint in checkpoints/."
        )
    lines = option is None and prompt in (None, "-")
    prompt = prompt if option is None else option
    if lines and sys.stdin is None:
        raise UsageError("stdin is closed. Pipe lines in, or give a prompt.")
    if prompt is None and sys.stdin.isatty():
        raise UsageError("PROMPT is missing. Give one, or - to type prompts line by line.")
    prompt = without_mark(prompt or "")

    from charlstm.api.model import load
    from charlstm.checkpoint.names import default_checkpoint

    checkpoint = checkpoint or default_checkpoint()
    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    if option == "-":
        prompt = stdin_prompt(model)
    answers = _Answers(model, options, hint="" if lines else remedy("", prompt))
    if lines:
        for line in lines_of_stdin(line_rules(model)):
            write_json(answers.to_json(line))
    elif options["as_json"]:
        write_json(answers.to_json(prompt))
    else:
        write_text("".join(_rows(answers.to(prompt))))


class _Answers:
    """Answers prompts, and warns of each unknown character once.

    Args:
        model: the model that predicts.
        options: the options of the command.
        hint: how to type the prompt with its escapes interpreted.
    """

    def __init__(self, model: LanguageModel, options: dict[str, Any], hint: str) -> None:
        self._model = model
        self._predictor = model.predictor()
        self._unknown = UnknownOnce(model, "the prompt", quiet=options["quiet"], hint=hint)
        self._options = options
        self._suggested_tokens = False
        self._noted = False

    def to(self, prompt: str) -> list[list[Prediction]]:
        """Return the predictions for a prompt, in groups."""
        if not self._options["quiet"]:
            self._unknown.check(prompt)
            from charlstm.prediction.prompt_cache import PROMPT_STEP

            self._noted = self._noted or note_long(self._model, [prompt], step=PROMPT_STEP)
        top = self._options["top"]
        if self._options["tokens"]:
            return [self._predictor.predict_tokens(prompt, top)]
        words, words_only = self._options["words"], self._options["words_only"]
        found = self._predictor.groups(prompt, top, words=words, words_only=words_only)
        if not (found or self._suggested_tokens):
            note("Note: the model almost never ends a word here. Use --tokens to predict tokens.")
            self._suggested_tokens = True
        return found

    def to_json(self, prompt: str) -> dict[str, Any]:
        """Return the predictions as an object to print."""
        predictions = [
            one.to_dict() | ({_KEYS.get(one.special, one.special): True} if one.special else {})
            for group in self.to(prompt)
            for one in group
        ]
        return {"prompt": prompt, "predictions": predictions}


def _rows(groups: list[list[Prediction]]) -> Iterator[str]:
    """Yield a row for each prediction, with the name of its group if there are two."""
    for group in groups:
        for one in group:
            kind = f"\t{one.kind}" if len(groups) > 1 else ""
            yield f"{show_share(one.probability)}\t{_shown(one)}{kind}\n"


def _shown(one: Prediction) -> str:
    """Return a prediction as one line of text, with control characters and backslashes escaped."""
    named = _SPECIAL[one.special] if one.special else ""
    text = one_line(one.text)
    return f"{text} {named}" if text and named else text or named
