"""What a training run prints about itself."""

from charlstm.cli.train_report import describe_hardware
from charlstm.training.observer import Hardware


def test_what_training_runs_on_is_printed():
    assert describe_hardware(Hardware(0, "float32", 1)) == "CPU, float32 matrix products"
    assert describe_hardware(Hardware(0, "bfloat16", 2)) == (
        "CPU, bfloat16 matrix products, 2 workers"
    )


def test_a_gpu_is_printed_with_what_it_can_not_do_alone():
    own_loop = "cuDNN (own loop in batches where a document begins)"
    assert describe_hardware(Hardware(1, "float32", 1)) == f"GPU, {own_loop}"
    assert describe_hardware(Hardware(4, "float32", 2)) == f"4 GPUs, {own_loop}, 2 workers"
