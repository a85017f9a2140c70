"""Prediction of the next words after a prompt, with their probabilities.

    predictor           the predictions for a prompt; completions of a half-typed word
    filler              words for gaps, from the text on both sides
    line_reading        reads lines that differ in one place, to score them
    preceding_words     words that may come before a text, for a backward network
    gaps                where the gaps of a text are
    prompt_cache        the states after recent prompts
    best_first_search   the search over paths of tokens
    clusters            which tokens belong to the same visible character
    grammar             how tokens make up words: the interface
    rows                arrays of probabilities, for grammars
    word_rules          what the next character does to the current word
    merging             which tokens would merge with the text before them
    piece_grammar       the grammar of character-level and subword-level models
    word_grammar        the grammar of word-level models

Only predictor, line_reading, preceding_words and prompt_cache run the engine.
"""
