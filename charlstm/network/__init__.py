"""The LSTM as a Keras model.

    backend   the one place that imports TensorFlow and Keras
    lstm      the LSTM layer and its gradient
    model     a configuration to a Keras model; weights in and out of it

Knows nothing of text, files or training.
"""
