"""Files, the cache, the CPU and memory: everything that depends on the operating system.

    files           atomic writes, locks, and storage errors as exceptions
    cache           results cached between commands, checked when they are read
    hardware        number of CPU cores, number formats, available memory
    out_of_memory   whether an exception means that memory ran out

This package does not depend on text or models.
"""
