"""Writes text: from logits to sampled tokens.

    filters           temperature, top-k, nucleus sampling and the other samplers
    penalties         against repetition
    regex_automaton   a regular expression as an automaton
    pattern           which tokens can continue a match
    constraints       all that restricts the next token
    stopping          stop texts in a stream
    batch             the state of the samples that are being written
    decoder           the sampling loop
    beam              beam search
    rejection         rejects samples that are known or repeated

Knows the engine and the tokenizer, no files and no options.
"""
