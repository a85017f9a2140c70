"""Runs a trained model with ONNX Runtime, without TensorFlow.

    graph         weights to an ONNX graph, float32 or int8
    onnx_runtime  imports ONNX Runtime, without its telemetry
    session       runs a graph on batches of token ids
    graph_cache   keeps built graphs between commands

Knows no text and no sampling.
"""
