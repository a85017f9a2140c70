"""The note that a text is in another Unicode form than the training text of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from charlstm.cli.output import note_all

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel
    from charlstm.evaluation.text_metrics import Texts


class FormNote:
    """Prints the note at the first text that needs it, and only once.

    Args:
        model: the model that reads the texts.
        quiet: never print it.
    """

    def __init__(self, model: LanguageModel, *, quiet: bool) -> None:
        self._model = model
        self.is_done = quiet or model.checkpoint.config.corpus.normalize != "none"

    def check(self, text: str) -> None:
        """Print the note if a text would have fewer unknown characters in the other form."""
        if self.is_done:
            return
        from charlstm.tokenizer.unknown import describe_other_form, other_form

        if form := other_form(self._model.tokenizer, text):
            self.is_done = True
            note_all([f"Note: {describe_other_form(form)}"])

    def watched(self, texts: Texts) -> Texts:
        """Return a text that is checked while it is read, because stdin can be read only once."""

        def watch(document: Iterable[str]) -> Iterator[str]:
            for piece in document:
                self.check(piece)
                yield piece

        if self.is_done:
            return texts
        return replace(texts, documents=lambda: map(watch, texts.documents()))

    def check_all(self, texts: Texts) -> None:
        """Check a text that can be read again, until the note is printed."""
        pieces = (piece for document in texts.documents() for piece in document)
        while not self.is_done and (piece := next(pieces, None)) is not None:
            self.check(piece)
