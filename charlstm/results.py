"""The base of what a model returns: a frozen dataclass that converts to a dictionary and to JSON.

>>> model.score("To be")[0].to_dict()["bits_per_character"]
>>> pandas.DataFrame(sample.to_dict() for sample in model.generate("ROMEO:", count=9))
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar


class Result:
    """A result with named facts. Each subclass is a frozen dataclass.

    Attributes:
        FACTS: the attributes of the dictionary, in order; by default the fields.
    """

    __slots__ = ()
    FACTS: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints.

        Results inside become dictionaries too, tuples become lists, and keys become strings.
        Fields that are optional and not set are left out.
        """
        unset = {
            field.name: field.default
            for field in fields(self)  # type: ignore[arg-type]
            if field.default is None or field.default == ()
        }
        facts = ((name, getattr(self, name)) for name in self.FACTS or self.__match_args__)  # type: ignore[attr-defined]
        return {
            name: _plain(value)
            for name, value in facts
            if name not in unset or value != unset[name]
        }

    def to_json(self) -> str:
        """Return the facts as JSON on one line. NaN and infinities become null."""
        import msgspec

        return msgspec.json.encode(self.to_dict()).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if names := getattr(value, "__struct_fields__", None):  # such as the figures of a checkpoint
        return {name: _plain(getattr(value, name)) for name in names}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value
