"""Counts the words of a text that arrives in pieces: stretches without white space."""

from __future__ import annotations


class WordCounter:
    """Counts stretches without white space in documents that pass by piece by piece.

    Attributes:
        count: the words so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._inside = False  # whether the last piece ended within a word

    def add(self, text: str) -> None:
        """Count the words of the next piece; one that goes on from the last piece counts once."""
        if text:
            self.count += len(text.split()) - (self._inside and not text[0].isspace())
            self._inside = not text[-1].isspace()

    def end_document(self) -> None:
        """Let the next piece begin a document, and so a word."""
        self._inside = False
