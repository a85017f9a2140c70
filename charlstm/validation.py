"""Checks values against annotations, and says in plain English what was expected.

``Config`` is the base class of frozen settings. ``checked`` does the same for a single argument.
"""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from charlstm.errors import ConfigError, harmless

# Error messages name an upper bound above this only if the value exceeds it.
_REMARKABLE = 65_536

ConfigType = TypeVar("ConfigType", bound="Config")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base class of the configurations. Every field is checked against its annotation."""

    def __post_init__(self) -> None:
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            if value is field.default:
                continue
            if plain(value) is not value:
                msgspec.structs.force_setattr(self, field.name, plain(value))
            converted = checked(field.name, value, field.type)
            if isinstance(converted, tuple) and not isinstance(value, tuple):
                raise _out_of_range(field.name, value, field.type)
        self.check()

    def check(self) -> None:
        """Check conditions that annotations can't express.

        Raises:
            ConfigError: if a field is invalid or fields contradict each other.
        """

    def replace(self: ConfigType, **changes: Any) -> ConfigType:
        """Return a copy with some fields changed. The copy is validated too."""
        return msgspec.structs.replace(self, **changes)


@cache
def _fields(kind: type[Config]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the fields of a configuration. Cached, because evaluating annotations is slow."""
    return msgspec.structs.fields(kind)


def checked(name: str, value: Any, kind: Any) -> Any:
    """Return the value of an argument if an annotation allows it.

    Args:
        name: the name of the argument, for the message.
        value: what the caller gave. A number of NumPy counts as a number of Python.
        kind: a type with bounds, such as ``Annotated[int, Meta(ge=1)]``.

    Raises:
        ConfigError: if the value has another type or is out of range.
    """
    try:
        return msgspec.convert(plain(value), kind)
    except msgspec.ValidationError:
        raise _out_of_range(name, value, kind) from None


def plain(value: Any) -> Any:
    """Return a number of Python for a number of NumPy, and any other value unchanged."""
    is_scalar = type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0
    return value.item() if is_scalar else value


def _out_of_range(name: str, value: Any, kind: Any) -> ConfigError:
    expected = _described(kind, plain(value))
    return ConfigError(f"`{name}` is {quoted(value)}: expected {expected}.")


def _described(kind: Any, value: Any = None, several: bool = False) -> str:
    """Return in plain English, in the plural for ``several``, what an annotation allows."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        number = value if isinstance(value, int | float) else 0
        return _described(arguments[0]) + _in_words(arguments[1], number)
    if types.NoneType in arguments:
        return _described(arguments[0], value)
    if origin is Literal:
        *others, last = map(repr, arguments)
        return f"{', '.join(others)} or {last}"
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"a tuple of {_described(arguments[0], several=True)}"
    if origin is tuple:
        return f"pairs of {' and '.join(map(_described, arguments))}"
    names = {int: "a whole number", float: "a number", bool: "True or False"}
    names[str] = "strings" if several else "a string"
    return names.get(kind) or f"a {kind.__name__}"


def _in_words(bounds: Meta, number: float) -> str:
    """Return the bounds of a number in words. A very high bound is left out unless exceeded."""
    low, high = bounds.ge, bounds.le
    if high is not None and high > _REMARKABLE and not number > high:
        high = None
    if low is not None and high is not None:
        return f" from {low:,.0f} to {high:,.0f}"
    parts = [
        f" of {low:,.0f} or more" if low is not None else "",
        f" greater than {bounds.gt:,.0f}" if bounds.gt is not None else "",
        f" less than {bounds.lt:,.0f}" if bounds.lt is not None else "",
        f" at most {high:,.0f}" if high is not None else "",
    ]
    return " and".join(filter(None, parts))


def quoted(value: Any) -> str:
    """Return a value of unknown origin as Python writes it, safe to print and not too long."""
    return harmless(repr(plain(value)), 200)
