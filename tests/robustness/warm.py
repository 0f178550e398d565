"""A warm process that forks one child per command, so that each starts in milliseconds.

A child that crashes, hangs or asks for too much memory harms nobody but itself. The warm process has one thread
and reads one JSON request a line; `Warm` is the side of the tests.
"""

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 20.0
MEMORY = 2 * 2**30
"""Bytes that a command may ask for beyond what is loaded."""


HEAVY = (
    "anndata", "h5py", "zarr", "scipy.sparse.linalg", "sklearn.decomposition", "torch", "safetensors.torch", "pydantic",
    "rich._emoji_codes", "ot", "networkx", "torchdiffeq", "matplotlib.figure", "matplotlib.backends.backend_agg",
    "torch._dynamo", "torch.utils._sympy.functions", "cellflow_cli.cli.app", "cellflow_cli.evaluation.evaluate",
    "cellflow_cli.model", "cellflow_cli.prediction", "cellflow_cli.report", "cellflow_cli.study",
)  # fmt: skip
"""Imported before the first command."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: Exit code; None where a signal ended it.
        signal: That signal, or None.
        hung: Whether it was stopped after the timeout.
        grown: Bytes of memory that it used at its peak beyond the warm process.
        stdout, stderr: What it printed.
        seconds: How long it ran.
    """

    code: int | None
    signal: int | None
    hung: bool
    grown: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.stdout + self.stderr

    @property
    def traced(self) -> bool:
        """Whether it ended as a fault of ours: a traceback, exit code 1 or a crash."""
        return "Traceback (most recent call last)" in self.text or self.code == 1 or bool(self.signal)


class Warm:
    """A warm process and what it is asked to run."""

    def __init__(self) -> None:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "COLUMNS": "200"}
        env |= {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.robustness.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=env,
        )

    def run(self, arguments, folder, *, timeout_s=TIMEOUT_S, memory=MEMORY, before=(), **how) -> Outcome:
        """A command line in `folder`.

        Args:
            arguments: Words after `cellflow`.
            folder: Current folder of the command.
            timeout_s: After which it counts as hung.
            memory: Bytes that it may ask for.
            before: Lines of Python that the child runs first.
            how: `kill_after_s`, or `kill_at` (n, after): SIGKILL at the n-th rename or removal.
        """
        with tempfile.TemporaryDirectory() as aside:
            request = {
                "arguments": [str(word) for word in arguments],
                "folder": str(folder),
                "timeout_s": timeout_s,
                "memory": memory,
                "aside": aside,
                "before": list(before),
                **how,
            }
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, f"the warm process ended with {self._process.wait(9)} at {arguments}"
            texts = [(Path(aside) / name).read_text("utf-8", errors="replace") for name in ("out", "err")]
        return Outcome(stdout=texts[0], stderr=texts[1], **json.loads(answer))

    def close(self) -> None:
        """End the warm process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _limit(extra: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _armed(n: int, after: bool) -> None:
    """Replace the calls that move or remove files by ones of which the n-th kills."""
    left = [n]

    def wrapped(call):
        def function(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*args, **kwargs)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return function

    for name in ("replace", "rename", "unlink", "rmdir", "mkdir", "fsync"):
        setattr(os, name, wrapped(getattr(os, name)))


def _child(request: dict) -> None:
    os.setsid()
    os.chdir(request["folder"])
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(f"{request['aside']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _limit(request["memory"])
    sys.argv = ["cellflow", *request["arguments"]]
    code = 0
    try:
        for line in request["before"]:
            exec(line, {"os": os, "Path": Path})
        if "kill_at" in request:
            _armed(*request["kill_at"])
        from cellflow_cli.cli.app import main

        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _watched(child: int, request: dict) -> tuple[int, bool, int]:
    """Wait status, whether it hung, and its peak memory in bytes."""
    started, hung = time.monotonic(), False
    deadline = started + request.get("kill_after_s", request["timeout_s"])
    handle = os.pidfd_open(child)
    if not select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0]:
        hung = "kill_after_s" not in request
    os.close(handle)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # and what it started
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return status, hung, usage.ru_maxrss * 1024


def serve() -> None:
    """Import all that is heavy, then fork for each request of the standard input."""
    for name in HEAVY:
        importlib.import_module(name)
    torch = sys.modules["torch"]
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        base = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _child(request)
        status, hung, peak = _watched(child, request)
        ended = os.WIFSIGNALED(status)
        answer = {
            "code": None if ended else os.WEXITSTATUS(status),
            "signal": os.WTERMSIG(status) if ended else None,
            "hung": hung,
            "grown": max(0, peak - base),
            "seconds": time.monotonic() - started,
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
