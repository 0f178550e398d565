#!/usr/bin/env bash
# The main job end to end on the simulated cohort; results go to the folder given (default: demo).
set -euo pipefail
out=${1:-demo}
data=$(dirname "$0")/cohort.h5ad
run() { printf '\n$ %s\n' "$*"; "$@"; }
mkdir -p "$out"

run cellflow train "$data" \
    --treatment-key treatment --control control --sample-key patient --dose-key dose \
    --holdout patient=P02,P06,P20,P22 -o "$out/model" --force
run cellflow predict "$out/model" "$data" -o "$out/predicted.h5ad" --force
run cellflow evaluate "$out/predicted.h5ad" "$data" --model "$out/model" -o "$out/report" --force

printf '\nFiles:\n  %s  the trained model\n  %s  predicted cells of the patients P02, P06, P20 and P22\n  %s  every score\n  %s  the report: open it in a browser\n' \
    "$out/model/" "$out/predicted.h5ad" "$out/report/scores.csv" \
    "$out/report/report.html"
