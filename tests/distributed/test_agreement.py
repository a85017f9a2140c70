"""What workers must agree on before they train."""

import re
from dataclasses import replace

import msgspec
import pytest

from charlstm import __version__
from charlstm.checkpoint import folder, schema
from charlstm.distributed.agreement import Terms, agreed_terms, difference, fetched
from charlstm.distributed.peers import WorkerGroup
from charlstm.errors import CheckpointBusy, UsageError
from charlstm.training import run
from tests.distributed.helpers import ready, together


def test_workers_may_differ_in_settings_of_their_machine(tmp_path):
    (tmp_path / "other").mkdir()
    ours = ready(tmp_path / "other", shards=2, precision="bfloat16", save_every=3.0).config
    assert difference(ours, ready(tmp_path).config) == ""


def test_workers_may_not_differ_in_anything_else(tmp_path, sentence):
    chiefs = ready(tmp_path).config
    for changed, parts in (
        ({"seed": 2}, ["seed 2", "the chief has 1", "options"]),
        ({"units": 9}, ["network", "chief"]),
        ({"text": "other words to learn from\n" * 80}, ["text", "chief"]),
    ):
        ours = ready(tmp_path, **changed)
        sentence(difference(ours.config, chiefs), *parts)
    newer = msgspec.structs.replace(chiefs, charlstm="99")
    told = difference(newer, chiefs).replace(__version__, "OURS")
    sentence(told, "charlstm 99", "chief")


def agreed(runs):
    """Let workers with these runs agree; return what each of them has then, or its error."""

    def agree(group, index):
        own = runs[index]
        terms = Terms(own.config, str(own.folder), float(index), run._state(own))
        return agreed_terms(terms, group).began

    return together(len(runs), agree)


def test_workers_that_start_from_other_weights_are_refused(tmp_path, sentence):
    chiefs = ready(tmp_path)
    assert agreed([chiefs, chiefs]) == [0.0, 0.0]
    ours, other = (replace(chiefs, parent_sha256=digest) for digest in ("12", "34"))
    assert agreed([ours, ours]) == [0.0, 0.0]
    for error in agreed([ours, other]):
        assert isinstance(error, UsageError)
        assert str(error).startswith("worker 1 at 127.0.0.1:")
        sentence(re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", str(error)), "checkpoint", "chief")


@pytest.mark.parametrize("name", [schema.RESUME, schema.MODEL, schema.HISTORY])
def test_workers_that_resume_from_other_files_are_refused(tmp_path, sentence, name):
    """This happens if another process saves between the sending of the files and the reading."""
    runs = []
    for worker in "ab":
        (tmp_path / worker).mkdir()
        (tmp_path / worker / schema.RESUME).write_bytes(b"state")
        runs.append(replace(ready(tmp_path), folder=tmp_path / worker, resumes=True))
    assert agreed(runs) == [0.0, 0.0]
    (tmp_path / "b" / name).write_bytes(b"other")
    for error in agreed(runs):
        sentence(re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", str(error)), "checkpoint", "chief")


def test_files_that_another_process_is_writing_are_not_sent(tmp_path):
    def fetch(group, index):
        return fetched(tmp_path, group)

    with folder.lock_folder(tmp_path):
        busy, lost = together(2, fetch)
        assert fetched(tmp_path, WorkerGroup()) == tmp_path  # a single process sends nothing
    assert isinstance(busy, CheckpointBusy)
    assert "worker 0, the chief," in str(lost)
