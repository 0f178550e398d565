"""What happened in training, one line per logged step."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cellflow_cli.plain import parse


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
        """The rows of a `history.jsonl`.

        Raises:
            PlainError: If a line is no JSON object.
        """
        return cls(
            [
                parse(line, f"history.jsonl, line {i}").table()
                for i, line in enumerate(lines, start=1)
                if line.strip()
            ]
        )
