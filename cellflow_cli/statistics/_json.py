"""Parts of a summary as plain JSON values."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def plain(value: Any) -> Any:
    """Dataclasses and mappings as tables, tuples as lists; what has a `to_json` of its own answers itself."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value):
        return plain_fields(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def plain_fields(part: Any) -> dict[str, Any]:
    """The fields of a dataclass; a `reason` that is empty is left out."""
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    return {name: plain(value) for name, value in values.items() if name != "reason" or value}
