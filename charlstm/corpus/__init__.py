"""Finds the user's text, decodes it, and divides it into documents.

    catalog        well-known texts, and how they are fetched
    sources        an address (file, folder, pattern, -) to a list of sources
    reading        a source to decoded blocks of text
    decompression  opens compressed files
    decoding       bytes to text: marks, encodings, binary files
    encodings      marks, and guesses of an encoding
    languages      guesses among encodings of alphabets
    formats        recognizes binary formats and HTML
    tables         reads tables of any format record by record
    delimited      reads CSV and tab-separated values
    objects        reads JSON Lines and JSON
    records        what the last two share
    cells          tells data from text in cells
    columns        finds the columns of a table that hold text
    table_source   a file that is a table: each record is a document
    normalization  blocks of text in a Unicode form
    notes          what the user should know about a text
    spool          keeps standard input or strings in a temporary file
    documents      sources to documents, streamed in chunks
    division       divides the text of a file into documents
    lines          splits a stream of blocks into lines
    short_lines    tells lists of short lines from other text
    word_count     counts words in a stream
    hazards        what in a text will hurt a model
    inspection     looks a text over
    split          training and validation parts
    known_lines    the lines of files, as hashes
    line_hashes    the set of lines or other documents of a text, as 64-bit hashes

Knows no vocabulary and no model.
"""
