"""Predicts the next words.

    search       best-first search over token sequences
    grammar      how tokens make up words: the contract
    characters   the same for character models
    words        the same for word models
    predictor    a prompt to a list of predictions

Knows the engine and the tokenizer, no files.
"""
