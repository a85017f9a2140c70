"""Options for how a text is read, which several commands share, and checks of what was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from charlstm.cli.options import Decorator, Function, OptionGroup
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.training.options import TrainOptions


def level_option(group: OptionGroup) -> Decorator:
    """Return a decorator that adds ``--level``, which chooses the tokens of a model."""
    return group.choice(
        "--level",
        among=["char", "subword", "word"],
        default="char",
        help="Tokens of the model: characters, frequent pieces of words (subword), or words (rare "
        "ones are spelled). Pieces suit texts of 2 to 3 MB and more, characters all others.",
    )


def dividing_options(group: OptionGroup) -> Decorator:
    """Return a decorator that adds the options for what to read and where documents end."""

    def decorate(function: Function) -> Function:
        dedupe = group.flag("--dedupe", help="Skip documents that are identical to an earlier one.")
        function = table_options(group)(_folder_options(group)(dedupe(function)))
        delimiter = group.text(
            "--delimiter",
            help="Split files into documents at lines equal to TEXT, such as '====', '%' or "
            "'<|endoftext|>'.",
        )
        paragraphs = group.flag(
            "--paragraphs", help="Treat each paragraph as a document. Blank lines separate them."
        )
        lines = group.flag(
            "--lines",
            help="Treat each line as a document (names, titles, log lines), instead of each file.",
        )
        decorated: Function = lines(paragraphs(delimiter(function)))
        return decorated

    return decorate


def table_options(group: OptionGroup) -> Decorator:
    """Return a decorator that adds the options for how tables are read."""

    def decorate(function: Function) -> Function:
        columns = group.text(
            "--columns",
            multiple=True,
            metavar="NAMES",
            show_default="the column with text",
            help="Columns of a table that make a document, in this order, joined by tabs: "
            "title,body, or 2,3 in a table without a header row, or a.b in JSON.",
        )
        keep_breaks = group.flag(
            "--keep-breaks", help="Keep line breaks and tabs within cells, instead of spaces."
        )
        text_format = group.choice(
            "--format",
            among=["auto", "text", "csv", "tsv", "jsonl", "json"],
            default="auto",
            help="Format of the files. With auto, .csv, .tsv, .jsonl and .json files are tables. "
            "Each record of a table is a document.",
        )
        decorated: Function = columns(keep_breaks(text_format(function)))
        return decorated

    return decorate


def _folder_options(group: OptionGroup) -> Decorator:
    def decorate(function: Function) -> Function:
        include = group(
            "--include",
            multiple=True,
            metavar="GLOB",
            help="In folders, read only files that match a pattern such as '*.md' or 'posts/**'. "
            "Repeatable.",
        )
        exclude = group(
            "--exclude",
            multiple=True,
            metavar="GLOB",
            help="In folders, skip files and folders that match a pattern such as 'drafts'. "
            "Repeatable.",
        )
        decorated: Function = include(exclude(function))
        return decorated

    return decorate


def normalization_option(group: OptionGroup) -> Decorator:
    """Return a decorator that adds ``--normalize``, the Unicode form of a text."""
    return group.choice(
        "--normalize",
        among=["none", "nfc"],
        default="none",
        help="With nfc, convert the text to composed Unicode, so that ü is always one character. "
        "The model then converts every prompt and text that it reads.",
    )


def given_options(ctx: click.Context, *, besides: tuple[str, ...]) -> TrainOptions:
    """Return the options given on the command line, without those in ``besides``."""
    return {  # type: ignore[return-value]
        name: value
        for name, value in ctx.params.items()
        if name not in besides
        and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def check_given(ctx: click.Context, corpus: tuple[str, ...], options: TrainOptions) -> None:
    """Check that options don't contradict each other.

    Raises:
        UsageError: if they do, or no text is named.
    """
    from charlstm.training.options import check_options

    class CommandLine:
        """Writes options as on the command line."""

        output = ("-o", "-o FOLDER")

        def name(self, option: str) -> str:
            if option == "corpus":
                return "CORPUS"
            return next(p.opts[-1] for p in ctx.command.params if p.name == option)

        def setting(self, option: str, value: object) -> str:
            return self.name(option) if value is True else f"{self.name(option)} {value}"

    if "resume" not in options and not corpus:
        from charlstm.corpus.reading import ADDRESSES

        raise UsageError(f"CORPUS is missing. Give {ADDRESSES}.")
    check_options(options, has_corpus=bool(corpus), spelling=CommandLine())
