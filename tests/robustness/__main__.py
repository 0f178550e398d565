"""Run cases and print what came of them: `python -m tests.robustness [WORD ...]`."""

import collections
import sys
import tempfile
import time
from pathlib import Path

from tests.robustness.case import run
from tests.robustness.catalogue import all_cases
from tests.robustness.sound import Sound
from tests.robustness.warm import Warm


def main(words: list[str]) -> None:
    warm, counts = Warm(), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        sound = Sound(Path(folder), warm)
        for case in all_cases():
            if not all(word in case.id for word in words):
                continue
            started = time.monotonic()
            for verdict in run(case, sound):
                counts[(case.kind, verdict.what)] += 1
                if not verdict.good:
                    sys.stdout.write(
                        f"{verdict.what:<10} {verdict.case} | {verdict.command}: {verdict.why!r}\n"
                    )
            if time.monotonic() - started > 8:
                sys.stdout.write(f"slow       {case.id} {time.monotonic() - started:.1f} s\n")
            sys.stdout.flush()
    sys.stdout.write("".join(f"{key} {n}\n" for key, n in sorted(counts.items())))
    warm.close()


main(sys.argv[1:])
