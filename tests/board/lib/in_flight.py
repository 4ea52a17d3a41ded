"""Judges the report of guest/in_flight.py on ferrite.ko and the counts of its run.

usage: in_flight.py REPORT.json STATS.json

The interpreters must have had one opening of the node, the model's constants once, and a core each; and what
is handed over for an inference must be its input and output, within 5 %.
SPDX-License-Identifier: MIT
"""
import json
import sys


def main():
    report, stats = [json.load(open(name)) for name in sys.argv[1:]]
    wrong = []
    if report["openings"] != 1:
        wrong.append(f"{report['openings']} openings of the node")
    if not report["memory_of_one"] or report["memory_of_all"] >= 2 * report["memory_of_one"]:
        wrong.append(f"{report['memory_of_all']} bytes of buffers, {report['memory_of_one']} with one interpreter")
    for there, here in (("to_npu", "input"), ("to_cpu", "output")):
        if report[there] is None or abs(report[there] - report[here]) > 0.05 * report[here]:
            wrong.append(f"{there}: {report[there]} bytes for an {here} of {report[here]}")
    kicks = [core["kicks"] for core in stats["cores"]]
    if stats["most_cores_at_once"] < len(kicks) or min(kicks) < 0.1 * sum(kicks):
        wrong.append(f"kicks {kicks}, at most {stats['most_cores_at_once']} cores at once")
    if any(core["faults"] for core in stats["cores"]):
        wrong.append("faults")
    if wrong:
        sys.exit("; ".join(wrong))
    print(f"kicks {kicks}, {report['memory_of_one']} bytes of buffers with one interpreter, "
          f"{report['memory_of_all']} with all; handed over for an inference: {report['to_npu']} and {report['to_cpu']}, "
          f"input and output have {report['input']} and {report['output']}")


if __name__ == "__main__":
    main()
