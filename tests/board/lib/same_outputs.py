"""Compares outputs that the guest kept with those of `ferrite run` here, byte for byte.

usage: same_outputs.py FERRITE DEVICE CASES.json KEPT

KEPT is what delegate_check.py wrote with --outputs. Prints how many outputs are the same, or what
differs with status 1.
SPDX-License-Identifier: MIT
"""
import ast
import json
import os
import subprocess
import sys
import tempfile


def array(path):
    """Element type and bytes of a .npy file of version 1: numpy may be missing here."""
    with open(path, "rb") as stream:
        head = stream.read(10)
        if head[:7] != b"\x93NUMPY\x01":
            sys.exit(f"{path}: no .npy file of version 1")
        header = ast.literal_eval(stream.read(int.from_bytes(head[8:10], "little")).decode())
        return header["descr"], stream.read()


def of_ferrite(ferrite, device, folder, case):
    """The outputs on a device here."""
    with tempfile.TemporaryDirectory() as out:
        command = [ferrite, "--json", "run", os.path.join(folder, case["model"]), "--device", device, "--output", out]
        for name in case["in"]:
            command += ["--input", os.path.join(folder, name)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            sys.exit(f"{case['name']}: ferrite run: {run.stderr}")
        return [array(os.path.join(out, os.path.basename(name))) for name in json.loads(run.stdout)["files"]]


def main():
    ferrite, device, cases_file, kept = sys.argv[1:]
    folder = os.path.dirname(os.path.abspath(cases_file))
    with open(cases_file) as stream:
        cases = json.load(stream)
    same, wrong = 0, []
    for case in cases:
        for n, ours in enumerate(of_ferrite(ferrite, device, folder, case)):
            theirs = array(os.path.join(kept, case["name"], f"{n}.npy"))
            if theirs == ours:
                same += 1
            elif theirs[0] != ours[0] or len(theirs[1]) != len(ours[1]):
                wrong.append(f"{case['name']}, output {n}: other type or size")
            else:
                differ = sum(a != b for a, b in zip(theirs[1], ours[1]))
                wrong.append(f"{case['name']}, output {n}: {differ} of {len(ours[1])} bytes differ")
    print("; ".join(wrong) if wrong else f"{same} outputs are those of ferrite run, byte for byte")
    return 1 if wrong or not same else 0


if __name__ == "__main__":
    sys.exit(main())
