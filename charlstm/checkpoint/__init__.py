"""A model on disk: one folder of safetensors and JSON files, which are data and never code.

    schema        the files, their content and the format version
    upgrade       converts the JSON of older formats to the current one
    bounded       reads files that may be hostile, up to a size limit
    safetensors   reads and writes tensors in one file
    reader        reads and checks a checkpoint
    resume        the state from which an interrupted run continues
    writer        writes the files that change during a run
    quantization  8-bit integer weights with scales
    names         finds the folder that a name stands for
    listing       lists the available checkpoints, and the state of a run
    comparison    whether the validation figures of several models compare
    folder        locks, creates and replaces checkpoint folders

This package does not depend on how weights are trained or used.
"""
