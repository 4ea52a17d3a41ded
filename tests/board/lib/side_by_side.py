"""Compares what Mesa and ferrite made the A311D's NPU do for the same models in one run of the board.

usage: side_by_side.py FOLDER LISTING.json

FOLDER is the share of the guest's `beside_mesa`, LISTING.json what `ferrite --json disasm` makes of
the run's trace. Prints a line a model and one for all, and what ferrite should do better with status
1: compile each in a twentieth of Mesa's time, with no more coefficients in any layer, and move no more
bytes an inference; in all, make do with a tenth fewer coefficients and with no more jobs.
SPDX-License-Identifier: MIT
"""
import glob
import json
import os
import re
import sys

COMPILE_RATIO = 20
LESS_COEFFICIENTS = 0.10


def field(job, name):
    """A field of a job's descriptor; those that are 0 are not listed."""
    for line in job["descriptor"]:
        key, _, value = line.strip().partition(" = ")
        if key == name:
            return int(value, 0)
    return 0


def layers(jobs):
    """Kernel size, output channels and coefficient bytes of each NN job."""
    return [
        (field(job, "KERNEL_X_SIZE"), field(job, "OUT_IMAGE_Z_SIZE"), job["bytes"]["coefficients"])
        for job in jobs
        if job["kind"] == "nn"
    ]


def by_layer(mesa, ours):
    """Coefficient bytes of each layer of Mesa's and of ours, which may be several jobs."""
    pairs, rest = [], list(ours)
    for _, channels, coefficients in mesa:
        done, total = 0, 0
        while done < channels and rest:
            _, part, part_bytes = rest.pop(0)
            done, total = done + part, total + part_bytes
        if done != channels:
            raise ValueError(f"our jobs have {done} of {channels} channels of layer {len(pairs)}")
        pairs.append((coefficients, total))
    if rest:
        raise ValueError(f"{len(rest)} jobs of ours are of no layer of Mesa's")
    return pairs


def dram(jobs):
    return sum(sum(job["bytes"].values()) for job in jobs)


def compile_times(folder, model):
    """Milliseconds of Mesa and ferrite."""
    with open(os.path.join(folder, f"mesa.{model}.log")) as stream:
        mesa = sum(int(ms) for ms in re.findall(r"compiled graph, took (\d+) ms", stream.read()))
    with open(os.path.join(folder, f"ferrite.{model}")) as stream:
        ours = json.load(stream)["compile_ms"]
    return mesa, ours


def inference(jobs):
    """The jobs of one of two equal inferences."""
    half = len(jobs) // 2
    first, second = jobs[:half], jobs[half:]
    if [job["bytes"] for job in first] != [job["bytes"] for job in second]:
        raise ValueError("two inferences of ours differ")
    return first


def less(counts):
    """Mesa's count and ours, and by how much they differ."""
    mesa, ours = counts
    return f"{mesa} / {ours} ({100 * (ours / mesa - 1):+.1f} %)"


def compare(folder, model, jobs):
    """Numbers of jobs and coefficient bytes of Mesa and ferrite, a line about them, and what is wrong."""
    with open(os.path.join(folder, f"marks.{model}")) as stream:
        start, middle, end = (float(mark) * 1e9 for mark in stream.read().split())
    mesa = [job for job in jobs if start < job["started_ns"] < middle]
    ours = inference([job for job in jobs if middle < job["started_ns"] < end])
    if not mesa or not ours or any(job["fault"] for job in mesa + ours):
        raise ValueError("jobs are missing or faulted")
    pairs = by_layer(layers(mesa), layers(ours))
    coefficients = [sum(pair[side] for pair in pairs) for side in (0, 1)]
    counts, times, bytes_moved = (len(mesa), len(ours)), compile_times(folder, model), (dram(mesa), dram(ours))
    line = (
        f"compile {times[0]} / {times[1]:.0f} ms, jobs {counts[0]} / {counts[1]}, "
        f"coefficients {less(coefficients)}, moved {less(bytes_moved)}"
    )
    wrong = [f"layer {n} has {ours} bytes, Mesa {mesa}" for n, (mesa, ours) in enumerate(pairs) if ours > mesa]
    if times[1] * COMPILE_RATIO > times[0]:
        wrong.append("compiles too slowly")
    if bytes_moved[1] > bytes_moved[0]:
        wrong.append("moves too much")
    return [counts, coefficients], line, wrong


def main():
    folder, listing = sys.argv[1:]
    with open(listing) as stream:
        jobs = json.load(stream)["jobs"]
    marks = sorted(glob.glob(os.path.join(folder, "marks.*")))
    totals, wrong = [[0, 0], [0, 0]], [] if marks else ["nothing ran"]
    for marked in marks:
        model = os.path.basename(marked).removeprefix("marks.")
        try:
            found, line, bad = compare(folder, model, jobs)
        except ValueError as error:
            wrong.append(f"{model}: {error}")
            continue
        print(f"{model}: {line}")
        wrong += [f"{model}: {text}" for text in bad]
        totals = [[a + b for a, b in zip(*both)] for both in zip(totals, found)]
    if not wrong:
        (mesa_jobs, our_jobs), (mesa_bytes, our_bytes) = totals
        print(f"all: jobs {mesa_jobs} / {our_jobs}, coefficients {less(totals[1])}")
        if our_jobs > mesa_jobs:
            wrong.append("too many jobs")
        if our_bytes > (1 - LESS_COEFFICIENTS) * mesa_bytes:
            wrong.append("too many coefficients")
    if wrong:
        print("; ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
