"""``charlstm rank``: groups come back in their layout, the most probable first."""

import json
import select
import subprocess
import sys

import pytest

import charlstm as package
from tests.cli.helpers import TEXT
from tests.messages import assert_error, assert_warning

KEYS = [
    "text", "characters", "tokens", "unknown", "log_probability", "bits_per_character",
    "nats_per_token",
    "perplexity",
]  # fmt: skip


def ranked(charlstm, checkpoint, *options, stdin):
    result = charlstm("rank", checkpoint, *options, stdin=stdin)
    assert (result.status, result.err) == (0, "")
    return result.out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("teh fox\tthe fox\n", "the fox\tteh fox\n"),
        ("teh\tthe\nfxo\tfox\n", "the\tteh\nfox\tfxo\n"),
        ("teh fox\nthe fox\n", "the fox\nteh fox\n"),
        ("teh\nthe\n\nfxo\nfox", "the\nteh\n\nfox\nfxo\n"),
        ("\n\nteh\nthe\n\n\n\nfxo\nfox\n\n", "the\nteh\n\nfox\nfxo\n"),
        ("teh\nthe\nfxo\tfox\nlzay\nlazy\n", "the\nteh\n\nfox\tfxo\n\nlazy\nlzay\n"),
        ("teh\r\nthe\r\n\r\nfxo\r\nfox\r\n", "the\nteh\n\nfox\nfxo\n"),
        ("the\n", "the\n"),
        ("", ""),
    ],
)
def test_groups_keep_their_layout(charlstm, prose, given, expected):
    assert ranked(charlstm, prose, stdin=given.encode()) == expected


def test_the_layout_can_be_told(charlstm, prose):
    lines = b"the\nteh\tthe\n\nfox\n"
    out = ranked(charlstm, prose, "--layout", "tabs", stdin=lines)
    assert out == "the\nthe\tteh\n\nfox\n"
    blocks = ranked(charlstm, prose, "--layout", "blocks", stdin=b"the\tfox\nthe lazy\n\nteh\t\n")
    assert blocks == "the lazy\nthe\tfox\n\nteh\t\n"


def test_json_gives_the_figures_of_a_group(charlstm, prose):
    out = ranked(charlstm, prose, "--json", stdin=b"teh\tthe\tthe\nfxo\nfox\n")
    first, second = map(json.loads, out.splitlines())
    assert [list(group) for group in (first, second)] == [["group", "alternatives"]] * 2
    assert [first["group"], second["group"]] == [1, 2]
    assert [a["text"] for a in first["alternatives"]] == ["the", "the", "teh"]
    assert [a["text"] for a in second["alternatives"]] == ["fox", "fxo"]
    assert all(list(alternative) == KEYS for alternative in first["alternatives"])
    scores = package.load(prose).score("the", "the", "teh")
    found = [alternative["log_probability"] for alternative in first["alternatives"]]
    assert found == [score.log_probability for score in scores]


def test_best_prints_the_winners(charlstm, prose):
    given = b"teh\tthe\nfxo\nfox\n\nlzay\tlazy\n"
    assert ranked(charlstm, prose, "--best", stdin=given) == "the\nfox\nlazy\n"
    out = ranked(charlstm, prose, "--best", "--json", stdin=given)
    groups = [json.loads(line)["alternatives"] for line in out.splitlines()]
    assert [[alternative["text"] for alternative in group] for group in groups] == [
        ["the"], ["fox"], ["lazy"],
    ]  # fmt: skip


def test_lengths_may_be_made_up_for(charlstm, prose):
    """By the total a text comes before every continuation of it."""
    given = b"th\tthe quick brown fox\n"
    assert ranked(charlstm, prose, stdin=given) == "th\tthe quick brown fox\n"
    by_character = ranked(charlstm, prose, "--per-character", stdin=given)
    assert by_character == "the quick brown fox\tth\n"


@pytest.mark.parametrize("option", [[], ["--per-character"]])
def test_equal_ones_keep_their_order_and_nothing_comes_last(charlstm, prose, option):
    out = ranked(charlstm, prose, *option, "--json", stdin=b"\tfox\t\tfox\n")
    (group,) = map(json.loads, out.splitlines())
    assert [alternative["text"] for alternative in group["alternatives"]] == ["fox", "fox", "", ""]
    assert ranked(charlstm, prose, *option, "--layout", "tabs", stdin=b"\tfox\n") == "fox\t\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_that_tabs_only_indent_are_no_groups(charlstm, prose, end):
    lines = [b"\tfox", b"\t\t fox", b"dog\t", b"lazy"]
    out = ranked(charlstm, prose, "--json", stdin=end.join([*lines, b"", b"\tfox", b"the\tfox"]))
    groups = [
        [one["text"] for one in json.loads(line)["alternatives"]] for line in out.splitlines()
    ]
    assert sorted(groups[0]) == sorted(line.decode() for line in lines)
    assert [sorted(group) for group in groups[1:]] == [["\tfox"], ["fox", "the"]]


def test_a_context_is_read_before_each(charlstm, prose):
    # The first has stood in the text, but not there.
    given = b"the\tfox\n"
    assert ranked(charlstm, prose, stdin=given) == "the\tfox\n"
    context = ["--context", TEXT[: TEXT.index("fox")]]
    assert ranked(charlstm, prose, *context, stdin=given) == "fox\tthe\n"
    out = ranked(charlstm, prose, *context, "--json", stdin=given)
    (score,) = package.load(prose).score("fox", context=context[1])
    best = json.loads(out)["alternatives"][0]
    assert (best["text"], best["log_probability"]) == ("fox", score.log_probability)
    assert best["characters"] == 3


def test_a_half_typed_word_is_gone_on_with(charlstm, words):
    out = ranked(charlstm, words, "--context", "the quick bro", stdin=b"wn\tzz\tlazy\n")
    assert out.split("\t")[0] == "wn"


def test_a_model_of_lines_ranks_what_is_complete_first(charlstm, names):
    assert ranked(charlstm, names, stdin=b"bamira\tbamir\n") == "bamir\tbamira\n"
    assert ranked(charlstm, names, stdin=b"ban\tbana\n") == "bana\tban\n"


def test_files_are_ranked_one_by_one(charlstm, prose, tmp_path):
    (tmp_path / "a").write_bytes(b"teh\nthe")
    out = ranked(charlstm, prose, "a", "a", stdin=b"")
    assert out == "the\nteh\n\nthe\nteh\n"


def test_a_group_is_ranked_as_soon_as_it_is_there(prose):
    with subprocess.Popen(
        [sys.executable, "-m", "charlstm", "rank", prose],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        for given, expected in ((b"fxo\tfox\n", b"fox\tfxo\n"), (b"teh\tthe\n", b"the\tteh\n")):
            process.stdin.write(given)
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0]
            assert process.stdout.readline() == expected
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_large_group_is_ranked_as_one(charlstm, prose):
    alternatives = [f"the fox {n}" for n in range(700)]
    out = ranked(charlstm, prose, stdin="\n".join([*alternatives, "the fox"]).encode())
    lines = out.splitlines()
    assert lines[0] == "the fox"
    assert sorted(lines[1:]) == sorted(alternatives)


def test_what_is_refused(charlstm, prose):
    result = charlstm("rank", prose, "--context", "caf\udce9")
    assert_error(result, 2, "--context", "UTF-8")
    result = charlstm("rank", prose, stdin=b"\xe9\n")
    assert_error(result, 1, "stdin", "0xe9", "offset 0", "utf-8")
    assert charlstm("rank").status == 2


def test_a_context_has_no_mark(charlstm, prose):
    results = [
        charlstm("rank", prose, "--context", f"{mark}the ", "--json", stdin=b"fox\tdog\n")
        for mark in ("", "\ufeff")
    ]
    assert results[0] == results[1]
    assert results[0].status == 0


def test_unknown_characters_in_the_context_are_told(charlstm, prose):
    result = charlstm("rank", prose, "--context", "€", stdin=b"fox\tdog\n")
    assert_warning(result, "context", 1, "1 × '€' U+20AC")
