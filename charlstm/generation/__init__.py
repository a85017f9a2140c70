"""Generates text: prompts go in, samples come out.

    filters           temperature, top-k, nucleus sampling and the other samplers
    penalties         penalties against repetition
    regex_automaton   a regular expression as an automaton over characters
    pattern           which tokens can continue a match of a regular expression
    constraints       which tokens may follow: pattern, banned and biased texts, forced prefix
    spelled_prefix    how likely the last word of a prompt is to be spelled
    stopping          stop texts and ends of lines, sentences and paragraphs
    batch             the arrays of the samples that are being drawn
    decoder           the sampling loop
    beam              beam search
    rejection         rejects samples that are known or repeated

Knows the engine and the tokenizer. It does not know files, checkpoints or the command line.
"""
