"""Turns a corpus into batches of token ids.

    prepare      encodes a corpus once and caches the result
    statistics   counts of a corpus
    store        token ids on disk, memory-mapped
    beginnings   finds where a new text could begin, for a corpus of few documents
    frequencies  token frequencies, and the loss of predicting by them
    excerpts     excerpts that represent a long validation text
    batches      parallel streams for training, windows for validation

This package does not depend on the network.
"""
