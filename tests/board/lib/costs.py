"""Compares what two delegates cost the host, from the lines of guest/delegate_costs.

usage: costs.py [--prepare SHARE] [--run SHARE] FIGURES

Prints a table; status 1 if ours needs more than the given share of Mesa's instructions to prepare a
model (less what TFLite needs by itself) or for an inference.
SPDX-License-Identifier: MIT
"""
import argparse
import json
import statistics
import sys


def read(path):
    """Instructions and calls by model and delegate; the first preparation and run warm things up."""
    found = {}
    with open(path) as stream:
        for line in stream:
            entry = json.loads(line)
            figures = entry["figures"]
            found.setdefault(entry["model"], {})[entry["delegate"]] = {
                "segments": figures["segments"],
                "prepare": statistics.median(figures["prepare"][1:]),
                "run": statistics.median(figures["runs"][1:] or [0]),
                "ioctls": entry["ioctls"],
            }
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prepare", type=float)
    parser.add_argument("--run", type=float)
    parser.add_argument("figures")
    options = parser.parse_args()
    wrong, rows = [], []
    for model, by in read(options.figures).items():
        own = by["none"]["prepare"]
        prepare = {name: by[name]["prepare"] - own for name in ("mesa", "ours", "cached")}
        run = {name: by[name]["run"] for name in prepare}
        calls = {name: by[name]["ioctls"] for name in ("mesa", "ours")}
        name = model.removesuffix(".tflite")
        for what, values, unit, limit in (("prepare", prepare, 1e6, options.prepare), ("run", run, 1e6, options.run), ("ioctls", calls, 1, None)):
            share = values["ours"] / values["mesa"]
            form = "{:.0f}" if unit == 1 else "{:.2f}"
            texts = [form.format(values[n] / unit) if n in values else "-" for n in ("mesa", "ours", "cached")]
            rows.append((name, what, *texts, f"{share:.3f}"))
            if limit and share > limit:
                wrong.append(f"{name}: {what} takes {share:.3f} of Mesa's, above {limit}")
        if not all(by[n]["segments"] for n in prepare):
            wrong.append(f"{name}: a delegate took nothing")
    print("\nmodel, million instructions, Mesa, ours, ours cached, ours/Mesa")
    for row in rows:
        print("  " + ", ".join(row))
    if wrong:
        print("; ".join(wrong))
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
