"""Tests of ``corpus.sources``: the files that addresses name."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import pytest

from charlstm.checkpoint.schema import CONFIG, FILES, MODEL, TOKENIZER
from charlstm.corpus import sources
from charlstm.corpus.documents import open_corpus
from charlstm.corpus.reading import Source
from charlstm.corpus.sources import display_name, find_sources
from charlstm.errors import CorpusError, UsageError
from tests.texts import ADDRESS_KINDS, documents_of, message, read

# Addresses


@pytest.fixture
def tree(here):
    for name in ["b.txt", "a/z.txt", "a/b/c.md", "c.txt", ".hidden", ".git/config", "note[1].txt"]:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<{name}>")
    (here / "a" / "image.png").write_bytes(b"\x89PNG\0")
    (here / "a" / "tar.gz").write_bytes(gzip.compress(b"ustar\0"))
    (here / "a" / "gone.txt").symlink_to("nowhere")
    return here


def test_a_folder_names_its_visible_text_files_sorted_by_path(tree):
    assert read(".") == ["<a/b/c.md>", "<a/z.txt>", "<b.txt>", "<c.txt>", "<note[1].txt>"]
    assert read("a/") == ["<a/b/c.md>", "<a/z.txt>"]


def test_a_named_file_may_be_hidden(tree):
    assert read(".hidden", ".git") == ["<.hidden>", "<.git/config>"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["<b.txt>", "<c.txt>", "<note[1].txt>"]),
        ("[bc].txt", ["<b.txt>", "<c.txt>"]),
        ("note[1].txt", ["<note[1].txt>"]),
        ("*/z.*", ["<a/z.txt>"]),
        ("**/*.txt", ["<a/z.txt>", "<b.txt>", "<c.txt>", "<note[1].txt>"]),
        ("a/**/*.md", ["<a/b/c.md>"]),
        ("a/**/b/**/c.md", ["<a/b/c.md>"]),
        ("?/**/b/**", ["<a/b/c.md>"]),
        ("*", ["<b.txt>", "<c.txt>", "<note[1].txt>"]),
    ],
)
def test_a_pattern_names_the_files_that_match(tree, pattern, expected):
    assert read(pattern) == expected
    assert read(f"{tree}/{pattern}") == expected


def test_a_file_named_twice_counts_once(tree):
    (tree / "again.txt").symlink_to("b.txt")
    assert read("c.txt", "a/../b.txt", "*.txt", "again.txt") == [
        "<c.txt>",
        "<b.txt>",
        "<note[1].txt>",
    ]
    assert len(open_corpus(["python-docs", "python-docs"]).sources) == 1


def test_folders_that_link_to_each_other_are_read_once(tree):
    for number in range(3):
        (tree / "a" / "b" / f"loop{number}").symlink_to(tree)
    assert len(read(".")) == 5
    assert read("**/*.md") == ["<a/b/c.md>"]


def test_a_linked_folder_is_read(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "x.txt").write_text("<x>")
    (tree / "a" / "b" / "link").symlink_to(elsewhere)
    assert read("a") == ["<a/b/c.md>", "<x>", "<a/z.txt>"]


def test_addresses_that_name_nothing(tree, sentence):
    (tree / "empty").mkdir()
    (tree / "a.txt").touch()
    os.mkfifo(tree / "pipe")
    for address, named in (("nix", "nix"), ("", "''")):
        sentence(message(open_corpus, [address]), named, *ADDRESS_KINDS)
    sentence(message(open_corpus, ["*.x"]), "*.x", "no file matches")
    sentence(message(open_corpus, ["empty"]), "empty", "no text files")
    sentence(message(open_corpus, ["b.txt/c"]), "b.txt/c", "not a directory")
    sentence(message(open_corpus, ["x" * 300]), "x" * 300, "file name too long")
    sentence(message(open_corpus, ["pipe"]), "pipe", "regular file", "-")


def test_no_address(sentence):
    sentence(message(open_corpus, [], error=UsageError), *ADDRESS_KINDS)


def test_permission_denied(here, monkeypatch, sentence):
    """Root may read everything, so the error is simulated."""
    Path("a.txt").write_text("a")
    Path("inner").mkdir()
    Path("inner/b.txt").write_text("b")

    def refuse(path, *args, **options):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        sentence(message(read, "a.txt"), "a.txt", "permission denied")
        sentence(message(read, "inner"), "inner/b.txt", "permission denied")
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        sentence(message(read, "inner"), "inner", "permission denied")
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        sentence(message(read, "a.txt"), "a.txt", "permission denied")


def test_names_that_are_not_utf_8_can_be_shown(here):
    path = Path(os.fsdecode(b"caf\xe9.txt"))
    path.write_text("text")
    (source,) = open_corpus([str(path)]).sources
    assert source == Source("caf\\udce9.txt", path)


# Embedded corpus


def test_the_embedded_corpus_is_the_topics_in_order(here):
    from pydoc_data.topics import topics

    corpus = open_corpus(["python-docs"], encoding="utf-16")
    assert documents_of(corpus.chunks()) == [topics[name] for name in sorted(topics)]
    assert corpus.fingerprint().characters == sum(map(len, topics.values())) > 300_000


def test_a_file_with_its_name_takes_precedence_but_not_a_folder(here):
    Path("python-docs").mkdir()
    assert len(read("python-docs")) > 50
    Path("python-docs").rmdir()
    Path("python-docs").write_text("mine")
    assert read("python-docs") == ["mine"]


def test_a_python_without_its_documentation(monkeypatch, sentence):
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda _: None)
    sentence(message(open_corpus, ["python-docs"]), "python-docs", "missing")


# Hostile input


def test_a_pattern_with_many_stars_is_fast(tmp_path):
    """With backtracking, it would take longer than a lifetime."""
    folder = tmp_path.joinpath(*"abababababababababababababababababababab")
    folder.mkdir(parents=True)
    (folder / "x.txt").write_text("x")
    deep = f"{tmp_path}/" + "**/a/" * 15 + "**/b/**/nothing"
    with pytest.raises(CorpusError):
        find_sources(deep, "utf-8", None)
    found = find_sources(f"{tmp_path}/" + "**/a/" * 15 + "**/x.txt", "utf-8", None)
    assert [source.path for source in found] == [folder / "x.txt"]


@pytest.mark.parametrize(
    "name", [b"a\n.txt", b"\x1b[2J.txt", "\u202egpj.txt".encode(), b"\xff.txt"]
)
def test_names_are_escaped_in_messages(tmp_path, name):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    with open(path, "wb") as file:
        file.write(b"text")
    (source,) = find_sources(path, "utf-8", None)
    assert source.name.isprintable()
    assert str(source.path) == path


def test_deeply_nested_folders(tmp_path):
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        os.chdir(tmp_path)
        with pytest.raises(CorpusError) as caught:
            find_sources(str(tmp_path), "utf-8", None)
        assert str(caught.value).startswith(str(tmp_path))
    finally:
        os.chdir(tmp_path)
        subprocess.run(["rm", "-r", "d"], check=True)  # too deep for Python's own function
        os.chdir(here)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/urandom", "nowhere", "."])
def test_spooled_text_that_is_not_a_file(tmp_path, target, sentence):
    path = tmp_path / "stdin.txt"
    path.symlink_to(target)
    with pytest.raises(CorpusError) as caught:
        find_sources("-", "utf-8", path)
    sentence(caught.value, path, "regular file", "Restore")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/home/me/tale.txt", "tale.txt"),
        ("/home/me/texts/", "texts"),
        ("/home/me/**/*.txt", "*.txt"),
        ("../me/tale.txt", "tale.txt"),
        ("texts/one/tale.txt", "texts/one/tale.txt"),
        ("python-docs", "python-docs"),
        ("-", "-"),
        ("/", "/"),
        ("..", ".."),
    ],
)
def test_a_display_name_reveals_no_private_folder(address, shown):
    assert display_name(address) == shown


# Checkpoints


@pytest.fixture
def checkpoints(here):
    """Create a text and two checkpoints, the first of an interrupted run."""
    for folder, files in (("one", ["resume.safetensors", "stdin.txt"]), ("two", [MODEL])):
        for name in (CONFIG, TOKENIZER, *files):
            path = here / "checkpoints" / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
    (here / "a.txt").write_text("text")
    return here


def test_the_files_of_a_checkpoint_are_known():
    assert {*FILES} == sources.CHECKPOINT_FILES


@pytest.mark.parametrize(
    "address",
    [
        "checkpoints/one",
        "checkpoints/two/",
        "./checkpoints/two",
        "checkpoints/*",
        "checkpoints/t*",
        "checkpoints/**",
        "checkpoints/*/*",
        "checkpoints/one/*.txt",
    ],
)
def test_a_checkpoint_is_not_text(checkpoints, address, sentence):
    sentence(message(open_corpus, [address]), "checkpoints", "checkpoint", "not text")
    sentence(message(open_corpus, ["a.txt", address]), "checkpoints", "checkpoint")


def test_checkpoints_in_a_folder_are_skipped(checkpoints):
    for address in (".", "**"):
        corpus = open_corpus([address])
        assert [source.name for source in corpus.sources] == ["a.txt"]
        (note,) = corpus.notes.sentences
        assert all(part in note for part in ("7 files", "checkpoints/one/", "part of a checkpoint"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_legacy_choice_of_files(checkpoints, encoding):
    """The text of an old run must be found again: all files that do not begin with NUL bytes."""
    (checkpoints / "b.pdf").write_bytes(b"%PDF-1.4\n1 0 obj")
    (checkpoints / "c.txt").write_bytes("\ufeffmarked".encode("utf-16"))
    (checkpoints / "d.txt").write_bytes(b"a" * 2**13 + b"\0")
    (checkpoints / "e.txt").write_bytes(b"a" * (2**13 - 1) + b"\0")
    of_one, of_two = (
        [f"checkpoints/{folder}/{name}" for name in names]
        for folder, names in (
            ("one", ["config.json", "resume.safetensors", "stdin.txt", "tokenizer.json"]),
            ("two", ["config.json", "model.safetensors", "tokenizer.json"]),
        )
    )
    others = ["a.txt", "b.pdf", "c.txt", "d.txt", "e.txt"]
    with_nul = {"c.txt", "e.txt"} if encoding != "utf-16" else set()

    def found(address):
        corpus = open_corpus([address], encoding=encoding, legacy=True)
        return [source.name for source in corpus.sources]

    chosen = [name for name in others if name not in with_nul]
    assert found(".") == sorted([*chosen, *of_one, *of_two])
    assert found("**") == sorted([*others, *of_one, *of_two])
    assert found("checkpoints/two") == of_two
    assert found("checkpoints/*/*") == [*of_one, *of_two]


def test_files_with_these_names_elsewhere_are_text(here):
    Path("config.json").write_text("{}")
    Path("notes").mkdir()
    Path("notes/tokenizer.json").write_text("[]")
    assert read(".") == ["{}", "[]"]
    assert read("notes") == ["[]"]


def test_a_file_of_a_checkpoint_can_be_named(checkpoints):
    assert read("checkpoints/two/config.json") == ["{}"]
