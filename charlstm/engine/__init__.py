"""Runs a trained model with ONNX Runtime, without TensorFlow.

    graph         builds an ONNX graph from trained weights, in float32 or int8
    onnx_runtime  imports ONNX Runtime without its telemetry
    inference     runs a graph on batches of token ids
    graph_cache   loads the graph of a checkpoint from the cache, or builds it

This package does not depend on text, sampling or training.
"""
