"""How well are held-out patients predicted, and what does it cost? Runs the commands a user would type.

    python benchmarks/unseen_patients.py bcrxl   four folds of two donors, 24 markers
    python benchmarks/unseen_patients.py kang    two donors held out, raw counts, 30 components
    python benchmarks/unseen_patients.py cohort  the simulated example, six patients held out

Each fold is `cellflow train`, `predict`, `evaluate` as processes of their own; times are wall
times, memory is the largest resident set of one process. The table and the JSON hold energy
distances per held-out patient for the model, doing nothing (identity) and the mean shift.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("CELLFLOW_DATA", ROOT.parent / "shared" / "data"))
COLUMNS = ["--treatment-key", "treatment", "--control", "control"]
RUNS = {
    "bcrxl": {
        "file": DATA / "bodenmiller2012_bcrxl.h5ad",
        "options": [*COLUMNS, "--sample-key", "donor"],
        "folds": [f"donor=patient{i},patient{i + 1}" for i in (1, 3, 5, 7)],
    },
    "kang": {
        "file": DATA / "kang2018_ifnb_pbmc.h5ad",
        "options": [*COLUMNS, "--sample-key", "donor", "--features", "pca:30", "--expression", "counts"],
        "folds": ["donor=101,1015"],
    },
    "cohort": {
        "file": ROOT / "example_data" / "cohort.h5ad",
        "options": [*COLUMNS, "--sample-key", "patient", "--dose-key", "dose"],
        "folds": ["patient=P19,P20,P21,P22,P23,P24"],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=sorted(RUNS))
    parser.add_argument("--method", default="mfm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=None, help="only the first N folds")
    parser.add_argument("--max-cells", type=int, default=2500, help="cells a side in evaluation")
    parser.add_argument("--metrics", default=None, help="comma list; default: all")
    parser.add_argument("--keep", type=Path, default=None, help="keep models, predictions and reports here")
    parser.add_argument("--json", type=Path, default=None, help="write the result here")
    parser.add_argument("train_options", nargs="*", help="after --: further options of train")
    args = parser.parse_args()
    run = RUNS[args.data]
    if not run["file"].exists():
        sys.exit(f"SKIPPED: no {run['file']} (set CELLFLOW_DATA to the folder of the real data)")
    work = Path(tempfile.mkdtemp())
    folds = [fold(run, held, work / str(i), args) for i, held in enumerate(run["folds"][: args.folds])]
    result = {"data": args.data, "method": args.method, "seed": args.seed, "folds": folds}
    report(pd.DataFrame([row for part in folds for row in part["scores"]]), folds)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2))
    if args.keep:
        shutil.copytree(work, args.keep, dirs_exist_ok=True)
    shutil.rmtree(work)


def fold(run: dict, held: str, work: Path, args: argparse.Namespace) -> dict:
    work.mkdir()
    file, model, predicted, scores = str(run["file"]), work / "model", work / "predicted.h5ad", work / "report"
    commands = {
        "train": ["train", file, *run["options"], "--holdout", held, "--method", args.method,
                  "--seed", str(args.seed), "-o", str(model), *args.train_options],
        "predict": ["predict", str(model), file, "-o", str(predicted)],
        "evaluate": ["evaluate", str(predicted), file, "-o", str(scores), "--max-cells", str(args.max_cells)],
    }  # fmt: skip
    if args.metrics:
        commands["evaluate"] += ["--metrics", args.metrics]
    costs = {name: timed([shutil.which("cellflow") or "cellflow", *command]) for name, command in commands.items()}
    facts = json.loads((model / "run.json").read_text())
    table = pd.read_csv(scores / "scores.csv")
    return {
        "held_out": held,
        "costs": costs,
        "best_step": facts["best_step"],
        "validation_energy": facts["validation_energy"],
        "summary": json.loads((scores / "summary.json").read_text()),
        "scores": table[table["metric"] == "energy"].to_dict("records"),
    }


def timed(command: list[str]) -> dict:
    print("$ cellflow", *command[1:], flush=True)
    started = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    stderr = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(stderr)
    print("  " + stderr.strip().replace("\n", "\n  "), flush=True)
    return {"seconds": round(time.monotonic() - started, 1), "peak_mb": round(usage.ru_maxrss / 1024)}


def report(scores: pd.DataFrame, folds: list[dict]) -> None:
    table = scores.groupby(["group", "row"])["value"].mean().unstack()
    pd.set_option("display.width", 200)
    print("\nEnergy distance per held-out group\n", table.round(4).to_string())
    mean = table.mean()
    print("\nMean\n", mean.round(4).to_string())
    for row in ("identity", "mean-shift"):
        wins = int((table["model"] < table[row]).sum())
        print(f"better than {row} on {wins} of {len(table)}; ratio of means {mean['model'] / mean[row]:.3f}")
    for part in folds:
        costs = ", ".join(f"{name} {c['seconds']} s {c['peak_mb']} MB" for name, c in part["costs"].items())
        print(f"{part['held_out']}: {costs}; best step {part['best_step']}")
    print("children peak MB", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)


if __name__ == "__main__":
    main()
