"""A case: an input, what is right for each command, and what came of it."""

import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.robustness.sound import Sound, alike, command_line, output_of, result, workplace
from tests.robustness.warm import Outcome

FAULTS = ("traceback", "hang", "silent", "lost", "unclear", "refused wrongly", "disagreement")
GOOD = ("refused", "warned", "same")
MAX_GROWN = 2 * 2**30


@dataclass(frozen=True)
class Right:
    """What is right for a command.

    Attributes:
        codes: Exit codes with which it may refuse; empty: it may not.
        names: Regular expressions, each of which a refusal has to contain.
        warns: Regular expression of a warning with which it may go on.
        same: Whether it may end with exit code 0 and the sound output.
        runs: Whether it may end with exit code 0, whatever the output.
    """

    codes: frozenset[int] = frozenset()
    names: tuple[str, ...] = ()
    warns: str | None = None
    same: bool = False
    runs: bool = False

    def __or__(self, other: "Right") -> "Right":
        return Right(
            self.codes | other.codes,
            self.names + other.names,
            self.warns or other.warns,
            self.same or other.same,
            self.runs or other.runs,
        )


def refused(*names: str, codes: tuple[int, ...] = (3,)) -> Right:
    """A documented exit code and a message that names things."""
    return Right(codes=frozenset(codes), names=names)


def warned(text: str) -> Right:
    """Exit code 0, and a warning that contains a word."""
    return Right(warns=text)


SAME = Right(same=True)
RUNS = Right(runs=True)


@dataclass(frozen=True)
class Case:
    """An input and what is right.

    Attributes:
        kind, name: Which.
        make: Called as `(folder, sound)`, writes into `folder` and returns the words that stand for the data.
        right: By command.
        base: `markers` or `counts`: what it was made of.
        options: Words added to every command.
        before: Lines of Python that the process of the command runs first.
        line: Called as `(command, files, sound)`, the words of the command; left out: the usual.
    """

    kind: str
    name: str
    make: Callable[[Path, Sound], list[str]]
    right: Mapping[str, Right]
    base: str = "markers"
    options: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    line: Callable[[str, list[str], Sound], list[str]] | None = None

    @property
    def id(self) -> str:
        return f"{self.kind}: {self.name}"


@dataclass(frozen=True)
class Verdict:
    """What came of a command: one of GOOD or FAULTS, and why."""

    case: str
    command: str
    what: str
    why: str = ""

    @property
    def good(self) -> bool:
        return self.what in GOOD


def run(case: Case, sound: Sound) -> Iterator[Verdict]:
    """Run the commands of a case."""
    seen = {}
    with workplace() as folder:
        with warnings.catch_warnings(action="ignore"):
            files = case.make(folder, sound)
        for command, right in case.right.items():
            line = case.line or (lambda c, f, s: command_line(c, case.base, f, s, case.options))
            before = _snapshot(folder)
            words = line(command, files, sound)
            done = sound.warm.run(words, folder, before=case.before)
            seen[command] = done.code
            verdict = _verdict(case, command, right, done, folder, sound)
            if verdict.what != "hang" and (left := _left(command, words, done, before, _snapshot(folder))):
                verdict = Verdict(case.id, command, "lost", left)
            yield verdict
            _remove(folder / (output_of(command) or "out"), before)
    if {"check", "train"} <= set(seen) and case.line is None and (seen["check"] == 0) != (seen["train"] == 0):
        yield Verdict(case.id, "check", "disagreement", f"check {seen['check']}, train {seen['train']}")


def _verdict(case: Case, command: str, right: Right, done: Outcome, folder: Path, sound: Sound) -> Verdict:
    def verdict(what: str, why: str = "") -> Verdict:
        return Verdict(case.id, command, what, why)

    tail = done.text[-600:]
    if done.hung or done.grown > MAX_GROWN:
        return verdict("hang", f"{done.seconds:.0f} s, {done.grown / 2**20:.0f} MiB: {tail}")
    if done.traced or "Exception ignored" in done.text:
        return verdict("traceback", f"exit {done.code}, signal {done.signal}: {tail}")
    if done.code == 0:
        if right.warns and _warns(right.warns, done.text):
            return verdict("warned")
        if right.runs:
            return verdict("same")
        if right.same:
            same = alike(result(command, folder, done), sound.reference(command, case.base, case.options))
            return verdict("same") if same else verdict("silent", "other numbers than of the sound input")
        return verdict("silent", f"exit 0: {tail}")
    if done.code not in right.codes:
        what = "unclear" if right.codes else "refused wrongly"
        return verdict(what, f"exit {done.code}, expected {sorted(right.codes)}: {tail}")
    flat = " ".join(done.text.split())
    missing = [text for text in right.names if not re.search(text, flat, re.IGNORECASE)]
    return verdict("unclear", f"no {missing} in: {tail}") if missing else verdict("refused")


def _warns(text: str, printed: str) -> bool:
    flat = " ".join(printed.split()).replace("0 warning(s)", "")
    return bool(re.search("warning|error: ", flat, re.IGNORECASE) and re.search(text, flat, re.IGNORECASE))


def _snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Files of a folder, each with its size and time."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (
            (status.st_size, status.st_mtime_ns) if path.is_file() else (0, 0)
        )
    return found


def _left(command: str, words: list[str], done: Outcome, before: dict, after: dict) -> str:
    """What a command changed that it should not have."""
    out = words[words.index("-o") + 1] if "-o" in words else ""
    changed = [name for name in before if after.get(name) != before[name] and not _below(name, out)]
    new = [name for name in after if name not in before]
    allowed = [out, f"{out}.partial"] if done.code in (0, 7, 9) or command == "compare" else []
    stray = [name for name in new if not any(_below(name, root) for root in allowed if root)]
    if done.code == 0 and command not in ("check",):
        stray = [
            name for name in stray if re.search(r"(^|/)\.[^./]", name)
        ]  # temporaries; the output may be elsewhere
    return f"changed {changed[:3]}, left {stray[:3]}" if changed or stray else ""


def _below(name: str, root: str) -> bool:
    return bool(root) and (name == root or name.startswith(f"{root}/"))


def _remove(path: Path, before: dict) -> None:
    if path.name in before:
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
