"""Predicts the next words: a prompt goes in, words with their probabilities come out.

    search       best-first search over paths of tokens
    grammar      how tokens make up words: the interface
    characters   its implementation for character models
    words        its implementation for word models
    predictor    a prompt to a list of predictions

Knows the engine and the tokenizer. It does not know files or the command line.
"""
