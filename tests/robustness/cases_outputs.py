"""Outputs: that exist, cannot be written, lie inside the input, or have no name."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.robustness.case import Case, Right, refused
from tests.robustness.cases_files import NOBODY
from tests.robustness.sound import Sound, command_line, markers, write

KIND = "outputs"
WRITERS = ("train", "predict", "evaluate", "export", "compare")
REFUSED = refused("", codes=(2, 8))
FULL = ("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))",)


def _line(name: str, *more: str) -> Callable[[str, list[str], Sound], list[str]]:
    def line(command: str, files: list[str], sound: Sound) -> list[str]:
        words = command_line(command, "markers", files, sound)
        at = words.index("-o")
        words[at + 1] = name.replace("{end}", ".h5ad" if command == "predict" else "")
        return [*words, *(m for m in more if command != "compare" or m != "--force")]

    return line


def _sound(folder: Path, sound: Sound) -> list[str]:
    return [str(sound.folder / "markers.h5ad")]


def _prepared(prepare: Callable[[Path], object]) -> Callable[[Path, Sound], list[str]]:
    def make(folder: Path, sound: Sound) -> list[str]:
        prepare(folder)
        return _sound(folder, sound)

    return make


def _folder_of_theirs(folder: Path) -> None:
    for name in ("theirs", "theirs.h5ad"):
        (folder / name).mkdir()
        (folder / name / "thesis.txt").write_text("keep me")


def _file_of_theirs(folder: Path) -> None:
    for name in ("theirs", "theirs.h5ad"):
        (folder / name).write_text("keep me")


def _closed(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o555)


def _zarr(folder: Path, sound: Sound) -> list[str]:
    write(markers(), folder / "in.zarr")
    return ["in.zarr"]


def _copied(folder: Path, sound: Sound) -> list[str]:
    shutil.copy(sound.folder / "markers.h5ad", folder / "in.h5ad")
    (folder / "link.h5ad").symlink_to("in.h5ad")
    return ["in.h5ad"]


def cases() -> Iterator[Case]:
    """All of this kind."""
    for name, text in {"nothing": "", "blanks": " ", "the root": "/", "the current folder": ".", "the folder above": "..",
                       "a device": "/dev/null", "below a device": "/dev/null/x{end}", "in /proc": "/proc/x{end}",
                       "a long name": "x" * 300 + "{end}", "a long path": "x/" * 3000 + "x{end}", "an address": "s3://b/x{end}",
                       "a name of dots": "...{end}"}.items():  # fmt: skip
        ok = name in ("blanks", "a name of dots")
        for command in WRITERS:
            right = REFUSED | Right(runs=ok)
            if command == "compare" and text in ("", "."):  # a study may be the current folder
                right = REFUSED | Right(runs=True)
            if name == "blanks" and command == "predict":
                right = REFUSED
            yield Case(KIND, f"{command} to {name}", _sound, {command: right}, line=_line(text))
    for command in WRITERS:
        right = {command: refused("theirs", codes=(8,) if command != "compare" else (2, 3, 8))}
        for force in ((), ("--force",)):
            label = f"{command} over {{}}{' by --force' if force else ''}"
            yield Case(
                KIND,
                label.format("a folder of theirs"),
                _prepared(_folder_of_theirs),
                right,
                line=_line("theirs{end}", *force),
            )
            if command != "predict" or not force:
                yield Case(
                    KIND,
                    label.format("a file of theirs"),
                    _prepared(_file_of_theirs),
                    right,
                    line=_line("theirs{end}", *force),
                )
        yield Case(KIND, f"{command} below a file", _prepared(_file_of_theirs), {command: refused("theirs", codes=(8,))},
                   line=_line("theirs/out{end}"))  # fmt: skip
        yield Case(KIND, f"{command} in a closed folder", _prepared(_closed), {command: refused("closed", codes=(8,))},
                   line=_line("closed/out{end}"), before=NOBODY)  # fmt: skip
        yield Case(KIND, f"{command} on a full disk", _sound, {command: refused("", codes=(8,))},
                   line=_line("full{end}"), before=FULL)  # fmt: skip
        yield Case(
            KIND,
            f"{command} inside its input",
            _zarr,
            {command: refused("in.zarr", codes=(8,))},
            line=_line("in.zarr/out{end}"),
        )
        yield Case(KIND, f"{command} deep inside its input", _zarr, {command: refused("in.zarr", codes=(8,))},
                   line=_line("in.zarr/obs/a/out{end}"))  # fmt: skip
        for name in ("in.h5ad", "link.h5ad", "./in.h5ad"):
            yield Case(KIND, f"{command} onto {name}, its input", _copied, {command: refused("in.h5ad|link.h5ad", codes=(8,))},
                       line=_line(name, "--force"))  # fmt: skip
        yield Case(
            KIND,
            f"{command} onto its zarr",
            _zarr,
            {command: refused("in.zarr", codes=(8,))},
            line=_line("in.zarr", "--force"),
        )
    for name in ("out", "out.h5ad/", "out.zarr", "out.csv", "out.h5ad.gz"):
        if name != "out.h5ad/":
            yield Case(
                KIND,
                f"a prediction called {name}",
                _sound,
                {"predict": refused("h5ad", codes=(8,))},
                line=_line(name),
            )
    for name in ("müller", "a b", "[red]x", "$x_{$", "a\nb", "'q\"", "-o", "%s{}"):
        for command in ("train", "predict", "evaluate"):
            if name != "-o":
                yield Case(
                    KIND,
                    f"{command} to {name!r}",
                    _sound,
                    {command: Right(runs=True)},
                    line=_line(name + "{end}"),
                )
