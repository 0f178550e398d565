"""How well are held-out patients predicted, and what does it cost? Runs the commands a user would type.

    python benchmarks/unseen_patients.py bcrxl   four folds of two donors, 24 markers
    python benchmarks/unseen_patients.py kang    two donors held out, raw counts, 30 components
    python benchmarks/unseen_patients.py cohort  the simulated example, six folds of four patients

Each fold is `cellflow train`, `predict`, `evaluate` as processes of their own, timed by the wall and
by the processor (which a busy machine changes less); memory is the largest resident set. The table
and the JSON hold energy distances per held-out patient for the model, doing nothing (identity) and
the mean shift.
"""

import argparse
import json
import os
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
        "folds": [f"patient={','.join(f'P{i:02d}' for i in range(k, 25, 6))}" for k in (1, 2, 3, 4, 5, 6)],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        usage="%(prog)s DATA [options] [-- OPTIONS OF TRAIN]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", choices=sorted(RUNS))
    parser.add_argument("--methods", default="mfm", help="comma list")
    parser.add_argument(
        "--other", action="store_true", help="also predict mfm from another sample's population"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=None, help="only the first N folds")
    parser.add_argument("--max-cells", type=int, default=2500, help="cells a side in evaluation")
    parser.add_argument("--keep", type=Path, default=None, help="keep models, predictions and reports here")
    parser.add_argument("--json", type=Path, default=None, help="write the result here")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:end], argparse.Namespace(train_options=sys.argv[end + 1 :]))
    run = RUNS[args.data]
    if not run["file"].exists():
        sys.exit(f"SKIPPED: no {run['file']} (set CELLFLOW_DATA to the folder of the real data)")
    with tempfile.TemporaryDirectory() as temporary:
        work = args.keep or Path(temporary)
        folds = [
            fold(run, held, work / f"{method}-{i}", method, args)
            for i, held in enumerate(run["folds"][: args.folds])
            for method in args.methods.split(",")
        ]
    report(pd.DataFrame([row for part in folds for row in part["scores"]]), folds)
    if args.json:
        args.json.write_text(json.dumps({"data": args.data, "seed": args.seed, "folds": folds}, indent=2))


def fold(run: dict, held: str, work: Path, method: str, args: argparse.Namespace) -> dict:
    """Train with some patients held out, predict them, evaluate; costs and all scores."""
    work.mkdir(parents=True, exist_ok=True)
    file, model = str(run["file"]), str(work / "model")
    options = ["--holdout", held, "--method", method, "--seed", str(args.seed), *args.train_options]
    costs = {"train": timed(["train", file, *run["options"], *options, "-o", model, "--force"])}
    scores = []
    for population in ("own", "other") if args.other and method != "fm" else ("own",):
        predicted, folder = str(work / f"{population}.h5ad"), str(work / f"report-{population}")
        command = ["predict", model, file, "-o", predicted, "--force"]
        command += ["--population", population] if population == "other" else []
        costs[f"predict {population}"] = timed(command)
        options = ["--model", model, "--max-cells", str(args.max_cells), "--no-page", "--force"]
        costs[f"evaluate {population}"] = timed(["evaluate", predicted, file, "-o", folder, *options])
        table = pd.read_csv(Path(folder) / "scores.csv")
        name = method if population == "own" else f"{method}, other population"
        table["predictor"] = table["predictor"].replace("model", name)
        scores += table.to_dict("records")
    facts = json.loads((Path(model) / "run.json").read_text())
    kept = {key: facts.get(key) for key in ("best_step", "validation_energy", "solver_error")}
    return {"held_out": held, "method": method, "costs": costs, "scores": scores, **kept}


def timed(command: list[str]) -> dict:
    """Run one command; wall and processor seconds and the largest resident set in MB."""
    print("$ cellflow", *command, flush=True)
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "cellflow_cli", *command], stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        stderr.seek(0)
        text = stderr.read().strip()
    if process.returncode:
        sys.exit(text)
    print("  " + text.replace("\n", "\n  "), flush=True)
    wall, cpu = time.monotonic() - started, usage.ru_utime + usage.ru_stime
    return {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "peak_mb": round(usage.ru_maxrss / 1024)}


def report(scores: pd.DataFrame, folds: list[dict]) -> None:
    """Energy per held-out group and condition, means of all metrics, wins, and costs."""
    pd.set_option("display.width", 200)
    energy = scores[scores["metric"] == "energy"]
    per_group = energy.groupby(["group", "predictor"])["value"].mean().unstack()
    print("\nEnergy distance per held-out group\n", per_group.round(4).to_string())
    if energy["treatment"].nunique() > 1:
        labels = [energy["treatment"], energy["dose"].fillna(0)]
        print(
            "\nper condition\n",
            energy.pivot_table(index=labels, columns="predictor", values="value").round(4).to_string(),
        )
    means = (
        scores.groupby(["metric", "predictor", "group"])["value"]
        .mean()
        .groupby(["metric", "predictor"])
        .mean()
        .unstack()
    )
    print("\nMean over groups\n", means.round(4).to_string())
    methods = {part["method"] for part in folds}
    for model in [name for name in per_group.columns if name.split(",")[0] in methods]:
        for other in per_group.columns.drop([model, "floor"]):
            both = per_group[[model, other]].dropna()
            wins, ratio = int((both[model] < both[other]).sum()), both[model].mean() / both[other].mean()
            print(f"{model} better than {other} on {wins} of {len(both)}; ratio of means {ratio:.3f}")
    for part in folds:
        costs = ", ".join(
            f"{name} {c['wall_s']} s ({c['cpu_s']} s of processor time) {c['peak_mb']} MB"
            for name, c in part["costs"].items()
        )
        print(f"{part['method']}, {part['held_out']} held out: {costs}; best step {part['best_step']}")


if __name__ == "__main__":
    main()
