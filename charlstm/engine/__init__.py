"""Runs a trained model with ONNX Runtime, without TensorFlow.

    onnx_graph    builds ONNX graphs, one operator at a time
    integer_product  adds matrix multiplications of 8-bit integers
    attention_graph  adds the attention over the last outputs
    graph         builds an ONNX graph from trained weights, in float32 or int8
    state         the state after the tokens read, row by row
    onnx_runtime  imports ONNX Runtime without its telemetry
    inference     runs a graph on batches of token ids
    graph_cache   loads the graph of a checkpoint from the cache, or builds it

This package does not depend on text, sampling or training.
"""
