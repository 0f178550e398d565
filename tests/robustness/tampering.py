"""Model folders that somebody or something changed: each JSON value, each tensor, each file."""

import copy
import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.robustness.case import MAX_GROWN, Verdict
from tests.robustness.sound import Sound, alike, command_line, result, workplace

SUMS = "SHA256SUMS"
JSONS = ("config.json", "features.json", "summaries.json", "run.json")
TENSORS = ("weights.safetensors", "summaries.safetensors")
LOG = "history.jsonl"
TIMEOUT_S = 20.0
Path_ = tuple[str | int, ...]
Edit = Callable[[Path], None]


@dataclass(frozen=True)
class Tampered:
    """One change of a model folder.

    Attributes:
        name: File, place and change.
        edit: Called as `(folder)`, changes it.
        redigest: Whether the checksums are written again afterwards, as somebody would who does it on purpose.
        command: `predict`, or `inspect`.
    """

    name: str
    edit: Edit
    redigest: bool
    command: str = "predict"

    @property
    def id(self) -> str:
        return f"{self.name}{', new checksums' if self.redigest else ''}"


def redigested(folder: Path) -> None:
    """Write the checksums again, in the form of `sha256sum`."""
    files = [p for p in sorted(folder.iterdir()) if p.name != SUMS and p.is_file() and not p.is_symlink()]
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files]
    (folder / SUMS).write_text("".join(lines))


def leaves(value: object, path: Path_ = ()) -> Iterator[tuple[Path_, object]]:
    """Every value that holds no other, and every object and list, with its place."""
    if path:
        yield path, value
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in below:
        yield from leaves(part, (*path, key))


REMOVED = object()
TWICE = object()
DEEP = "[" * 10**5 + "]" * 10**5
LONG = "9" * 5000


def wrong_values(value: object) -> dict[str, object]:
    """What is put in place of a value, by name."""
    found: dict[str, object] = {"null": None, "removed": REMOVED, "nested": {"a": [value]}}
    if isinstance(value, bool):
        return found | {"text": "yes", "number": 7}
    if isinstance(value, int | float):
        return found | {
            "text": "x",
            "negative": -5,
            "huge": 10**9,
            "fraction": 0.37,
            "beyond": 1e308,
            "truth": True,
        }
    if isinstance(value, str):
        return found | {"number": 5, "empty": "", "other": f"{value}x", "list": [value], "long": "x" * 10**5}
    if isinstance(value, list):
        return found | {
            "empty": [],
            "twice": TWICE,
            "text": "x",
            "short": value[:-1],
            "backwards": value[::-1],
        }
    return found | {
        "empty": {},
        "list": [1],
        "more": {**value, "more": 1} if isinstance(value, dict) else {"more": 1},
    }


def _set(value: object, path: Path_, new: object) -> None:
    for key in path[:-1]:
        value = value[key]
    if new is REMOVED:
        del value[path[-1]]
    elif new is TWICE:
        value[path[-1]] = value[path[-1]] * 2
    else:
        value[path[-1]] = new


def _json_edit(file: str, path: Path_, new: object) -> Edit:
    def edit(folder: Path) -> None:
        value = json.loads((folder / file).read_text("utf-8"))
        _set(value, path, copy.deepcopy(new) if new not in (REMOVED, TWICE) else new)
        (folder / file).write_text(json.dumps(value, indent=2), "utf-8")

    return edit


def _raw_edit(file: str, path: Path_, text: str) -> Edit:
    """A value replaced by a text that no encoder writes."""

    def edit(folder: Path) -> None:
        value = json.loads((folder / file).read_text("utf-8"))
        _set(value, path, "@here@")
        (folder / file).write_text(json.dumps(value).replace('"@here@"', text), "utf-8")

    return edit


def json_changes(folder: Path, per_leaf: int) -> Iterator[tuple[str, Edit]]:
    """Changes of the JSON files, `per_leaf` of them for each place."""
    turn = 0
    for file in JSONS:
        for path, value in leaves(json.loads((folder / file).read_text("utf-8"))):
            where = f"{file}: {'.'.join(map(str, path))}"
            choices = list(wrong_values(value).items())
            for k in range(min(per_leaf, len(choices))):
                name, new = choices[(turn + k) % len(choices)]
                if new == value and type(new) is type(value):
                    continue
                yield f"{where} {name}", _json_edit(file, path, new)
            turn += 1
            if turn % 12 == 0:
                for name, text in (
                    ("nested 10^5 deep", DEEP),
                    ("of 5,000 digits", LONG),
                    ("NaN", "NaN"),
                    ("-inf", "-Infinity"),
                ):
                    yield f"{where} {name}", _raw_edit(file, path, text)
    yield (
        "features.json: genes backwards",
        _json_edit("features.json", ("transform", "input_genes"), [f"M{i}" for i in range(8)][::-1]),
    )
    yield (
        "features.json: names backwards",
        _json_edit("features.json", ("transform", "space", "names"), [f"M{i}" for i in range(8)][::-1]),
    )


def _read_tensors(file: Path) -> tuple[dict, bytes]:
    content = file.read_bytes()
    (n,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + n]), content[8 + n :]


def _write_header(file: Path, header: object, data: bytes) -> None:
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


def _arrays_edit(file: str, change: Callable[[dict[str, np.ndarray]], None]) -> Edit:
    def edit(folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        arrays = load_file(folder / file)
        change(arrays)
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, folder / file)

    return edit


def _filled(value: np.ndarray, number: float) -> np.ndarray:
    new = value.astype(value.dtype)
    if new.size:
        new.flat[0] = number
    return new


ARRAYS: dict[str, Callable[[dict, str], object]] = {
    "removed": lambda a, n: a.pop(n),
    "one longer": lambda a, n: a.__setitem__(
        n, np.concatenate([a[n], a[n][:1]]) if a[n].size else np.zeros(1, a[n].dtype)
    ),
    "one shorter": lambda a, n: a.__setitem__(n, a[n][:-1]),
    "one dimension more": lambda a, n: a.__setitem__(n, a[n][None]),
    "empty": lambda a, n: a.__setitem__(n, a[n].reshape(-1)[:0]),
    "of another type": lambda a, n: a.__setitem__(n, a[n].astype("i2")),
    "of half precision": lambda a, n: a.__setitem__(n, a[n].astype("f2")),
    "NaN": lambda a, n: a.__setitem__(
        n, _filled(a[n].astype("f8") if a[n].dtype.kind == "i" else a[n], np.nan)
    ),
    "infinite": lambda a, n: a.__setitem__(
        n, _filled(a[n].astype("f4") if a[n].dtype.kind == "i" else a[n], np.inf)
    ),
    "renamed": lambda a, n: a.__setitem__(f"{n}_", a.pop(n)),
    "negative": lambda a, n: a.__setitem__(n, -np.abs(a[n]) - 1),
    "huge": lambda a, n: a.__setitem__(n, _filled(a[n], 1e30 if a[n].dtype.kind == "f" else 2**40)),
}
DAMAGE = ("removed", "one longer", "one shorter", "one dimension more", "empty", "NaN", "infinite", "renamed")
"""Changes that every loading has to find, checksums or not."""


def tensor_changes(folder: Path, per_tensor: int) -> Iterator[tuple[str, Edit]]:
    """Changes of tensors and of the headers of their files."""
    turn = 0
    for file in TENSORS:
        header, _ = _read_tensors(folder / file)
        for name in sorted(set(header) - {"__metadata__"}):
            choices = list(ARRAYS.items())
            for k in range(per_tensor):
                what, change = choices[(turn + k) % len(choices)]
                yield f"{file}: {name} {what}", _arrays_edit(file, lambda a, n=name, c=change: c(a, n))
            turn += per_tensor
        yield f"{file}: one more", _arrays_edit(file, lambda a: a.__setitem__("more", np.zeros(3, "f4")))
        yield (
            f"{file}: one more of ours",
            _arrays_edit(file, lambda a: a.__setitem__("method.more", np.zeros(3, "f4"))),
        )
        yield f"{file}: none", _arrays_edit(file, lambda a: a.clear())
        for what, change in HEADERS.items():
            yield f"{file}: header {what}", _header_edit(file, change)


def _first(header: dict) -> dict:
    return header[sorted(set(header) - {"__metadata__"})[0]]


HEADERS: dict[str, Callable[[dict], object]] = {
    "offsets beyond": lambda h: _first(h).update(data_offsets=[0, 10**12]),
    "offsets backwards": lambda h: _first(h).update(data_offsets=[8, 0]),
    "negative offsets": lambda h: _first(h).update(data_offsets=[-8, 0]),
    "huge shape": lambda h: _first(h).update(shape=[10**12]),
    "negative shape": lambda h: _first(h).update(shape=[-1]),
    "unknown type": lambda h: _first(h).update(dtype="F7"),
    "without shape": lambda h: _first(h).pop("shape"),
}


def _header_edit(file: str, change: Callable[[dict], object]) -> Edit:
    def edit(folder: Path) -> None:
        header, data = _read_tensors(folder / file)
        change(header)
        _write_header(folder / file, header, data)

    return edit


def _bytes_edit(file: str, change: Callable[[bytes], bytes]) -> Edit:
    def edit(folder: Path) -> None:
        (folder / file).write_bytes(change((folder / file).read_bytes()))

    return edit


def _instead(file: str, create: Callable[[Path], object]) -> Edit:
    def edit(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        create(folder / file)

    return edit


FILES: dict[str, Callable[[str], Edit]] = {
    "removed": lambda f: _instead(f, lambda p: None),
    "empty": lambda f: _bytes_edit(f, lambda b: b""),
    "cut at a tenth": lambda f: _bytes_edit(f, lambda b: b[: len(b) // 10]),
    "cut in half": lambda f: _bytes_edit(f, lambda b: b[: len(b) // 2]),
    "cut at the end": lambda f: _bytes_edit(f, lambda b: b[:-3]),
    "longer": lambda f: _bytes_edit(f, lambda b: b + b"xyz"),
    "twice": lambda f: _bytes_edit(f, lambda b: b + b),
    "zeros": lambda f: _bytes_edit(f, lambda b: bytes(len(b))),
    "no UTF-8": lambda f: _bytes_edit(f, lambda b: b"\xff\xfe" + b),
    "a list": lambda f: _bytes_edit(f, lambda b: b"[1]"),
    "null": lambda f: _bytes_edit(f, lambda b: b"null"),
    "nested 10^5 deep": lambda f: _bytes_edit(f, lambda b: DEEP.encode()),
    "a number of 5,000 digits": lambda f: _bytes_edit(f, lambda b: LONG.encode()),
    "a bit flipped": lambda f: _bytes_edit(
        f, lambda b: b[: len(b) // 3] + bytes([b[len(b) // 3] ^ 4]) + b[len(b) // 3 + 1 :]
    ),
    "a folder": lambda f: _instead(f, lambda p: p.mkdir()),
    "a pipe": lambda f: _instead(f, os.mkfifo),
    "a link to nothing": lambda f: _instead(f, lambda p: p.symlink_to("nothing")),
    "a link to itself": lambda f: _instead(f, lambda p: p.symlink_to(p.name)),
    "a link to an endless device": lambda f: _instead(f, lambda p: p.symlink_to("/dev/zero")),
    "a link to /dev/null": lambda f: _instead(f, lambda p: p.symlink_to("/dev/null")),
    "a file of 3 GB": lambda f: _instead(
        f, lambda p: os.truncate(os.open(p, os.O_CREAT | os.O_WRONLY), 3 * 2**30)
    ),
}


def file_changes(folder: Path) -> Iterator[tuple[str, Edit]]:
    """Changes of whole files."""
    for file in (*JSONS, *TENSORS, LOG, SUMS):
        if not (folder / file).exists():
            continue
        for name, make in FILES.items():
            yield f"{file}: {name}", make(file)
    for name in ("notes.txt", "weights.pt", ".DS_Store", "config.json.bak"):
        yield f"one more: {name}", lambda folder, n=name: (folder / n).write_text("x")
    yield "a folder more", lambda folder: (folder / "more").mkdir()
    yield "nothing at all", lambda folder: [p.unlink() for p in folder.iterdir()]
    yield f"{LOG}: a line changed", _bytes_edit(LOG, lambda b: b.replace(b"train", b"trust", 1))
    yield f"{LOG}: a line removed", _bytes_edit(LOG, lambda b: b[b.index(b"\n") + 1 :])


def tampered(folder: Path, per_leaf: int = 3, per_tensor: int = 5) -> list[Tampered]:
    """All changes of a model folder, each with stale and with new checksums."""
    changes = [*json_changes(folder, per_leaf), *tensor_changes(folder, per_tensor), *file_changes(folder)]
    found, names = [], set()
    for i, (name, edit) in enumerate(changes):
        if name in names:
            continue
        names.add(name)
        for redigest in (False, True):
            if redigest and name.startswith(SUMS):
                continue
            found.append(Tampered(name, edit, redigest, "inspect" if i % 10 == 9 else "predict"))
    return found


PLAUSIBLE = (
    " other",
    " negative",
    " huge",
    " fraction",
    " backwards",
    " of half precision",
    " short",
    " of another type",
)
"""Changes that, with new checksums, make another sound model: who writes both can write any model."""


SPLIT = "features.json: split"
"""With new checksums, another list of the groups that were seen: samples that were not predicted are then."""


def must_fail(case: Tampered) -> bool:
    """Whether nothing but a refusal is right.

    Checksums that are stale always are; of new ones, damage that loading has to find whoever wrote them.
    """
    if not case.redigest:
        return case.name != "one more: .DS_Store"  # what a file browser leaves, and nobody reads
    damage = [f" {what}" for what in DAMAGE]
    return case.name.startswith(TENSORS) and case.name.endswith(tuple(damage)) and "weights" in case.name


def run_tampered(case: Tampered, sound: Sound) -> Verdict:
    """Predict with a changed folder."""

    def verdict(what: str, why: str = "") -> Verdict:
        return Verdict(f"folders: {case.id}", case.command, what, why)

    with workplace() as folder:
        model = folder / "model"
        shutil.copytree(sound.folder / "model", model)
        case.edit(model)
        if case.redigest:
            redigested(model)
        words = command_line("predict", "markers", [str(sound.folder / "markers.h5ad")], sound)
        words[1] = str(model)
        if case.command == "inspect":
            words = ["inspect", str(model), "--json"]
        done = sound.warm.run(words, folder, timeout_s=TIMEOUT_S)
        tail = done.text[-500:]
        if done.hung or done.grown > MAX_GROWN:
            return verdict("hang", f"{done.seconds:.0f} s, {done.grown / 2**20:.0f} MiB: {tail}")
        if done.traced:
            return verdict("traceback", tail)
        if done.code != 0:
            documented = {4} if not case.redigest else {2, 3, 4, 5, 6}
            return (
                verdict("refused")
                if done.code in documented
                else verdict("unclear", f"exit {done.code}: {tail}")
            )
        if must_fail(case):
            return verdict("silent", f"exit 0: {tail}")
        if case.command == "inspect":
            return verdict("same")
        same = alike(result("predict", folder, done), sound.reference("predict", "markers", ()))
        if same or (case.redigest and (case.name.endswith(PLAUSIBLE) or case.name.startswith(SPLIT))):
            return verdict("same")
        return verdict("silent", "another prediction")
