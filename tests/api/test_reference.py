"""``docs/python-reference.md`` has the docstrings of the public names.

``make snapshots`` regenerates it.
"""

from __future__ import annotations

import inspect
import re
import typing
from pathlib import Path

import charlstm
from charlstm.errors import UsageError
from charlstm.evaluation.dynamic import DynamicFigures
from charlstm.evaluation.gap_metrics import GapFigures
from charlstm.evaluation.keystrokes import WordFigures
from charlstm.evaluation.memorization import Memorization, Overlap
from charlstm.evaluation.text_metrics import TextFigures
from charlstm.generation.options import TextLimits
from charlstm.generation.samples import SampledToken
from charlstm.prediction.filler import FilledText, Filling
from charlstm.tokenizer.tokens import ScoredToken

PAGE = Path(__file__).parents[2] / "docs" / "python-reference.md"
HEAD = """\
# Python reference

What [the Python interface](python.md) offers, from the docstrings of the package. This page is
generated: `make snapshots` updates it.
"""
METHODS = (
    *(
        "generate",
        "stream",
        "most_likely",
        "predict",
        "predictor",
        "fill",
        "filler",
        "score",
        "rank",
    ),
    *(
        "evaluate",
        "evaluate_words",
        "evaluate_gaps",
        "evaluate_dynamic",
        "memorization",
        "normalized",
    ),
)
PARTS = {
    "Functions": [charlstm.load, charlstm.train, charlstm.plot, charlstm.load_keras_model],
    "The model": [charlstm.LanguageModel, charlstm.TrainedModel],
    "Options": [TextLimits, charlstm.SampleOptions, charlstm.TextOptions, charlstm.TrainOptions],
    "Results": [
        *(charlstm.Sample, SampledToken, ScoredToken, charlstm.Prediction, FilledText, Filling),
        charlstm.Score,
        *(TextFigures, WordFigures, GapFigures, DynamicFigures, Memorization, Overlap),
        charlstm.TrainingResult,
    ],
    "Training": [charlstm.Observer],
    "Errors and warnings": [
        *(charlstm.CharlstmError, charlstm.CharlstmWarning, charlstm.UnknownCharacterWarning),
    ],
}
SECTIONS = ("Args", "Returns", "Yields", "Raises", "Attributes")


def signature(name: str, function: object) -> str:
    """Return a call with the names and defaults of its parameters, without annotations."""
    found = inspect.signature(function)
    given = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in found.parameters.values()
        if each.name != "self"
    ]
    call = f"{name}{found.replace(parameters=given, return_annotation=inspect.Signature.empty)}"
    call = call.replace("'", '"')
    if len(call) <= 88:
        return call
    lines, line = [], name + "("
    for part in re.split(r"(?<=,) ", call[len(name) + 1 :]):
        if len(line) + len(part) > 84:
            lines.append(line.rstrip())
            line = "    "
        line += part + " "
    return "\n".join([*lines, line.rstrip()])


def as_markdown(docstring: str) -> str:
    """Return a docstring with its sections as lists and its examples as code."""
    blocks = []
    for block in inspect.cleandoc(docstring).split("\n\n"):
        heading, _, rest = block.partition("\n")
        if heading.rstrip(":") in SECTIONS and heading.endswith(":"):
            blocks += [f"**{heading[:-1]}**", in_code("\n".join(entries(inspect.cleandoc(rest))))]
        elif block.lstrip().startswith(">>> "):
            code = re.sub(r"^ *(>>>|\.\.\.) ?", "", block, flags=re.M)
            blocks.append(f"```python\n{code}\n```")
        else:
            blocks.append(in_code(block))
    return "\n\n".join(blocks)


def in_code(text: str) -> str:
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def entries(text: str) -> list[str]:
    """Return "name: what it is" with indented lines below it as items of a list."""
    items = []
    for line in text.splitlines():
        if line.startswith(" ") or not re.match(r"\*{0,2}\w+: ", line):
            items.append(f"  {line.strip()}" if items else f"- {line.strip()}")
        else:
            name, what = line.split(": ", 1)
            items.append(f"- `{name}`: {what}")
    return items


def section(part: object) -> str:
    """Return a class or a function as a section of Markdown."""
    name = part.__name__
    is_public = name in charlstm.__all__
    shown = f"charlstm.{name}" if is_public else name
    blocks = [f"### {shown}"]
    if inspect.isfunction(part):
        blocks.append(f"```python\n{signature(shown, part)}\n```")
    blocks.append(as_markdown(inspect.getdoc(part)))
    if part is charlstm.TrainOptions:
        names = ", ".join(f"`{each}`" for each in typing.get_type_hints(part))
        blocks.append(f"Options: {names}.")
    if part is charlstm.LanguageModel:
        for method in METHODS:
            function = getattr(part, method)
            blocks.append(f"#### {method}")
            blocks.append(f"```python\n{signature(f'model.{method}', function)}\n```")
            blocks.append(as_markdown(inspect.getdoc(function)))
    if part is charlstm.Observer:
        for method, function in vars(part).items():
            if method.startswith(("on_", "should_")):
                blocks.append(f"#### {method}")
                blocks.append(f"```python\n{signature(method, function)}\n```")
                blocks.append(as_markdown(inspect.getdoc(function)))
    return "\n\n".join(blocks)


def test_the_reference_has_the_docstrings(updating):
    sections = [HEAD.rstrip("\n")]
    for title, parts in PARTS.items():
        sections += [f"## {title}", *map(section, parts)]
    text = "\n\n".join(sections) + "\n"
    if updating:
        PAGE.write_text(text, encoding="utf-8")
    assert text == PAGE.read_text(encoding="utf-8")


def test_every_public_function_and_method_is_in_the_reference():
    described = {part.__name__ for parts in PARTS.values() for part in parts}
    of_runs = {"CorpusConfig", "ModelConfig", "TokenizerConfig", "TrainConfig"}
    assert set(charlstm.__all__) - described == of_runs
    public = {name for name in dir(charlstm.LanguageModel) if not name.startswith("_")}
    assert public - set(METHODS) == {"texts_of", "tokenizer"}


def test_a_docstring_becomes_markdown():
    def load(path: str, *, threads: int | None = None) -> None:
        """Load a ``model``.

            >>> load("a")

        Args:
            path: where it is,
                or its name.
            threads: how many.

        Raises:
            UsageError: if not.
        """
        raise UsageError(path, threads)

    assert signature("x.load", load) == "x.load(path, *, threads=None)"
    assert as_markdown(load.__doc__).split("\n\n") == [
        "Load a `model`.",
        '```python\nload("a")\n```',
        "**Args**",
        "- `path`: where it is,\n  or its name.\n- `threads`: how many.",
        "**Raises**",
        "- `UsageError`: if not.",
    ]
