"""Generates text: prompts go in, samples come out.

    samples           what is returned
    filters           temperature, top-k, nucleus sampling and the other samplers
    penalties         penalties against repetition
    regex_automaton   a regular expression as an automaton over characters
    pattern           which tokens can continue a match of a regular expression
    dead_ends         how much text can follow where texts are banned
    constraints       which tokens may follow: pattern, banned and biased texts, forced prefix
    coverings         the ways in which tokens write a text
    unread            the ways to write the end of a prompt that was not read
    stopping          stop texts and ends of lines, sentences and paragraphs
    sentences         ends of sentences in any script
    visible           ends samples after whole visible characters
    batch             the arrays of the samples that are being drawn
    decoder           the sampling loop
    word_edges        where tokens begin and end within words
    match_reader      tells whether a text that is written freely is a match
    token_chain       a model as a Markov chain
    lookahead         how likely a match is to follow, under a chain
    match_guide       what speaks for each token on the way to a match
    particles         the search for matches that are hardly ever written freely
    matching          samples that match: drawn freely, or searched for
    beam              beam search
    rejection         rejects samples that are known, repeated or cut
    drawing           any number of samples of each prompt

Knows the engine and the tokenizer. It does not know files, checkpoints or the command line.
"""
