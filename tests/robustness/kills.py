"""SIGKILL at random moments of a run that replaces an output: the old one or the new one is whole afterwards."""

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anndata
import pandas as pd

from tests.robustness.case import Verdict
from tests.robustness.sound import Sound, command_line, output_of, workplace

COMMANDS = ("train", "predict", "evaluate", "compare")
SEED = 20260730


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        command: What is killed.
        number: Which of its kills.
        at: Before or after which call that moves, removes, makes or syncs a file; None: by the clock.
        share: Share of the usual time of the command, where it is by the clock.
    """

    command: str
    number: int
    at: tuple[int, bool] | None
    share: float

    @property
    def id(self) -> str:
        when = (
            f"{'after' if self.at[1] else 'before'} call {self.at[0]}" if self.at else f"at {self.share:.0%}"
        )
        return f"{self.command} {self.number}, {when}"


def kills(n: int) -> list[Kill]:
    """`n` kills, the same in every run: half of them at a call that moves a file, half by the clock."""
    rng, found = random.Random(SEED), []
    for i in range(n):
        command = COMMANDS[i % len(COMMANDS)]
        turn = i // len(COMMANDS)
        at = (1 + turn // 2 % 14, bool(turn // 2 % 2)) if turn % 2 == 0 else None
        found.append(Kill(command, turn, at, rng.uniform(0.05, 1.05)))
    return found


def _line(command: str, sound: Sound, steps: int) -> list[str]:
    words = command_line(command, "markers", [str(sound.folder / "markers.h5ad")], sound)
    words = [str(steps) if words[i - 1] == "--steps" else word for i, word in enumerate(words)]
    return words if command == "compare" else [*words, "--force"]


def _whole(command: str, out: Path) -> str:
    """Why an output is not whole; empty if it is."""
    try:
        if command == "train":
            from cellflow_cli.model import load

            load(out, device="cpu")
        elif command == "predict":
            assert anndata.read_h5ad(out).n_obs == 75
        elif command == "evaluate":
            assert len(pd.read_csv(out / "scores.csv")) > 0
            json.loads((out / "summary.json").read_text())
        else:
            for job in out.rglob("job.json"):
                json.loads(job.read_text())
                assert len(pd.read_csv(job.parent / "scores.csv")) > 0
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return ""


def _stray(folder: Path) -> list[str]:
    """Temporaries and partial outputs in a folder."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    return sorted(name for name in names if "/." in f"/{name}" or ".partial" in name)


def run_kills(chosen: list[Kill], sound: Sound) -> Iterator[tuple[Kill, Verdict]]:
    """Each kill in a folder of its own with a finished output, then the same command once more."""
    usual: dict[str, float] = {}
    for kill in chosen:
        with workplace() as folder:
            yield kill, _killed(kill, sound, folder, usual)


def _killed(kill: Kill, sound: Sound, folder: Path, usual: dict[str, float]) -> Verdict:
    def verdict(what: str, why: str = "") -> Verdict:
        return Verdict(f"kills: {kill.id}", kill.command, what, why)

    store = sound.folder / f"finished-{kill.command}"
    out = folder / output_of(kill.command)
    if not store.exists():
        store.mkdir()
        done = sound.warm.run(_line(kill.command, sound, 2), store, timeout_s=60)
        assert done.code == 0, done.text
        usual[kill.command] = done.seconds
    if kill.command not in usual:
        usual[kill.command] = 1.0
    if kill.command != "compare":
        _copy(store / out.name, out)
    how = {"kill_at": kill.at} if kill.at else {"kill_after_s": kill.share * usual[kill.command]}
    sound.warm.run(_line(kill.command, sound, 3), folder, timeout_s=60, **how)
    if kill.command != "compare" and not out.exists():
        hidden = _stray(folder)
        again = sound.warm.run(_line(kill.command, sound, 3), folder, timeout_s=60)
        return verdict(
            "lost", f"no output; beside it {hidden}; the next run: {again.code} {again.stderr[-300:]}"
        )
    if out.exists() and (why := _whole(kill.command, out)):
        return verdict("lost", why)
    again = sound.warm.run(_line(kill.command, sound, 3), folder, timeout_s=60)
    if again.traced or again.code != 0:
        return verdict("traceback" if again.traced else "unclear", f"the next run: {again.text[-400:]}")
    if why := _whole(kill.command, out):
        return verdict("lost", f"after the next run: {why}")
    if stray := _stray(folder):
        return verdict("lost", f"left after the next run: {stray}")
    return verdict("same")


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
