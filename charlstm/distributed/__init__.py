"""Training with several workers and devices, behind one object.

    workers     all workers as one object: who writes, who reports, what to wait for
    replicas    the devices that take steps together under a tf.distribute strategy
    tf_config   the TF_CONFIG variable
    peers       connections between the workers
    transport   sockets and messages
    watchdog    ends a process that is stuck and can't be interrupted
    agreement   what all workers of a run must have in common

A worker is a process, and a replica is a device. The first worker is the chief. Usually there is
one worker with one replica.

This package does not depend on text or the training loop.
"""
