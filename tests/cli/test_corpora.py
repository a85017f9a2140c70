"""``charlstm corpora``: the catalog, fetched texts, and trainings on them."""

import hashlib
import json

import msgspec
import pytest

from charlstm.corpus import catalog as module
from charlstm.corpus.catalog import catalog
from tests.cli.helpers import TEXT
from tests.messages import assert_error


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """The catalog with one text, which is here."""
    monkeypatch.setenv(module.VARIABLE, str(tmp_path / "data"))
    data = TEXT.encode()
    entry = msgspec.structs.replace(
        catalog()[0], name="tale", file="tale.txt", bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(), address="http://127.0.0.1:9/tale.txt",
    )  # fmt: skip
    monkeypatch.setattr(module, "catalog", lambda: (entry, *catalog()))
    entry.path.parent.mkdir()
    entry.path.write_bytes(data)
    return entry


def test_the_list(charlstm, fetched):
    result = charlstm("corpora")
    assert (result.status, result.err) == (0, "")
    for entry in (fetched, *catalog()):
        assert entry.name in result.out
        assert entry.license in result.out
    assert f"charlstm train {fetched.name} {fetched.options}" in result.out
    listed = json.loads(charlstm("corpora", "--json").out)["corpora"]
    assert [each["fetched"] for each in listed] == [True] + [False] * len(catalog())
    assert listed[0]["path"] == str(fetched.path)


def test_fetching_what_is_here(charlstm, fetched):
    assert charlstm("corpora", "fetch", "tale").out == f"{fetched.path}\n"
    done = charlstm("corpora", "fetch", "tale", "--json")
    assert json.loads(done.out) == {"fetched": [str(fetched.path)]}


def test_names_of_the_catalog_are_texts(charlstm, fetched, here):
    assert charlstm("train", "tale", "--dry-run").status == 0
    facts = json.loads(charlstm("inspect", "tale", "--json").out)
    assert facts["characters"] == len(TEXT)
    (here / "tale").write_text("another text of a file\n" * 30)  # which comes first
    facts = json.loads(charlstm("inspect", "tale", "--json").out)
    assert facts["characters"] == len("another text of a file\n" * 30)


def test_what_can_not_be_fetched(charlstm, fetched):
    fetched.path.unlink()
    for arguments in (["corpora", "fetch", "tale"], ["train", "tale"], ["inspect", "tale"]):
        assert_error(charlstm(*arguments), 1, "tale", fetched.address, str(fetched.path))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["get", "names"], ["'get'", "charlstm corpora fetch NAME"]),
        (["fetch"], ["NAME", "missing", "names"]),
        (["fetch", "nothing"], ["nothing", "tinyshakespeare"]),
    ],
)
def test_mistakes(charlstm, arguments, parts):
    assert_error(charlstm("corpora", *arguments), 2, *parts)
