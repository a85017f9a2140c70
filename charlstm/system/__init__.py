"""Files, the cache, the processor and memory: everything that depends on the operating system.

    files           atomic writes, locks, and storage errors as exceptions
    cache           results kept between commands, built once and checked when read
    hardware        processor count, number formats, free memory
    out_of_memory   whether an exception means that memory ran out

Knows nothing of text or models.
"""
