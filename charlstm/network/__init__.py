"""The LSTM as a Keras model.

    backend   the only place that imports TensorFlow and Keras
    lstm      the LSTM layer and its gradient
    attention  attention over the last outputs
    states    the states of a network, row by row
    model     the Keras model for a configuration; setting and reading its weights

This package does not depend on text, files or the training loop.
"""
