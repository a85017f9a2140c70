"""Turns a corpus into batches of token ids.

    prepare      encodes a corpus once and caches the result
    statistics   counts of a corpus
    store        token ids on disk, memory-mapped
    beginnings   finds where a text of few documents could begin
    frequencies  the loss of plain token frequencies
    excerpts     what represents a long validation text
    batches      parallel streams for training, windows for validation

Knows no network.
"""
