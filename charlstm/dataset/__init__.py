"""Turns a corpus into batches of token ids.

    prepare   encodes a corpus once and caches the result
    store     token ids on disk, memory-mapped
    batches   parallel streams for training, windows for validation

Knows no network.
"""
