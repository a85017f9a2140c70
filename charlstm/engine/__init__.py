"""Runs a trained model with ONNX Runtime, without TensorFlow.

    graph         trained weights to an ONNX graph, float32 or int8
    onnx_runtime  imports ONNX Runtime without its telemetry
    inference     runs a graph on batches of token ids
    graph_cache   loads the graph of a checkpoint from the cache, or builds it

Knows weights, token ids and logits. It does not know text, sampling or how a model is trained.
"""
