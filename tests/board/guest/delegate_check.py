"""Runs models through a TFLite delegate in the guest and compares with stored reference outputs.

usage: delegate_check.py CASES.json DELEGATE.so|none [--outputs FOLDER] [NAME-PREFIX...]

Each case gets a process of its own, so one that crashes or hangs the delegate leaves the others
alone. Prints one JSON object a case: name, status, delegated nodes, seconds, and per output the
largest difference, the share of exact elements and whether the first of the sorted values is the
same; `exact_equal` where the case names what exact arithmetic gives (exact_outputs.py). With
--outputs also writes the outputs as FOLDER/NAME/NUMBER.npy. Ends with 0 when every case ran;
judging the figures is the caller's business.
SPDX-License-Identifier: MIT
"""
import json
import os
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType, load_delegate

from isolated import isolated

CASE_SECONDS = 240


def arrays(folder, case, kind):
    """The inputs or outputs of a case: .npy files, or members of one .npz."""
    if "npz" in case:
        with np.load(os.path.join(folder, case["npz"])) as members:
            return [members[f"{kind}{n}"] for n in range(len(case[kind]))]
    return [np.load(os.path.join(folder, name)) for name in case[kind]]


def compare(got, expected):
    """Figures of one output."""
    if got.shape != expected.shape:
        got = got.reshape(expected.shape)
    difference = np.abs(got.astype(np.int64) - expected.astype(np.int64))
    return {
        "elements": int(difference.size),
        "max_abs_diff": int(difference.max(initial=0)),
        "exact_fraction": float((difference == 0).mean()),
        "top1_equal": int(got.argmax()) == int(expected.argmax())
        or int(expected.reshape(-1)[got.argmax()]) == int(expected.max()),
    }


def keep(folder, case, outputs):
    """Writes the outputs of a case for a comparison elsewhere."""
    folder = os.path.join(folder, case["name"])
    os.makedirs(folder)
    for n, output in enumerate(outputs):
        np.save(os.path.join(folder, f"{n}.npy"), output)


def run(folder, case, delegate, kept):
    """Runs one case; its figures."""
    delegates = [load_delegate(delegate)] if delegate != "none" else None
    start = time.monotonic()
    interpreter = Interpreter(
        os.path.join(folder, case["model"]),
        experimental_delegates=delegates,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    prepared = time.monotonic()
    for detail, value in zip(interpreter.get_input_details(), arrays(folder, case, "in")):
        interpreter.set_tensor(detail["index"], value.reshape(detail["shape"]).astype(detail["dtype"]))
    interpreter.invoke()
    done = time.monotonic()
    outputs = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
    if kept:
        keep(kept, case, outputs)
    # The plan holds what the delegate left; the nodes it replaced are listed all the same.
    nodes = interpreter._get_ops_details()
    result = {
        "status": "ok",
        "nodes": len(nodes),
        "delegate_nodes": sum(node["op_name"] == "DELEGATE" for node in nodes),
        "prepare_seconds": round(prepared - start, 3),
        "invoke_seconds": round(done - prepared, 3),
        "outputs": [compare(g, e) for g, e in zip(outputs, arrays(folder, case, "out"))],
    }
    if "exact" in case:
        pairs = zip(outputs, arrays(folder, case, "exact"), strict=True)
        result["exact_equal"] = all(np.array_equal(g, e.reshape(g.shape)) for g, e in pairs)
    return result


def main():
    cases_file, delegate, *prefixes = sys.argv[1:]
    kept = None
    if prefixes[:1] == ["--outputs"]:
        _, kept, *prefixes = prefixes
    folder = os.path.dirname(os.path.abspath(cases_file))
    with open(cases_file) as stream:
        cases = json.load(stream)
    bad = 0
    for case in cases:
        if prefixes and not any(case["name"].startswith(prefix) for prefix in prefixes):
            continue
        result = {"name": case["name"], **isolated(lambda case=case: run(folder, case, delegate, kept), CASE_SECONDS)}
        bad += result["status"] != "ok"
        print(json.dumps(result), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
