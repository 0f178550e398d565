"""What happened in training, one line per logged step."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class History:
    """Rows of a run, each a flat mapping that becomes one line of `history.jsonl`."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, **row: Any) -> None:
        """Append one row."""
        self.rows.append(row)

    def to_lines(self) -> str:
        """The rows as JSON lines."""
        return "".join(json.dumps(row, allow_nan=False) + "\n" for row in self.rows)

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> "History":
        """The rows of a `history.jsonl`."""
        return cls([dict(_object(line)) for line in lines if line.strip()])


def _object(line: str) -> Mapping[str, Any]:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object per line, found {line[:40]!r}")
    return value
