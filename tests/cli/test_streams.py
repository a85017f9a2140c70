"""What commands do about a standard stream that is closed, full or no longer read."""

import pytest

from charlstm.cli.app import COMMANDS
from tests.messages import assert_error, assert_names
from tests.processes import in_a_shell

# What each command reads from standard input, and what its error tells to do.
READERS = {
    "train - -q": ["file"],
    "generate MODEL -p - -q": ["--prompt"],
    "generate MODEL --prompt-file - -q": ["--prompt"],
    "generate MODEL --prompts - -q": ["--prompt"],
    "predict MODEL": ["prompt"],
    "fill MODEL": ["text"],
    "score MODEL -q": ["file"],
    "rank MODEL -q": ["file"],
    "evaluate MODEL - -q": ["file"],
}
# A command line of each command that writes to standard output.
WRITERS = {
    "inspect": "inspect MODEL/../corpus.txt --json -q",
    "train": "train MODEL/../corpus.txt --dry-run --json -q",
    "generate": "generate MODEL -n 50 --seed 1 -q",
    "predict": "predict MODEL the -q",
    "fill": "fill MODEL the___fox -q",
    "score": "score MODEL -q MODEL/config.json",
    "evaluate": "evaluate MODEL MODEL/config.json --sample 0 -q",
    "rank": "rank MODEL -q MODEL/config.json",
    "look": "look MODEL -o FOLDER/page.html",
    "plot": "plot MODEL",
    "models": "models --json",
    "info": "info MODEL",
    "export": "export MODEL -o FOLDER/model.onnx",
    "corpora": "corpora --json",
    "cache": "cache --json",
}
# Lines that end only when the reader of their output has gone.
ENDLESS = [
    "yes the lazy dog | charlstm score MODEL -q",
    "yes the | charlstm predict MODEL",
    "yes the ___ fox | charlstm fill MODEL",
    "yes the lazy dog | charlstm rank MODEL --layout tabs -q",
    "charlstm generate NAMES -c 1000000000 --seed 1 -q",
    "charlstm generate NAMES -c 1000000000 --unique --seed 1 -q",
]


@pytest.fixture
def line(prose, names, tmp_path):
    """Return a function that puts paths into a line."""
    paths = {"MODEL": str(prose), "NAMES": str(names), "FOLDER": str(tmp_path)}

    def complete(text):
        for name, path in paths.items():
            text = text.replace(name, path)
        return text

    return complete


def test_every_command_is_covered():
    assert list(WRITERS) == list(COMMANDS)


@pytest.mark.parametrize("command", READERS)
def test_a_closed_standard_input_is_misuse(line, tmp_path, command):
    done = in_a_shell(f"charlstm {line(command)} <&-", tmp_path)
    assert_error(done, 2, "stdin", "closed", *READERS[command])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [*WRITERS.values(), "generate MODEL -n 5 -q --json"])
def test_a_closed_standard_output_is_one_sentence(line, command):
    assert_error(in_a_shell(f"charlstm {line(command)} >&-"), 1, "stdout", "closed")


@pytest.mark.parametrize("command", [*WRITERS.values(), "--help", "--version", "train --help"])
def test_a_full_disk_behind_standard_output_is_one_sentence(line, command):
    done = in_a_shell(f"charlstm {line(command)} > /dev/full")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith("Error: ")
    assert_names(last, "output", "disk is full")


@pytest.mark.parametrize("command", ENDLESS)
def test_a_pipe_that_is_closed_ends_a_command_quietly(line, command):
    done = in_a_shell(f"{line(command)} | head -n 3; echo ${{PIPESTATUS[-2]}}", timeout=60)
    *lines, status = done.stdout.splitlines()
    assert (len(lines), status, done.stderr) == (3, "0", "")


def test_a_pipe_that_is_closed_within_a_text_ends_it_quietly(line):
    command = line("charlstm generate MODEL -n 100000 --seed 1 -q")
    done = in_a_shell(f"{command} | head -c 10", timeout=60)
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 10, "")


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-"])
def test_help_with_a_closed_stream_is_no_crash(redirection):
    done = in_a_shell(f"charlstm --help {redirection}")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    if redirection != ">&-":
        assert (done.returncode, done.stderr) == (0, "")
        assert "Commands:" in done.stdout
