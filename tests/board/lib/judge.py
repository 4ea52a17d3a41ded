"""Judges the results of delegate_check.py and the counts of a run.

usage: judge.py [--steps N] [--exact] [--known CASE]... [--stats STATS.json] [--busy-cores N]
                [CASES.json RESULTS]

Every case must have run on the delegate and, if it is one of a classifier (a single output), have
the reference's first class; pictures must be within N steps (noise, which is no picture and has no
class worth the name, is reported only; so is a CASE known to be farther off). With --exact the
outputs must also be those of exact_outputs.py. No core may have faulted. Prints figures, or what is
wrong with status 1.
SPDX-License-Identifier: MIT
"""
import argparse
import json
import sys


def judge_results(cases_file, results_file, steps, exact, known):
    with open(cases_file) as stream:
        wanted = {case["name"] for case in json.load(stream)}
    worst, noise, seen, wrong, known_to_be = 0, 0, set(), [], []
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
        if exact and not result.get("exact_equal"):
            wrong.append(f"{name}: not what exact arithmetic gives")
        for output in result["outputs"]:
            if "/noise" in name:
                noise = max(noise, output["max_abs_diff"])
                continue
            if name in known:
                as_known = f"{name} {output['max_abs_diff']} steps off"
                known_to_be.append(as_known + ("" if output["top1_equal"] else ", another class"))
                continue
            worst = max(worst, output["max_abs_diff"])
            if output["max_abs_diff"] > steps:
                wrong.append(f"{name}: {output['max_abs_diff']} steps off")
            if not output["top1_equal"] and not name.startswith("op/") and len(result["outputs"]) == 1:
                wrong.append(f"{name}: another class")
    wrong += [f"{name}: did not run" for name in sorted(wanted - seen)]
    print(f"{len(results)} cases, at most {worst} steps off" + (f" (noise {noise})" if noise else ""))
    if exact:
        print("all as exact arithmetic gives")
    if known_to_be:
        print(f"known: {', '.join(known_to_be)}")
    return wrong


def judge_stats(stats_file, busy_cores):
    with open(stats_file) as stream:
        cores = json.load(stream)["cores"]
    wrong = []
    for core in cores:
        for kind in ("faults", "iommu_faults"):
            if core.get(kind):
                wrong.append(f"core {core['core']}: {core[kind]} {kind}")
    # What the RK3588 calls a kick is a job of one of the two engines of the A311D.
    kicks = [core["kicks"] if "kicks" in core else core["nn_jobs"] + core["tp_jobs"] for core in cores]
    busy = sum(count > 0 for count in kicks)
    if busy < busy_cores:
        wrong.append(f"only {busy} cores were used")
    print(f"{sum(kicks)} kicks on {busy} cores, no fault")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--known", action="append", default=[])
    parser.add_argument("--stats")
    parser.add_argument("--busy-cores", type=int, default=1)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    wrong = []
    if options.files:
        wrong += judge_results(*options.files, options.steps, options.exact, options.known)
    if options.stats:
        wrong += judge_stats(options.stats, options.busy_cores)
    if wrong:
        print("; ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
