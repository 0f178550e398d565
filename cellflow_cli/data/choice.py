"""Which features of a matrix are used: those that a column of var marks, named ones, all but named ones."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cellflow_cli.errors import ConfigError, DataError, listed, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from jaxtyping import Int

_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no")


class Choice(NamedTuple):
    """Which features are used; all, if nothing is given.

    Attributes:
        key: Column of var, or `COLUMN=VALUE,..`; None for no such choice.
        only: Names to use, or texts of names between commas.
        drop: Names to leave out, likewise.
    """

    key: str | None = None
    only: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    def positions(
        self, names: Sequence[str], var: "pd.DataFrame | None", place: str
    ) -> "Int[np.ndarray, ' k'] | None":
        """Ascending positions of the features that are used; None for all.

        Args:
            names: All features of the matrix.
            var: One row for each of them; None where the matrix has no such table.
            place: Where they are, for messages.

        Raises:
            DataError: If a column, a value or a name is not there, or nothing is left.
        """
        if self == Choice():
            return None
        import numpy as np

        every = np.asarray(names, dtype=object)
        kept = np.ones(len(names), dtype=bool)
        if self.key is not None:
            kept &= _marked(self.key, var, place)
        if self.only:
            kept &= np.isin(every, _known(self.only, names, "only-features", place))
        if self.drop:
            kept &= ~np.isin(every, _known(self.drop, names, "drop-features", place))
        if not kept.any():
            raise DataError(
                f"Expected features after the choice, found none of {len(names)} left.{place} Loosen "
                "`--feature-key`, `--only-features` or `--drop-features`."
            )
        return np.flatnonzero(kept)


def nameless(features: str, place: str) -> DataError:
    """The error that features without names cannot be chosen by name."""
    return DataError(
        f"Expected named features to choose from, found the nameless columns of {features!r}.{place} Keep a "
        "DataFrame in obsm, or leave out `--feature-key`, `--only-features` and `--drop-features`."
    )


def parse_key(text: str) -> tuple[str, tuple[str, ...]]:
    """Column and values of `COLUMN` or `COLUMN=VALUE,..`.

    Raises:
        ConfigError: If one of them is empty.
    """
    column, equals, rest = text.partition("=")
    values = tuple(value.strip() for value in rest.split(",") if value.strip())
    if not column.strip() or (equals and not values):
        raise ConfigError(
            f"Expected `feature_key` to be COLUMN or COLUMN=VALUE,.., found {text!r}. Write for example "
            "`--feature-key highly_variable` or `--feature-key marker_class=type,state`."
        )
    return column.strip(), values


def names_in(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts, each `@FILE` replaced by the lines of the file.

    Raises:
        ConfigError: If a file cannot be read, or a text is empty.
    """
    names: list[str] = []
    for text in texts:
        if not text.strip():
            raise ConfigError("Expected names of features, found an empty text. Leave the option out.")
        if not text.startswith("@"):
            names.append(text)
            continue
        try:
            lines = Path(text[1:]).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"Expected a text file of names, one per line, found `{text[1:]}` that cannot be read "
                f"({type(error).__name__}). Write `--only-features @FILE` or `--drop-features @FILE`."
            ) from error
        found = [line.strip() for line in lines if line.strip()]
        if not found:
            raise ConfigError(f"Expected names, one per line, found none in `{text[1:]}`.")
        names += found
    return tuple(names)


def _known(texts: Sequence[str], names: Sequence[str], option: str, place: str) -> list[str]:
    """Names that the texts stand for: the whole text first, else its parts between commas."""
    known, chosen = set(names), []
    for text in texts:
        chosen += [text] if text in known else [part.strip() for part in text.split(",") if part.strip()]
    if unknown := [name for name in dict.fromkeys(chosen) if name not in known]:
        raise DataError(
            f"Expected the features {listed(unknown)} of `--{option}`, found none of that name among "
            f"{len(names)}, e.g. {listed(names, 3)}.{place}{nearest(unknown[0], names)} Correct the names."
        )
    return chosen


def _marked(key: str, var: "pd.DataFrame | None", place: str) -> "np.ndarray":
    import numpy as np

    name, values = parse_key(key)
    if var is not None and key in var.columns:  # a column whose name has an equals sign
        name, values = key, ()
    if var is None:
        raise DataError(
            f"Expected genes or markers with `--feature-key`, found an entry of obsm, which has no table of "
            f"features.{place} Leave it out, or choose by name with `--only-features`."
        )
    if name not in var.columns:
        columns = sorted(map(str, var.columns))
        raise DataError(
            f"Expected `var[{name!r}]`, found the columns {listed(columns, 10) or 'none'}.{place}"
            f"{nearest(name, columns)} Choose it with `--feature-key`."
        )
    texts = var[name].astype(object).map(_text).to_numpy(dtype=object)
    if values:
        if unknown := [value for value in values if value not in set(texts)]:
            raise DataError(
                f"Expected {listed(unknown)} in `var[{name!r}]`, found {listed(sorted(set(texts)))}.{place}"
                f"{nearest(unknown[0], set(texts))} Choose values with `--feature-key {name}=VALUE`."
            )
        return np.isin(texts, values)
    lowered = [text.casefold() for text in texts]
    if other := sorted({text for text in texts if text.casefold() not in (*_TRUE, *_FALSE, "")}):
        raise DataError(
            f"Expected true or false in `var[{name!r}]`, found {listed(other)}.{place} Say which to use with "
            f"`--feature-key {name}={other[0]}`."
        )
    return np.isin(lowered, _TRUE)


def _text(value: object) -> str:
    return "" if value is None or value != value else re.sub(r"\.0$", "", str(value).strip())


_CHANNELS = re.compile(
    r"time|event[_ ]?(length|number|#)|width|center|offset|residual|file[_ ]?(number|no)|barcodes?"
    r"|(fsc|ssc)([-_. ].*)?|live[-_/ ]?dead|viability|cisplatin|beads?[0-9]*|dna[-_ ]?[0-9]",
    re.IGNORECASE,
)
_ROLES = re.compile(
    r"beads?[0-9]*|eqbeads?|dna[0-9]*|bc[0-9]*|barcodes?[0-9]*|viability|live|dead|livedead|cisplatin|intercalator",
    re.IGNORECASE,
)
_METAL = re.compile(r"([a-z]{2}[0-9]{2,3}|[0-9]{2,3}[a-z]{2})(di|dd)?", re.IGNORECASE)
_UNLABELLED = re.compile(
    r"(ce140|140ce|ir19[13]|19[13]ir|pd1(0[24568]|10)|1(0[24568]|10)pd|pt19[4-8]|19[4-8]pt)(di|dd)?",
    re.IGNORECASE,
)


def no_markers(names: Sequence[str]) -> list[str]:
    """Names of channels of a cytometer that are no markers: time, scatter, beads, DNA, viability, barcodes.

    Whole names only, or a metal tag alone or beside such a word, so that genes such as TIMELESS stay.
    """
    found = [name for name in names if _is_channel(name.strip())]
    dna = [name for name in found if name.strip().upper() == "DNA2"]
    return found if len(found) > len(dna) else []  # DNA2 is a gene, too


def _is_channel(name: str) -> bool:
    if _CHANNELS.fullmatch(name):
        return True
    words = [word for word in re.split(r"[-_ ./:()<>]+", name) if word]
    metals = [word for word in words if _METAL.fullmatch(word)]
    others = [word for word in words if word not in metals]
    if metals and not others:
        return all(_UNLABELLED.fullmatch(word) for word in metals)  # CD45 reads like cadmium
    return bool(metals) and all(_ROLES.fullmatch(word) for word in others)
