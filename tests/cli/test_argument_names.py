"""Tests of ``cli.argument_names``: arguments of the library are named as options."""

from __future__ import annotations

import pytest

from charlstm.cli.argument_names import as_typed


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`min_length` exceeds `length`.", "--min-length exceeds --length."),
        ("`from_checkpoint` keeps the network.", "--from keeps the network."),
        ("`output` holds a checkpoint.", "-o holds a checkpoint."),
        ("a name in `` or `A b` or 'length' stays", "a name in `` or `A b` or 'length' stays"),
    ],
)  # fmt: skip
def test_arguments_become_options(message, expected):
    assert as_typed(message) == expected


def test_an_error_of_the_library_names_the_option(charlstm):
    result = charlstm("generate", "english", "--min-length", 600, "-n", 5)
    assert result.status == 2
    assert "--min-length" in result.err
    assert "--length" in result.err
    assert "`" not in result.err
