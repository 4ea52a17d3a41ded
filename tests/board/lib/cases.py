"""Gathers reference cases into a folder that the guest gets as its share.

usage: cases.py SHARED OUT SELECTION...

SHARED is the folder of reference models (models/, ops/, each with a manifest.json). A SELECTION is
`model:NAME`, `model?:NAME` (if there is one) or `op:PREFIX` (`op:conv2d` takes all single convolutions, `op:000` that
case). Writes OUT/cases.json; says on standard error what there is none of.
SPDX-License-Identifier: MIT
"""
import json
import os
import shutil
import sys


def take(source, folder, names):
    for name in names:
        target = os.path.join(folder, name.replace("/", "_"))
        if not os.path.exists(target):
            shutil.copyfile(os.path.join(source, name), target)
    return [name.replace("/", "_") for name in names]


def model_cases(shared, out, wanted):
    source = os.path.join(shared, "models")
    with open(os.path.join(source, "manifest.json")) as stream:
        models = json.load(stream)["models"]
    for model in models:
        if model["name"] != wanted:
            continue
        for case in model["cases"]:
            yield {
                "name": f"{model['name']}/{case['id']}",
                "model": take(source, out, [model["file"]])[0],
                "in": take(source, out, [i["file"] for i in case["inputs"]]),
                "out": take(source, out, [o["file"] for o in case["outputs"]]),
            }


def op_cases(shared, out, wanted):
    source = os.path.join(shared, "ops")
    with open(os.path.join(source, "manifest.json")) as stream:
        cases = json.load(stream)["cases"]
    for case in cases:
        if not case["id"].startswith(wanted) and not case["id"].partition("_")[2].startswith(wanted):
            continue
        model, npz = take(source, out, [case["file"], case["data"]])
        yield {
            "name": f"op/{case['id']}",
            "model": model,
            "npz": npz,
            "params": case["params"],
            "in": [i["shape"] for i in case["inputs"]],
            "out": [o["shape"] for o in case["outputs"]],
        }


def main():
    shared, out, *selections = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    cases = []
    for selection in selections:
        kind, _, wanted = selection.partition(":")
        gather = {"model": model_cases, "model?": model_cases, "op": op_cases}[kind]
        found = list(gather(shared, out, wanted))
        if not found and kind != "model?":
            print(f"cases.py: nothing fits {selection}", file=sys.stderr)
            return 1
        cases += found
    with open(os.path.join(out, "cases.json"), "w") as stream:
        json.dump(cases, stream, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
