"""A finding: what is wrong with the data and what fixes it, as an error or as a line of `check`."""

from dataclasses import dataclass
from typing import Literal

from cellflow_cli.errors import DataError

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing about the data before training.

    Attributes:
        level: `"error"` stops training, `"warning"` does not, `"note"` informs.
        what: What was expected and what was found, where.
        fix: The option or command that fixes it.
    """

    level: Level
    what: str
    fix: str

    def error(self) -> DataError:
        """The same as an exception, for the caller to raise."""
        return DataError(f"{self.what} {self.fix}".strip())


def raise_first(findings: list[Finding]) -> None:
    """Raise the first finding that stops training, if there is one.

    Raises:
        DataError: With the text of that finding.
    """
    for finding in findings:
        if finding.level == "error":
            raise finding.error()
