"""Options for how a text is read, which several commands share, and what was given of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from charlstm.cli.options import Decorator, Function, OptionGroup
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.training.options import TrainOptions


def level_option(group: OptionGroup) -> Decorator:
    """Return a decorator that adds the level at which a text is learned."""
    return group.choice(
        "--level",
        among=["char", "subword", "word"],
        default="char",
        help="Predict characters, frequent pieces of words, or words (rare ones are spelled). "
        "Pieces suit texts of two or three megabytes and more; characters suit everything else.",
    )


def dividing_options(group: OptionGroup) -> Decorator:
    """Return a decorator that adds the options for what is read, and what a document is."""

    def decorate(function: Function) -> Function:
        dedupe = group.flag("--dedupe", help="Leave out documents that equal an earlier one.")
        function = table_options(group)(_folder_options(group)(dedupe(function)))
        delimiter = group(
            "--delimiter",
            metavar="TEXT",
            help="Lines that equal TEXT divide a file into documents: '====', '%', "
            "'<|endoftext|>'.",
        )
        paragraphs = group.flag(
            "--paragraphs", help="Each paragraph is a document; blank lines divide them."
        )
        lines = group.flag(
            "--lines",
            help="Each line is a document of its own (names, titles, log lines); default: each "
            "file is.",
        )
        decorated: Function = lines(paragraphs(delimiter(function)))
        return decorated

    return decorate


def table_options(group: OptionGroup) -> Decorator:
    """Return a decorator that adds the options for how tables are read."""

    def decorate(function: Function) -> Function:
        columns = group(
            "--columns",
            multiple=True,
            metavar="NAMES",
            help="Columns of a table that make a document, in this order, with tabs between them: "
            "title,body or, without a row of names, 2,3; in JSON also a.b. Default: the one that "
            "holds text.",
        )
        keep_breaks = group.flag(
            "--keep-breaks", help="Keep line breaks and tabs within a cell, which become spaces."
        )
        text_format = group.choice(
            "--format",
            among=["auto", "text", "csv", "tsv", "jsonl", "json"],
            default="auto",
            help="Format of the files; auto reads .csv, .tsv, .jsonl and .json as tables, of which "
            "each record is a document.",
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
            help="Of a folder, read only files like '*.md' or 'posts/**'; repeatable.",
        )
        exclude = group(
            "--exclude",
            multiple=True,
            metavar="GLOB",
            help="Of a folder, leave files or folders like 'drafts' out; repeatable.",
        )
        decorated: Function = include(exclude(function))
        return decorated

    return decorate


def normalization_option(group: OptionGroup) -> Decorator:
    """Return a decorator that adds the Unicode form of a text."""
    return group.choice(
        "--normalize",
        among=["none", "nfc"],
        default="none",
        help="nfc: compose letters and their accents, so that ü is one character however the text "
        "writes it. The model does the same with every prompt and text it is given.",
    )


def given_options(ctx: click.Context, *, besides: tuple[str, ...]) -> TrainOptions:
    """Return what was given on the command line, but for ``besides``."""
    return {  # type: ignore[return-value]
        name: value
        for name, value in ctx.params.items()
        if name not in besides
        and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def check_given(ctx: click.Context, corpus: tuple[str, ...], options: TrainOptions) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: if some do, or no text is named.
    """
    from charlstm.training.options import check_options

    class CommandLine:
        """Options as they are written on the command line."""

        output = ("-o", "-o FOLDER")

        def name(self, option: str) -> str:
            if option == "corpus":
                return "CORPUS"
            return next(p.opts[-1] for p in ctx.command.params if p.name == option)

        def setting(self, option: str, value: object) -> str:
            return self.name(option) if value is True else f"{self.name(option)} {value}"

    if "resume" not in options and not corpus:
        raise UsageError(
            f"no corpus is named: name files, folders, - for standard input, python-docs, or one "
            f"of charlstm corpora (see charlstm {ctx.info_name} --help)"
        )
    check_options(options, has_corpus=bool(corpus), spelling=CommandLine())
