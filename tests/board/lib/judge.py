"""Judges the results of delegate_check.py and the counts of a run.

usage: judge.py [--steps N] [--stats STATS.json] [--busy-cores N] [CASES.json RESULTS]

Every case must have run on the delegate and have the reference's first class; pictures must be
within N steps (noise, which is no picture and has no class worth the name, is reported only). No
core may have faulted. Prints figures, or what is wrong with status 1.
SPDX-License-Identifier: MIT
"""
import argparse
import json
import sys


def judge_results(cases_file, results_file, steps):
    with open(cases_file) as stream:
        wanted = {case["name"] for case in json.load(stream)}
    worst, noise, seen, wrong = 0, 0, set(), []
    with open(results_file) as stream:
        results = [json.loads(line) for line in stream if line.startswith("{")]
    for result in results:
        name = result["name"]
        seen.add(name)
        if result["status"] != "ok":
            wrong.append(f"{name}: {result['status']}")
            continue
        if result["delegate_nodes"] == 0:
            wrong.append(f"{name}: the delegate took nothing")
        for output in result["outputs"]:
            if "/noise" in name:
                noise = max(noise, output["max_abs_diff"])
                continue
            worst = max(worst, output["max_abs_diff"])
            if output["max_abs_diff"] > steps:
                wrong.append(f"{name}: {output['max_abs_diff']} steps off")
            if not output["top1_equal"] and not name.startswith("op/"):
                wrong.append(f"{name}: another class")
    wrong += [f"{name}: did not run" for name in sorted(wanted - seen)]
    print(f"{len(results)} cases, at most {worst} steps off" + (f" (noise {noise})" if noise else ""))
    return wrong


def judge_stats(stats_file, busy_cores):
    with open(stats_file) as stream:
        cores = json.load(stream)["cores"]
    wrong = []
    for core in cores:
        for kind in ("faults", "iommu_faults"):
            if core[kind]:
                wrong.append(f"core {core['core']}: {core[kind]} {kind}")
    busy = sum(core["kicks"] > 0 for core in cores)
    if busy < busy_cores:
        wrong.append(f"only {busy} cores were used")
    print(f"{sum(core['kicks'] for core in cores)} kicks on {busy} cores, no fault")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--stats")
    parser.add_argument("--busy-cores", type=int, default=1)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    wrong = []
    if options.files:
        wrong += judge_results(*options.files, options.steps)
    if options.stats:
        wrong += judge_stats(options.stats, options.busy_cores)
    if wrong:
        print("; ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
