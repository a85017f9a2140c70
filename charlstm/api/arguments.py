"""Checks the arguments of the Python interface, and suggests a name for one that is misspelled.

The bounds are those of the command line.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Annotated, Any, ParamSpec, TypeVar

from msgspec import Meta

from charlstm.errors import ConfigError
from charlstm.prediction.gaps import MOST_FILLINGS
from charlstm.similar_names import similar_argument
from charlstm.validation import quoted

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

NumberOfPredictions = Annotated[int, Meta(ge=1, le=1000)]
NumberOfFillings = Annotated[int, Meta(ge=1, le=MOST_FILLINGS)]
NumberOfWords = Annotated[int, Meta(ge=1, le=50)]
NumberOfBeams = Annotated[int, Meta(ge=1, le=1024)]
NumberOfAlternatives = Annotated[int, Meta(ge=0, le=1000)]
NumberOfThreads = Annotated[int, Meta(ge=1, le=1024)]


def suggesting(
    *options: type,
) -> Callable[[Callable[Arguments, Returned]], Callable[Arguments, Returned]]:
    """Decorate a function to suggest the right name of a misspelled keyword argument.

    Args:
        *options: the ``TypedDict`` that annotates ``**options`` of the function, if it has them.

    The decorated function raises TypeError for an unknown argument, as any Python function does,
    with a suggestion in the message.
    """

    def decorate(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        known = {*names, *(name for each in options for name in _fields_of(each))} - {"self"}

        @functools.wraps(function)
        def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
            for name in kwargs:
                if name not in known:
                    raise _unexpected(function.__name__, name, known)
            return function(*args, **kwargs)

        return called

    return decorate


def _fields_of(options: type) -> frozenset[str]:
    keys: frozenset[str] = options.__optional_keys__ | options.__required_keys__  # type: ignore[attr-defined]
    return keys


def _unexpected(function: str, name: str, known: set[str]) -> TypeError:
    meant = similar_argument(name, sorted(known))
    hint = f". Did you mean {meant!r}?" if meant else ""
    return TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def check_text(name: str, value: object) -> None:
    """Check that an argument is a string.

    Raises:
        ConfigError: if it is not.
    """
    if not isinstance(value, str):
        raise ConfigError(f"`{name}` is {quoted(value)}: expected a string.")


def list_of_texts(name: str, value: str | Iterable[str]) -> list[str]:
    """Return an argument that is a string or several strings as a list.

    Raises:
        ConfigError: if it is neither.
    """
    if isinstance(value, str):
        return [str(value)]
    given: Any = value
    texts = list(given) if isinstance(given, Iterable) else [given]
    for text in texts:
        if not isinstance(text, str):
            verb = "contains" if isinstance(given, Iterable) else "is"
            raise ConfigError(
                f"`{name}` {verb} {quoted(text)}: expected a string or a list of strings."
            )
    return list(map(str, texts))  # also those of NumPy, which JSON can't represent
