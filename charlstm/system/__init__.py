"""Files, the cache and the processor: what the rest needs from the operating system.

    files           atomic writes, locks, and storage errors as exceptions
    cache           results that are kept between commands, built once and checked when read
    hardware        processor count, number formats, free memory
    out_of_memory   whether an exception means that memory ran out

Knows nothing of text or models.
"""
