"""Several workers and devices, behind one object.

    workers     what the training loop sees: one process, or the group it belongs to
    replicas    the devices of one process under a tf.distribute strategy
    tf_config   the TF_CONFIG variable
    peers       connections between the workers
    transport   sockets and messages
    watchdog    ends a process whose chief is gone
    agreement   what all workers of a run must have in common

Knows nothing of text or the training loop.
"""
