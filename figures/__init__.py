"""Draws the pictures of the docs, ``docs/figures/*.svg``; ``make figures`` runs it.

The modules:

    commands    runs charlstm and reads what it prints
    svg         SVG elements, escaping, and estimates of text widths
    themes      the colors of the light and the dark variant
    pipeline    how a text becomes a model, and what a model is used for
    sample      a sample of a shipped model, colored by probability
    curve       the loss of two training runs, one of which overfits
    units       what three units of a shipped model follow
    page        takes a picture of a part of the page of ``charlstm look``, when asked for

Each picture but the last has a function ``measure``, which returns data from real runs, and a
function ``draw``, which depends on nothing but that data and a theme. The data is stored in
``docs/figures/*.json``.
"""
