"""Names of half-written outputs, atomic renames, and what a run that was killed has left.

    .NAME.new-SPACE-PID-HEX   being written, or what an exchange took out; nobody needs it once PID has ended
    .NAME.old-SPACE-PID-HEX   the finished output, aside for the moment between two renames

SPACE stands for the machine, its start and its process space, within which PID has a meaning. Where the
system can exchange two names at once (Linux, macOS), nothing is ever put aside.
"""

import ctypes
import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import sys
import time
from pathlib import Path

_PATTERN = r"\.{}\.{}-(?P<space>[0-9a-f]{{8}})-(?P<pid>[0-9]+)-[0-9a-f]{{8}}"
_LONGEST = 120  # bytes of an output's name within that of its temporary; file systems allow 255
_FOREIGN_AGE_S = 7 * 24 * 3600
"""Leftovers of other machines, or from before a restart, are old enough to be nobody's after this long."""
_EXCHANGE, _NEW_ONLY = 2, 1  # RENAME_EXCHANGE and RENAME_NOREPLACE of Linux
_SWAP, _EXCLUSIVE = 2, 4  # RENAME_SWAP and RENAME_EXCL of macOS
_CANNOT = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}
_FDCWD = -100


def absolute(path: Path) -> Path:
    """The path from the root, without `..`; links stay as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def sibling(path: Path, kind: str = "new") -> Path:
    """A free hidden name beside `path` that says which process it belongs to; `kind` is new or old."""
    return path.with_name(f".{_stem(path)}.{kind}-{_space()}-{os.getpid()}-{secrets.token_hex(4)}")


def sweep(path: Path) -> None:
    """Remove what dead runs began to write to `path`; what living ones write stays."""
    for left in _left(path, "new"):
        remove(left)
    if os.path.lexists(path):
        for left in _left(path, "old"):
            remove(left)


def aside(path: Path) -> Path | None:
    """The finished output that a dead run left beside its missing `path`, if there is exactly one."""
    found = [] if os.path.lexists(path) else _left(path, "old")
    return found[0] if len(found) == 1 else None


def remove(path: Path) -> None:
    """Delete a file or folder; what cannot be deleted stays for the next `sweep`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False, and nothing done, where the system cannot."""
    return _renamed(one, other, _EXCHANGE, _SWAP)


def rename_new(source: Path, target: Path) -> None:
    """Rename to a name that must be free.

    Raises:
        FileExistsError: If it is not.
        OSError: As `os.rename`.
    """
    if _renamed(source, target, _NEW_ONLY, _EXCLUSIVE):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _renamed(source: Path, target: Path, on_linux: int, on_mac: int) -> bool:
    names = os.fsencode(source), os.fsencode(target)
    linux = sys.platform.startswith("linux")
    function = _system_function("renameat2" if linux else "renamex_np")
    if function is None:
        return False
    if linux:
        failed = function(_FDCWD, names[0], _FDCWD, names[1], ctypes.c_uint(on_linux))
    else:
        failed = function(*names, ctypes.c_uint(on_mac))
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(target))


@functools.cache
def _system_function(name: str) -> "ctypes._NamedFuncPointer | None":
    if os.name != "posix":
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), name, None)


def _left(path: Path, kind: str) -> list[Path]:
    """Siblings of one kind whose process has ended."""
    pattern = re.compile(_PATTERN.format(re.escape(_stem(path)), kind))
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return []
    matches = [match for match in map(pattern.fullmatch, names) if match]
    return [
        path.with_name(m[0]) for m in matches if _is_dead(path.with_name(m[0]), m["space"], int(m["pid"]))
    ]


def _is_dead(path: Path, space: str, pid: int) -> bool:
    if space == _space():
        return not _runs(pid)
    try:
        return time.time() - path.lstat().st_mtime > _FOREIGN_AGE_S
    except OSError:
        return False


def _runs(pid: int) -> bool:
    if os.name != "posix":  # elsewhere os.kill ends the process
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _stem(path: Path) -> str:
    name = os.fsencode(path.name)
    if len(name) <= _LONGEST:
        return path.name
    return f"{hashlib.sha256(name).hexdigest()[:32]}"


@functools.cache
def _space() -> str:
    """Eight digits for the machine, its start and its process space."""
    facts = [platform.node()]
    try:
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_bytes().decode())
        facts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    except OSError:
        facts.append("")
    return hashlib.sha256("\n".join(facts).encode("utf-8", "surrogateescape")).hexdigest()[:8]
