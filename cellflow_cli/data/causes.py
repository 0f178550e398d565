"""Why an open file could not be read, from the exceptions and the file itself."""

import contextlib
from pathlib import Path
from typing import Any

import h5py

from cellflow_cli.data.file_kinds import no_permission
from cellflow_cli.errors import DataError, listed


def unreadable(error: BaseException, handle: Any, path: Path) -> DataError:
    """The error for what stopped the reading of an open file, with its true cause."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or at.__context__
    said = " ".join(str(one) for one in chain).lower()
    if any(isinstance(one, MemoryError) for one in chain) or "allocat" in said:
        return memory_error(f"to read `{path}`", error)
    if denied := next((one for one in chain if isinstance(one, PermissionError)), None):
        return no_permission(Path(denied.filename or path))
    if filters := _missing_filters(handle):
        return DataError(
            f"Expected values that h5py can unpack, found some compressed with {listed(filters)}. "
            f"File `{path}`. Install the filters: `pip install hdf5plugin`. Then run the same command again."
        )
    if "codec" in said:
        return DataError(
            f"Expected values that zarr can unpack, found another codec ({first_line(error)}). Folder "
            f"`{path}`. Install the package that brings it (often `pip install numcodecs`, imagecodecs), or "
            "write the store again without compression."
        )
    return DataError(
        f"Expected a whole AnnData file, found one that cannot be read ({first_line(error)}). "
        f"File `{path}`. Copy or write it again."
    )


def memory_error(purpose: str, error: BaseException) -> DataError:
    """The error that memory ran out.

    Args:
        purpose: What for, as " to read `plate3.h5ad`".
        error: What was raised; it often says how much was requested.
    """
    return DataError(
        f"Expected enough memory {purpose}, found too little ({first_line(error)}). Run it where more is "
        "free, or bring less: a file with fewer cells or features, or with a sparse matrix."
    )


def _missing_filters(handle: Any) -> list[str]:
    """Names of compression filters of the file that h5py lacks."""
    names: set[str] = set()

    def visit(_: str, element: Any) -> None:
        if not isinstance(element, h5py.Dataset):
            return
        settings = element.id.get_create_plist()
        for at in range(settings.get_nfilters()):
            code, _, _, name = settings.get_filter(at)
            if not h5py.h5z.filter_avail(code):
                names.add(f"{name.decode(errors='replace') or 'filter'} ({code})")

    if isinstance(handle, h5py.File):
        with contextlib.suppress(OSError, RuntimeError, KeyError):
            handle.visititems(visit)
    return sorted(names)


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    return str(error).strip().split("\n")[0].strip("'\"") or type(error).__name__
