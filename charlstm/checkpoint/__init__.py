"""A model on disk: one folder of safetensors and JSON, data and never code.

    schema        the files, their contents and the format version
    upgrade       turns the JSON of older formats into that of the present one
    bounded       reads of files that may be hostile, within bounds
    safetensors   tensors to and from one file
    reader        reads and checks a checkpoint
    resume        what an interrupted run continues from
    writer        what a run writes while it trains
    quantization  weights as integers of 8 bits with scales
    names         which folder a name means
    listing       the checkpoints there are, in short
    folder        locks, creates and replaces checkpoint folders

Knows nothing of how weights are trained or run.
"""
