"""Text to token ids and back, without loss.

    clusters       which characters are one with their neighbors to a reader
    segmentation   divides text into words, numbers, punctuation and white space
    base           the contract: a vocabulary with encode and decode; the ids of special tokens
    tokens         a token as people and programs see it: text, probability, which special one
    wordwise       encodes word by word
    char, subword, word   the three levels
    byte_pairs     learns which pieces a subword tokenizer joins
    vocabulary     builds a tokenizer from a training text
    storage        a tokenizer as JSON, read with bounds
    long_prompts   which tokens of a long prompt are read
    unknown        describes characters that are not in the vocabulary

Knows no files and no model.
"""
