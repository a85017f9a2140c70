"""From a corpus to batches of token ids.

    prepare   tokenizes a corpus once and caches the result
    store     token ids on disk, memory-mapped
    batches   parallel streams for training, windows for validation

Knows no network.
"""
