"""A page that runs a model in a browser: one HTML file with its weights and a small engine.

    page       assembles the file
    weights    the int8 network as the engine has it, packed
    patterns   the token pattern in JavaScript's syntax
    static/    the page itself: HTML, a style sheet, JavaScript modules

Does not import ONNX Runtime or TensorFlow.
"""
