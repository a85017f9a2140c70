"""Tests of ``corpus.encodings``: byte-order marks and guesses of an encoding."""

from __future__ import annotations

import codecs
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.corpus.documents import Corpus, open_corpus
from charlstm.corpus.encodings import decode_all, decoded_lines, guess_encoding, mark_of
from charlstm.corpus.notes import Notes
from charlstm.corpus.reading import Source, StreamSource, StringSource, spool_strings
from charlstm.errors import CorpusError, UsageError
from tests.corpus.test_reading import arriving
from tests.messages import raises_naming
from tests.texts import LINES, block_sizes, chunks_in_blocks, documents_of, message, read

UNICODE = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
MARKED = [("\ufeff" + "café\n" * 3).encode(encoding) for encoding in UNICODE]
TEXTS = {
    "German": "Der alte Müller saß am Fenster. Später fütterte er die Kühe. „Schön“, sagte er.\n",
    "German, short": "Grüße aus Köln\n",
    "French": "L'été dernier, les élèves allaient à la plage. C'était très agréable, ça va où ?\n",
    "Spanish": "El niño pequeño comía una manzana. ¿Qué pasó después? Mañana volverá el año.\n",
    "Portuguese": "A criança não comeu o pão porque estava à espera da mãe: ação, lições.\n",
    "Swedish": "Den gamle mannen gick långsamt över ån och började gråta.\n",
    "English": "“I don’t know,” she said. He didn’t answer – the fire had gone out — it’s late.\n",
    "English, one letter": "The little café at the corner was closed all day long.\n",
    "Polish": "Dawno temu żył sobie król, który miał trzy córki. Źle się dzieje, łódź płynęła.\n",
    "Czech": "Byl jednou jeden král a ten měl tři dcery. Příliš žluťoučký kůň úpěl ďábelské ódy.\n",
    "Hungarian": "Egyszer volt egy öreg király. Ennek három szép leánya volt. Őrült tűző nap.\n",
    "Turkish": "Bir zamanlar üç kızı olan bir padişah varmış. Şehirde herkes küçüğü tanırmış.\n",
    "Russian": "Все счастливые семьи похожи друг на друга, каждая несчастлива по-своему.\n",
    "Russian, capitals": "ПРИВЕТ МИР\n",
    "Ukrainian": "Колись давно жив собі король, і було в нього три дочки. Її любили всі люди.\n",
    "Greek": "Μια φορά και έναν καιρό ήταν ένας βασιλιάς που είχε τρεις κόρες.\n",
    "Hebrew": "היה היה פעם מלך שהיו לו שלוש בנות. הבת הצעירה הייתה היפה מכולן.\n",
    "Arabic": "كان يا ما كان في قديم الزمان ملك له ثلاث بنات. وكانت الصغرى أجملهن جميعا.\n",
    "Japanese": "吾輩は猫である。名前はまだ無い。どこで生れたか見当がつかぬ。ニャーニャー。\n",
    "Chinese": "从前有一个国王,他有三个女儿。最小的女儿最漂亮,大家都很喜欢她。她离开了家。\n",
    "Chinese, old": "從前有一個國王,他有三個女兒。最小的女兒最漂亮,大家都很喜歡她。她離開了家。\n",
    "Korean": "옛날 옛적에 세 딸을 둔 왕이 있었습니다. 막내딸이 가장 아름다웠고 사랑했습니다.\n",
    "Thai": "กาลครั้งหนึ่งนานมาแล้ว มีพระราชาองค์หนึ่งมีพระธิดาสามองค์\n",
}
WRITTEN = [
    *[("German", encoding) for encoding in ("cp1252", "mac-roman")],
    *[("German, short", encoding) for encoding in ("cp1252", "cp850")],
    *[("French", encoding) for encoding in ("cp1252", "cp850", "mac-roman")],
    *[("Spanish", encoding) for encoding in ("cp1252", "cp850")],
    *[(name, "cp1252") for name in ("Portuguese", "Swedish", "English", "English, one letter")],
    *[(name, "cp1250") for name in ("Polish", "Czech", "Hungarian")],
    *[(name, "iso8859-2") for name in ("Polish", "Czech")],
    ("Turkish", "cp1254"),
    *[("Russian", name) for name in ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic")],
    *[("Russian, capitals", encoding) for encoding in ("cp1251", "koi8-r")],
    ("Ukrainian", "cp1251"),
    ("Greek", "cp1253"),
    ("Hebrew", "cp1255"),
    ("Arabic", "cp1256"),
    *[("Japanese", encoding) for encoding in ("shift_jis", "euc-jp")],
    ("Chinese", "gb18030"),
    ("Chinese, old", "big5"),
    ("Korean", "euc-kr"),
    ("Thai", "cp874"),
]


# Marks


@given(
    st.text(st.sampled_from("aé\n\ufeff€\U0001f600"), max_size=12),
    block_sizes,
    st.sampled_from(UNICODE),
)
def test_a_mark_is_dropped_and_all_other_characters_are_text(folder, text, size, encoding):
    path = folder / "data.txt"
    path.write_bytes(("\ufeff" + text).encode(encoding))
    for named in ("utf-8", "auto", "utf-8-sig", encoding):
        corpus = Corpus((Source("data", path),), named)
        assert "".join(documents_of(chunks_in_blocks(corpus, size))) == text


@pytest.mark.parametrize("data", MARKED)
@pytest.mark.parametrize("named", ["utf-8", "UTF8", "utf-16", "utf-16-le", "utf-32-be", "auto"])
def test_a_mark_overrides_other_encodings_of_unicode(here, data, named):
    Path("a.txt").write_bytes(data)
    assert read("a.txt", encoding=named) == ["café\n" * 3]


@pytest.mark.parametrize("encoding", [*UNICODE, "gb18030"])
def test_a_mark_is_optional_in_the_named_encoding_and_is_dropped(here, encoding):
    for text in ("café au lait\n", "\ufeffcafé au lait\n"):
        Path("a.txt").write_bytes(text.encode(encoding))
        family = encoding.removesuffix("-le").removesuffix("-be")
        for named in (encoding, family):
            assert read("a.txt", encoding=named) == ["café au lait\n"]


def test_a_mark_of_utf_16_contradicts_other_encodings(here):
    Path("a.txt").write_bytes(MARKED[1])
    with raises_naming(CorpusError, "a.txt", "utf-16-le", "latin-1", "`encoding`"):
        read("a.txt", encoding="latin-1")


@pytest.mark.parametrize("data", MARKED)
def test_a_stream_may_have_a_mark_even_in_parts(data):
    for size in (1, 2, 3, 5, 100):
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        (found,) = arriving(*pieces)
        assert "".join(found) == "café\n" * 3
        source = StreamSource("stdin", Path("-"), io.BytesIO(data))
        (found,) = (list(blocks) for blocks in source.documents("auto", "strict"))
        assert "".join(found) == "café\n" * 3


def test_a_stream_does_not_wait_for_a_mark():
    assert arriving(b"a", b"\n", b"b\n") == [["a", "\n", "b\n"]]


def test_a_file_that_is_only_a_mark_is_empty(here):
    for encoding in UNICODE:
        Path("a.txt").write_bytes("\ufeff".encode(encoding))
        assert read("a.txt") == []


def test_each_file_in_a_folder_may_have_its_own_mark(here):
    for number, data in enumerate(MARKED):
        Path(f"{number}.txt").write_bytes(data)
        Path(f"{number}.gz").write_bytes(gzip.compress(data))
    assert read(".") == ["café\n" * 3] * 10
    assert read("*.txt", division=LINES) == ["café"] * 15


def test_a_mark_in_the_text_is_kept(here):
    Path("a.txt").write_bytes(MARKED[0])
    (blocks,) = Source("a", Path("a.txt")).documents("utf-8", "strict", legacy=True)
    assert "".join(blocks).startswith("\ufeffcafé")
    (blocks,) = StringSource("a", Path(), "\ufeffa").documents("", "strict", legacy=True)
    assert "".join(blocks) == "\ufeffa"
    Path("a.txt").write_bytes(MARKED[1])
    with pytest.raises(CorpusError):
        list(next(Source("a", Path("a.txt")).documents("utf-8", "strict", legacy=True)))


@given(
    st.sampled_from(["", "\ufeff", "\ufeff\ufeff", "%PDF-1.4\n1 0 obj", "\1\2\3\4" * 40]),
    st.text(st.sampled_from("aé\n\ufeff€\U0001f600"), max_size=12),
    block_sizes,
    st.sampled_from([*UNICODE, "utf-16", "utf-32", "utf-8-sig", "gb18030"]),
    st.sampled_from([*UNICODE, "utf-16", "utf-32", "utf-8-sig", "gb18030", "latin-1"]),
)
def test_legacy_decoding_is_that_of_python(folder, start, text, size, encoding, named):
    """Rules 1 leave byte-order marks to Python's decoders."""
    path = folder / "data.txt"
    path.write_bytes((start + text).encode(encoding))
    if b"\0" in path.read_bytes() and b"\0" not in "a".encode(named):
        return
    corpus = Corpus((Source("data", path),), named, "replace", legacy=True)
    try:
        decoder = codecs.getincrementaldecoder(named)("replace")
        expected = decoder.decode(path.read_bytes(), final=True)
    except UnicodeError:  # UTF-16 or UTF-32 without a mark
        with pytest.raises(CorpusError):
            chunks_in_blocks(corpus, size)
        return
    assert "".join(documents_of(chunks_in_blocks(corpus, size))) == expected
    assert corpus.notes.sentences == ()


def test_a_mark_is_dropped_from_strings():
    corpus = Corpus.of_texts(["\ufeffone", "two\ufeff", "\ufeff"])
    assert documents_of(corpus.chunks()) == ["one", "two\ufeff"]


def test_an_offset_counts_the_mark(here):
    Path("a.txt").write_bytes("\ufeffab".encode("utf-16-le") + b"\x00\xdc")
    with raises_naming(CorpusError, "utf-16-le", "offset 6"):
        read("a.txt")


# Prompts


@pytest.mark.parametrize("data", MARKED)
def test_a_whole_text_and_its_lines(data):
    assert decode_all(data, "it") == "café\n" * 3
    assert list(decoded_lines(io.BytesIO(data), "it")) == ["café\n"] * 3
    mark = mark_of(data, "utf-8").data
    assert list(decoded_lines(io.BytesIO(mark), "it")) == []


def test_lines_are_yielded_one_by_one():
    """A line of UTF-16 is yielded before the next line arrives."""

    class Waiting(io.BytesIO):
        def read1(self, size=-1):
            raise AssertionError("asked for more")

    assert next(decoded_lines(Waiting("\ufeffa\n".encode("utf-16-be")), "it")) == "a\n"


def test_lines_that_can_not_be_decoded(sentence):
    def lines(data):
        return list(decoded_lines(io.BytesIO(data), "standard input"))

    sentence(message(lines, b"ab\nM\xfcller\n"), "line 2", "0xfc", "offset 1", "iconv", "cp1252")
    sentence(message(lines, b"\xef\xbb\xbfa\xff\xff\n"), "line 1", "0xff", "offset 4", "iconv")
    sentence(message(lines, b"\xff\xfea\0\n\0a\0\0\xdc"), "utf-16-le", "offset 8", "iconv")
    sentence(message(lines, "Grüße, schöne Töne".encode() + b"\xff\n"), "0xff", "UTF-8", "iconv -c")


# Guesses


@pytest.mark.parametrize(("name", "encoding"), WRITTEN)
def test_the_encoding_of_a_language(name, encoding):
    for count in (1, 40):
        text = TEXTS[name] * count
        guess = guess_encoding(text.encode(encoding))
        assert text.encode(encoding).decode(guess) == text
        assert guess == encoding or name in ("German, short", "German", "Spanish", "French")


@pytest.mark.parametrize("encoding", UNICODE)
@pytest.mark.parametrize("name", TEXTS)
def test_unicode_without_a_mark(name, encoding):
    assert guess_encoding(TEXTS[name].encode(encoding)) == encoding


def test_damaged_utf_8_is_still_utf_8():
    for name, text in TEXTS.items():
        data = (text * 100).encode()
        assert guess_encoding(data[:-1] + b"\xe9\n" + data) == "utf-8", name


@pytest.mark.parametrize(
    "data", [b"", b"abc", b"\0\1\0\2", bytes(range(128, 256)) * 9, b"a\0b\xff"]
)
def test_bytes_for_which_no_encoding_is_likely(data):
    assert guess_encoding(data) is None


def test_an_error_says_what_the_text_looks_like(here, sentence):
    Path("a.txt").write_bytes(b"plain\n" * 10**5 + TEXTS["French"].encode("cp1252") * 9)
    sentence(message(read, "a.txt"), "a.txt", "0xe9", "utf-8", "`encoding` cp1252")
    Path("a.txt").write_bytes(TEXTS["Russian"].encode("koi8-r"))
    sentence(message(read, "a.txt", encoding="ascii"), "ascii", "`encoding` koi8-r")
    Path("a.txt").write_bytes(TEXTS["Russian"].encode())
    sentence(message(read, "a.txt", encoding="ascii"), "ascii", "`encoding` utf-8")
    Path("a.txt").write_bytes((TEXTS["French"] * 9).encode() + b"\xff")
    sentence(message(read, "a.txt"), "0xff", "utf-8", "nearly all", "`decode_errors` replace")
    Path("a.txt").write_bytes(bytes(range(0x80, 0x100)))
    sentence(message(read, "a.txt"), "0x80", "utf-8", "no encoding is likely", "`encoding`")
    Path("a.txt").write_bytes("plain text\n".encode("utf-16-le"))
    sentence(message(read, "a.txt"), "a.txt", "without a byte-order mark", "`encoding` utf-16-le")


@pytest.mark.parametrize(
    ("name", "encoding"), [*WRITTEN, ("French", "utf-8"), ("Greek", "utf-16-be")]
)
def test_auto_accepts_the_guess(here, name, encoding):
    Path("a.txt").write_bytes(TEXTS[name].encode(encoding))
    corpus = open_corpus(["a.txt"], encoding="auto")
    assert "".join(chunk.text for chunk in corpus.chunks()) == TEXTS[name]
    assert len(corpus.notes.sentences) == (encoding != "utf-8")
    assert all("a.txt" in sentence for sentence in corpus.notes.sentences)


def test_auto_guesses_for_each_file_of_a_folder(here):
    for name in ("French", "Russian", "Korean"):
        encoding = dict(WRITTEN)[name]
        Path(name).write_bytes(TEXTS[name].encode(encoding))
        Path(f"{name} 16").write_bytes(TEXTS[name].encode("utf-16-le"))
    names = ("French", "French", "Korean", "Korean", "Russian", "Russian")
    assert read(".", encoding="auto") == [TEXTS[name] for name in names]


def test_auto_fails_if_no_encoding_is_likely(here):
    Path("a.txt").write_bytes(bytes(range(0x80, 0x100)))
    with raises_naming(CorpusError, "a.txt", "no encoding is likely", "`encoding`"):
        read("a.txt", encoding="auto")


def test_auto_replaces_bad_bytes_in_utf_8(here):
    Path("a.txt").write_bytes(TEXTS["Greek"].encode() + b"\xff")
    assert read("a.txt", encoding="auto", decode_errors="replace") == [TEXTS["Greek"] + "\ufffd"]
    with raises_naming(CorpusError, "nearly all", "`decode_errors` replace"):
        read("a.txt", encoding="auto")


PLAIN = b"plain text\n" * 150_000
LATIN = "caf\xe9\n".encode("cp1252")


@pytest.mark.parametrize(
    "data",
    [
        PLAIN + "café é\n".encode() * 500 + PLAIN + LATIN + PLAIN,
        PLAIN + LATIN + PLAIN + "café é\n".encode() * 500,
        "“quoted”\n".encode() + PLAIN + LATIN,
        PLAIN + LATIN + PLAIN + "é".encode(),
        "ж\n".encode() * 9 + PLAIN[: 2**17] + LATIN * 9,
        PLAIN + "é".encode() * 9 + b" " * 2**18 + b"\xff" + b" " * 2**18,
    ],
    ids=["before", "after", "one before", "one after", "as many", "in one line"],
)
def test_text_with_utf_8_elsewhere_is_not_read_in_another_encoding(here, data):
    """At any distance from the undecodable byte, since all of that text would be wrong."""
    Path("a.txt").write_bytes(data)
    found = message(read, "a.txt", encoding="auto")
    assert all(
        part in found for part in ("not valid utf-8", "nearly all", "`decode_errors` replace")
    )
    assert "`encoding` utf" not in found
    assert "looks like" not in found
    (text,) = ["".join(read("a.txt", encoding="auto", decode_errors="replace"))]
    assert text == data.decode("utf-8", "replace")


def test_auto_gives_the_same_error_as_utf_8_for_nearly_valid_text(here, sentence):
    Path("a.txt").write_bytes("“quoted”\n".encode() + PLAIN + LATIN)
    sentence(message(read, "a.txt"), "0xe9", "utf-8", "nearly all", "`decode_errors` replace")
    (one, two) = (message(read, "a.txt", encoding=name) for name in ("utf-8", "auto"))
    assert one == two
    assert "`encoding` utf-8" in message(read, "a.txt", encoding="cp1252")


def test_auto_guesses_an_encoding_despite_utf_8_by_chance(here):
    text = "L'été à l'É» et le CAFÉ»\n" * 9
    Path("a.txt").write_bytes("CAFÉ»\n".encode("cp1252") + PLAIN + text.encode("cp1252"))
    found = "".join(read("a.txt", encoding="auto"))
    assert found == "CAFÉ»\n" + PLAIN.decode() + text


@pytest.mark.parametrize("data", [bytes(range(0x80, 0x100)), b"abc\xff\xfe\xfd\n" * 3])
def test_auto_replaces_bytes_if_no_encoding_is_likely(here, data):
    Path("a.txt").write_bytes(data)
    assert read("a.txt", encoding="auto", decode_errors="replace") == [
        data.decode("utf-8", "replace")
    ]


def test_auto_reads_a_stream_to_its_end_first():
    notes = Notes()
    stream = io.BytesIO(b"plain\n" + TEXTS["Russian"].encode("cp1251"))
    source = StreamSource("stdin", Path("-"), stream)
    (found,) = (list(blocks) for blocks in source.documents("auto", "strict", notes=notes))
    assert "".join(found) == "plain\n" + TEXTS["Russian"]
    assert len(notes.sentences) == 1


def test_missing_stdin_needs_no_encoding():
    with pytest.raises(UsageError):
        open_corpus(["-"], encoding="auto")


def test_a_mark_is_dropped_from_strings_to_train_on(tmp_path):
    spool_strings(["\ufeffone", "two\ufeff", "\ufeff"], tmp_path / "spool")
    corpus = open_corpus(["python-strings"], stdin=tmp_path / "spool")
    assert documents_of(corpus.chunks()) == ["one", "two\ufeff"]
    (source,) = corpus.sources
    kept = ["".join(text) for text in source.documents("utf-8", "strict", legacy=True)]
    assert kept == ["\ufeffone", "two\ufeff", "\ufeff"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "koi8-r", "shift_jis"])
def test_a_mark_of_utf_8_contradicts_other_encodings(tmp_path, encoding):
    path = tmp_path / "text.txt"
    path.write_bytes(codecs.BOM_UTF8 + "größer".encode())
    corpus = open_corpus([str(path)], encoding=encoding)
    with raises_naming(CorpusError, path, "mark of utf-8", encoding, "`encoding`"):
        list(corpus.chunks())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("text", ["a text without NUL bytes\n", "Grüße aus Köln an alle\n"])
def test_utf_8_is_not_read_as_utf_16(tmp_path, encoding, text):
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    with raises_naming(CorpusError, "looks like utf-8", encoding):
        read(str(path), encoding=encoding)


def test_utf_16_without_nul_bytes_is_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("从前有座山山里有座庙庙里有个老和尚", encoding="utf-16-le")
    assert "老和尚" in "".join(read(str(path), encoding="utf-16"))
