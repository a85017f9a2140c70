"""The Python interface: what the command line does, with named arguments.

    model          ``charlstm.load`` and the model: generate, predict, score and rank
    generation     the methods of a model that generate text
    evaluation     the methods of a model that measure it on a text
    loaded         what is loaded: the checkpoint, the engine, and how a text is read
    training       ``charlstm.train``
    arguments      checks arguments, and suggests a name for one that is misspelled
    user_warnings  Python warnings about texts

``charlstm`` imports the public names from here when they are first used.
"""
