"""Finds the user's text, decodes it, and divides it into documents.

    sources        an address (file, folder, pattern, -) to a list of sources
    reading        a source to decoded blocks of text
    normalization  blocks of text in a Unicode form
    spool          keeps standard input or strings in a temporary file
    documents      sources to documents, streamed in chunks
    lines          splits a stream of blocks into lines
    word_count     counts words in a stream
    split          training and validation parts
    line_hashes    the set of training lines, as 64-bit hashes

Knows no vocabulary and no model.
"""
