"""Generation of text from prompts.

    samples           the results: samples and their tokens
    options           the options as keyword arguments
    known_texts       texts that samples must not repeat
    filters           temperature, top-k, nucleus sampling and the other samplers
    penalties         penalties against repetition
    regex_automaton   a regular expression as an automaton over characters
    pattern           which tokens can continue a match of a regular expression
    dead_ends         how much text can follow if texts are banned
    constraints       which tokens may follow: pattern, banned and biased texts, forced prefix
    coverings         the ways in which tokens write a text
    unread            the ways to write the end of a prompt that was not read
    stopping          stop texts and ends of lines, sentences and paragraphs
    sentences         ends of sentences in any script
    visible           completes the last visible character of a sample
    batch             the arrays of the samples in progress
    decoder           the sampling loop
    word_edges        where tokens begin and end within words
    match_reader      finds whether a freely sampled text is a match
    token_chain       a model approximated by a Markov chain
    lookahead         the probability that a match follows, under that chain
    match_guide       weights of tokens on the way to a match
    particles         the search for matches that free sampling almost never finds
    matching          samples that match a pattern: sampled freely, or searched for
    beam              beam search
    rejection         rejects samples that are known, repeated or cut
    drawing           any number of samples of each prompt

Nothing in this package imports TensorFlow.
"""
