"""A run in words."""

import math

import pytest

from charlstm.cli.descriptions import (
    describe_dropout,
    describe_hardware,
    describe_names,
    describe_validated,
    show_perplexity,
)
from charlstm.config import TrainConfig
from charlstm.training.observer import Hardware


def test_what_training_runs_on_is_printed():
    assert describe_hardware(Hardware(0, "float32", 1)) == "CPU, float32 matrix multiplications"
    assert describe_hardware(Hardware(0, "bfloat16", 2)) == (
        "CPU, bfloat16 matrix multiplications, 2 workers"
    )


def test_a_gpu_is_printed_with_what_it_can_not_do_alone():
    own_loop = "cuDNN (own loop in batches where a document starts)"
    assert describe_hardware(Hardware(1, "float32", 1)) == f"GPU, {own_loop}"
    assert describe_hardware(Hardware(4, "float32", 2)) == f"4 GPUs, {own_loop}, 2 workers"


def test_of_many_files_the_first_are_named():
    assert describe_names(["a", "b", "c", "d"]) == "a, b, c, d"
    assert describe_names(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert describe_names([]) == ""


@pytest.mark.parametrize("value", [None, math.inf])
def test_a_perplexity_beyond_any_number_is_infinite(value):
    assert show_perplexity(value) == "infinite"


@pytest.mark.parametrize(
    ("value", "shown"), [(3.25, "3.2"), (12345.0, "12,345.0"), (2e6, "2.0e+06")]
)
def test_a_perplexity_is_shown_short(value, shown):
    assert show_perplexity(value) == shown


def test_dropout_is_a_number_or_a_ramp():
    train = TrainConfig(steps=1)
    assert describe_dropout(train.replace(dropout=0.3, dropout_ramp=0.0)) == "0.3"
    assert describe_dropout(train.replace(dropout=0.0, dropout_ramp=4.0)) == "0"
    assert describe_dropout(train.replace(dropout=0.3, dropout_ramp=4.0)) == "0 to 0.3 in 4 epochs"


@pytest.mark.parametrize(
    ("validated", "shown"),
    [(None, "7,200,000"), (10**8, "7,200,000"), (9000, "9,000 of 7,200,000")],
)
def test_a_part_that_validates_is_told_with_the_whole(validated, shown):
    train = TrainConfig(steps=1, validated=validated)
    assert describe_validated(train, 7_200_000) == shown
