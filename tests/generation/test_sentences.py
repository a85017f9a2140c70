"""Tests of ``generation.sentences``: the ends of sentences in many scripts and languages."""

from __future__ import annotations

import itertools

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import SampleConfig, TokenizerConfig
from charlstm.generation import sentences
from charlstm.generation.beam import beam_search
from charlstm.generation.decoder import generate
from charlstm.generation.stopping import Endings
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.models import ScriptedEngine

UNTIL_SENTENCE = Endings(SampleConfig(until="sentence"))


def sentence_of(text, prompt=""):
    """Return the first sentence of a text that continues a prompt; ``None`` if it has no end."""
    found = UNTIL_SENTENCE.find(text, before=UNTIL_SENTENCE.start(prompt).before)
    return None if found is None else text[: found.cut]


def streamed(text, cuts, prompt=""):
    """Add a text in pieces. Return the text that was shown, and why it ended."""
    pending, shown = UNTIL_SENTENCE.start(prompt), ""
    for begin, end in itertools.pairwise([0, *cuts, len(text)]):
        more, pending, reason = UNTIL_SENTENCE.add(pending, text[begin:end], may_end=True)
        shown += more
        if reason is not None:
            return shown, reason
    return shown + pending.text, None


@pytest.mark.parametrize(
    ("sentence", "rest"),
    [
        # Other scripts
        ("مرحبا؟", " نعم"),
        ("یہ ہے۔", " وہ"),
        ("यह है।", " वह"),
        ("यह है॥", "वह"),
        ("ဒါပဲ။", "နောက်"),
        ("នេះ។", "នោះ"),
        ("ይህ ነው።", "እሱ"),
        ("Սա է։", " Նա"),
        ("བཀྲ་ཤིས།", "བདེ"),
        ("Τι κάνεις;", " Καλά"),
        ("ის წავიდა.", " შემდეგ"),
        ("봐.", " 이제"),
        ("行く!", "次"),
        ("行く?!", "次"),
        ("３．１４です。", "次"),
        ("これ．", "次"),
        ("他说。", "“好。”"),
        ("「行く！」", "次"),
        ("Great\u203c\ufe0f", " Then"),
        # Quotes, brackets, dashes and emphasis
        ("“One.”", " Two"),
        ("„Komm.“", " Er ging"),
        ("„Komm!“, sagte er.", " Dann"),
        ("«Oui.»", " Il"),
        ("« Oui. »", " Il"),
        ("«\u00a0Oui.\u00a0»", " Il"),
        ("»Ja.«", " Er"),
        ("»Ja.", " »Nein.« Er"),
        ('"Who?"', ' "Me."'),
        ('"Stop!" he said.', " Then"),
        ("— Иди! — сказал он.", " Потом"),
        ("He left (see below.)", " Then"),
        ("_Stop._", " Then"),
        ("¿Qué?", " ¡No"),
        # Abbreviations and initials
        ("Mr. Smith came.", " He left"),
        ("Dr. Who?", " Yes"),
        ("We ate, e.g. Apples.", " Then"),
        ("J. R. R. Tolkien wrote.", " He"),
        ("J.-P. Sartre wrote.", " He"),
        ("V. I. Lenin spoke.", " He"),
        ("So do I.", " Then"),
        ("Go if I can't.", " He"),
        ("The U.S. Army came.", " Then"),
        ("He is a Ph.D. student.", " Then"),
        ("Es war z. B. Anna.", " Dann"),
        ("Sr. García vino.", " Luego"),
        ("В 1848 г.", " Он умер"),
        ("г. Москва велик.", " Он"),
        ("डॉ. सिंह आए।", "फिर"),
        ("أ. محمد جاء.", " ثم"),
        ("Vi tvättar sig.", " Sedan"),
        ("Pears etc. and more.", " Then"),
        ("Pears etc.", " Then"),
        ("See No. 5 and Fig. 3.", " Then x"),
        ("No.", " He left"),
        ("Written by J.", "\n\nThe"),
        # Numbers, items and days
        ("It is 3.14 now.", " Two"),
        ("He was 19.", " Then he"),
        ("Am 3. Mai kam er.", " Dann"),
        ("Im 19. Jahrhundert war es.", " Dann"),
        ("1. Open the door.", " Then"),
        ("Buy:\n 2. Flour.", " Then"),
        ("See www.example.org.", " Then"),
        # The text after it
        ("Wait... what is it?", " Then"),
        ("Wait...", " What"),
        ("Wait… what?", " No"),
        ("Wow!Nice.", " Then"),
        ("For thee.\nand so.", " The"),
        ("For thee.", "\n\nand so"),
        # In a text without capitals, a lower-case letter can begin a sentence.
        ("i went home.", " then i slept."),
        ("i like e.g. tea.", " then"),
        ("the company said .", " it"),
        ("tea etc. and more.", " then"),
    ],
)
def test_a_sentence_ends_where_a_reader_says(sentence, rest):
    assert sentence_of(sentence + rest) == sentence
    assert streamed(sentence + rest, range(1, len(sentence + rest))) == (sentence, "until")


@pytest.mark.parametrize("text", ["One.", "One. ", "Mr. ", "Am 3. Ma", "一。", "One.\n", "Oui. »"])
def test_a_sentence_whose_end_is_not_yet_certain(text):
    assert sentence_of(text) is None


def test_every_sentence_terminal_of_unicode_ends_one():
    terminals = regex.findall(r"\p{Sentence_Terminal}", "".join(map(chr, range(0x20000))))
    assert len(terminals) > 150
    for terminal in terminals:
        assert sentence_of(f"Ab{terminal} Cd") == f"Ab{terminal}", hex(ord(terminal))


@pytest.mark.parametrize(
    ("prompt", "text", "sentence"),
    [
        ("It was Mr", ". Smith. He", ". Smith."),
        ("It was 3", ".14. He", ".14."),
        ("He", " said. then. He", " said. then."),
        ("he", " said. then. He", " said."),
        ("One.", " Two. Three", " Two."),
        ('"One.', '" Two. Three', '" Two.'),
        ("Was it Mr.", " X. Y? No", " X. Y?"),
    ],
)
def test_the_end_depends_on_the_prompt(prompt, text, sentence):
    assert sentence_of(text, prompt) == sentence
    assert streamed(text, range(1, len(text)), prompt) == (sentence, "until")


def test_samples_take_the_prompt_into_account():
    prompt, text = "It was Mr", ". Smith. He left"
    tokenizer = build_tokenizer([prompt + text], TokenizerConfig())
    config = SampleConfig(until="sentence", temperature=0.0)

    def engine():
        return ScriptedEngine(tokenizer.vocab_size, tokenizer.encode(text), 1 + len(prompt))

    (drawn,) = generate(engine(), tokenizer, [prompt], config, seed=1)
    (found,) = beam_search(engine(), tokenizer, prompt, config, beams=1)
    for sample in (drawn, found):
        assert (sample.text, sample.finish_reason) == (". Smith.", "until")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("One.", "One."),
        ("One. ", "One."),
        ("“One.”", "“One.”"),
        ("One. “", "One."),
        ("一。", "一。"),
        ("Mr. S", "Mr. S"),
        ("Am 3. Mär", "Am 3."),
        ("Am 3. Mai", "Am 3. Mai"),
        ("one", "one"),
    ],
)
def test_only_what_follows_an_end_is_held_back(text, shown):
    assert UNTIL_SENTENCE.add(UNTIL_SENTENCE.start(""), text, may_end=True)[0] == shown


PARTS = [
    *(
        "Mr",
        ".",
        ".",
        ".",
        "!",
        "?",
        "…",
        "。",
        " ",
        " ",
        "\n",
        "\r",
        "a",
        "A",
        "i",
        "I",
        "3",
        "12",
    ),
    *(
        "Mai",
        "Jahrhunder",
        "th",
        "etc",
        "No",
        "“",
        "”",
        "»",
        "«",
        "\u00a0",
        "-",
        "—",
        "'",
        "．",
        ";",
    ),
    *("α", "行", "S", ")", '"', "\u0301", "؟", "))))))))", " " * 8, "x" * 30, "....."),
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)


@given(TEXTS, TEXTS, st.data())
def test_the_pieces_of_a_text_make_no_difference(prompt, text, data):
    before = UNTIL_SENTENCE.start(prompt).before
    begins = (UNTIL_SENTENCE.find(text[:end], before=before) for end in range(len(text) + 1))
    expected = next((found for found in begins if found), None)
    assert UNTIL_SENTENCE.find(text, before=before) == expected
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    whole = (text, None) if expected is None else (text[: expected.cut], "until")
    assert streamed(text, cuts, prompt) == streamed(text, range(1, len(text)), prompt) == whole


def test_an_abbreviation_has_one_kind():
    kinds = (
        sentences._BEFORE_WORDS,
        sentences._TITLES.lower(),
        sentences._LAST,
        sentences._BEFORE_NUMBERS,
    )
    words = [word for kind in kinds for word in kind.split()]
    assert len(words) == len(set(words))
    assert all(1 < len(word) <= sentences._LONGEST_WORD for word in words)


def test_an_end_that_was_already_complete_does_not_count():
    text = "One. Two. Three"
    assert [UNTIL_SENTENCE.find(text, searched=n).cut for n in (0, 5, 6, 10)] == [4, 4, 9, 9]
    assert UNTIL_SENTENCE.find(text, searched=11) is None
