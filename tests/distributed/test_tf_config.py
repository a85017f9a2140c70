"""What TF_CONFIG says about the processes of a run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.distributed import tf_config
from charlstm.distributed.tf_config import Cluster, cluster_of, waiting_seconds
from charlstm.errors import UsageError
from tests.messages import raises_naming

TWO = ["a:1", "b:2"]


def config(cluster=None, task=None, **more):
    given = {"cluster": cluster, "task": task} | more
    return {"TF_CONFIG": json.dumps({key: value for key, value in given.items() if value})}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"TF_CONFIG": ""},
        {"TF_CONFIG": " {} "},
        config({"worker": ["a:1"]}, {"type": "worker", "index": 0}),
        config({"chief": ["a:1"], "worker": []}, {"type": "chief", "index": 0}),
    ],
)
def test_one_process_is_a_cluster_of_one(environ):
    found = cluster_of(environ)
    assert (found.size, found.is_chief) == (1, True)


def test_workers_are_counted_after_the_chief():
    jobs = {"worker": TWO, "chief": ["c:3"]}
    for job, index, number in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        found = cluster_of(config(jobs, {"type": job, "index": index}, environment="cloud"))
        assert found == Cluster(("c:3", "a:1", "b:2"), number)
        assert found.is_chief == (job == "chief")


def test_an_index_may_be_written_as_a_text():
    """Some cluster managers write it like this."""
    assert cluster_of(config({"worker": TWO}, {"type": "worker", "index": "1"})).index == 1


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({"TF_CONFIG": "{"}, "can't be read"),
        ({"TF_CONFIG": "[]"}, "can't be read"),
        ({"TF_CONFIG": "[" * 100_000}, "can't be read"),
        (config({"worker": TWO}), "has no task"),
        (config({"worker": "a:1"}, {"type": "worker", "index": 0}), "can't be read"),
        (config({"worker": TWO}, {"type": "worker", "index": -1}), "can't be read"),
        (
            config({"worker": TWO}, {"type": "worker", "index": 2}),
            "worker 2, but its cluster has 2 workers",
        ),
        (config({"worker": TWO}, {"type": "chief", "index": 0}), "has no chief"),
        (config({"worker": TWO}, {"type": "evaluator", "index": 0}), "task of type 'evaluator'"),
        (config({"worker": TWO, "ps": TWO}, {"type": "worker", "index": 0}), "task of type 'ps'"),
        (config({"chief": TWO}, {"type": "chief", "index": 0}), "names 2 chiefs"),
        (config({"worker": ["a:1", "a:1"]}, {"type": "worker", "index": 0}), "a:1 twice"),
        (config({"worker": ["a:1", "b"]}, {"type": "worker", "index": 0}), "the address 'b'"),
        (config({"worker": ["a:1", "b:0"]}, {"type": "worker", "index": 0}), "the address 'b:0'"),
        (config({"worker": ["a:1", "b:٣"]}, {"type": "worker", "index": 0}), "the address 'b:٣'"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_sentence(sentence, environ, part):
    with pytest.raises(UsageError) as caught:
        cluster_of(environ)
    sentence(caught.value, "TF_CONFIG", part)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cluster", "task", "type", "index", "worker", "chief", "ps"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON.map(json.dumps) | st.text())
def test_any_content_is_read_or_refused(text):
    try:
        found = cluster_of({"TF_CONFIG": text})
    except UsageError:
        return
    assert 0 <= found.index < found.size


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_the_waiting_time_is_a_positive_number(text):
    assert waiting_seconds({}) == tf_config.WAIT
    assert waiting_seconds({"CHARLSTM_WAIT": "2.5"}) == 2.5
    with raises_naming(UsageError, "CHARLSTM_WAIT", text):
        waiting_seconds({"CHARLSTM_WAIT": text})
