"""Predicts the next words: a prompt goes in, words with their probabilities come out.

    predictor           a prompt to a list of predictions; completions of a half-typed word
    prompt_cache        the states after recent prompts
    best_first_search   the search over paths of tokens
    clusters            which tokens belong to the same visible character
    grammar             how tokens make up words: the interface
    rows                arrays of probabilities, for grammars
    word_rules          what the next character does to the word being written
    piece_grammar       the grammar of characters, and of pieces of words
    word_grammar        the grammar of words

Knows the engine and the tokenizer. It does not know files or the command line.
"""
