"""Word level on texts without white space: they validate, and no figure counts words."""

import json

import pytest

from charlstm.metrics import has_words
from tests.cli.helpers import TEXT, TINY

QUICK = [*TINY, "--sequence-length", "10", "--steps", "2", "--level", "word"]

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.mark.parametrize(
    "text", ["ACGT" * 5000 + "\n", "中文字。" * 300, '{"key":[12,"ab"]},' * 300], ids=len
)
def test_it_validates_and_tells_no_perplexity_of_words(charlstm, tmp_path, text):
    (tmp_path / "text.txt").write_text(text)
    result = charlstm("train", "text.txt", *QUICK, "--json", "-o", "model")
    assert result.status == 0, result.err
    told = json.loads(result.out)
    assert told["valid_loss"] > 0
    assert told["valid_word_perplexity"] is None
    assert "per token" in result.err
    assert "per word" not in result.err
    facts = json.loads(charlstm("info", "model", "--json").out)
    assert facts["figures"]["valid_word_perplexity"] is None
    assert len(text) // 20 < facts["provenance"]["valid_characters"] <= len(text) // 10 + 1
    assert "per token" in charlstm("info", "model").out
    assert "per whitespace-separated word" not in charlstm("info", "model").out
    options = ["text.txt", "--sample", 0, "-q"]
    assert (
        json.loads(charlstm("evaluate", "model", *options, "--json").out)["word_perplexity"] is None
    )
    table = charlstm("evaluate", "model", *options).out
    assert "perplexity, words       none, too little white space" in table


def test_a_text_with_white_space_has_it(charlstm, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    result = charlstm("train", "text.txt", *QUICK, "--json", "-o", "model")
    assert json.loads(result.out)["valid_word_perplexity"] > 1
    assert "per word" in result.err
    assert "per whitespace-separated word" in charlstm("info", "model").out


@pytest.mark.parametrize(
    ("characters", "words", "enough"),
    [(0, 0, False), (100, 0, False), (100, 20, True), (150, 10, True), (151, 10, False)],
)
def test_how_much_white_space_is_enough(characters, words, enough):
    assert has_words(characters, words) is enough
