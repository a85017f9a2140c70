"""Text to token ids and back, without loss.

    clusters       characters that form one visible character with their neighbors
    segmentation   divides text into words, numbers, punctuation and white space
    base           the interface of a tokenizer, and the ids of special tokens
    tokens         a token for output: its text, log-probability and special role
    wordwise       encodes word by word
    char, subword, word   the three levels
    byte_pairs     learns the merges of a subword tokenizer
    vocabulary     builds a tokenizer from a training text
    storage        reads a tokenizer from JSON, with bounds
    long_prompts   selects the tokens of a long prompt that are read
    unknown        describes characters that are not in the vocabulary

This package reads no files and does not depend on any model.
"""
