"""Finds the user's text, decodes it, and divides it into documents.

    catalog        well-known texts and how to fetch them
    sources        finds the sources that an address (file, folder, pattern, -) names
    reading        reads a source as decoded blocks of text
    decompression  opens compressed files
    decoding       decodes bytes and refuses binary files
    encodings      byte-order marks and guesses of an encoding
    languages      guesses single-byte encodings by the letters of languages
    formats        recognizes binary formats and HTML
    tables         reads tables of any format record by record
    delimited      reads CSV and tab-separated values
    objects        reads JSON Lines and JSON
    records        shared by delimited and objects
    cells          recognizes numbers, dates and identifiers in cells
    columns        finds the column of a table that contains text
    table_source   a table file: each record is a document
    normalization  brings text into a Unicode form
    notes          notes for the user about a text
    spool          copies stdin or strings to a temporary file
    documents      streams the documents of all sources in chunks
    division       divides the text of a file into documents
    lines          splits a stream of blocks into lines
    short_lines    recognizes lists of short lines
    word_count     counts words in a stream
    hazards        problems in a text that hurt a model
    inspection     counts what is in a text
    split          divides a corpus into training and validation text
    known_lines    hashes of the lines of files
    line_hashes    a set of lines or other documents, as 64-bit hashes

This package does not depend on any vocabulary or model.
"""
