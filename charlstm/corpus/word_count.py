"""Counts the words of a text that arrives in pieces. A word is a run without white space."""

from __future__ import annotations


class WordCounter:
    """Counts words in documents that arrive in pieces.

    Attributes:
        count: the number of words so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._inside = False  # whether the last piece ended within a word

    def add(self, text: str) -> None:
        """Count the words of the next piece. A word that spans two pieces counts once."""
        if text:
            self.count += len(text.split()) - (self._inside and not text[0].isspace())
            self._inside = not text[-1].isspace()

    def end_document(self) -> None:
        """End the document and its last word."""
        self._inside = False
