"""Plans Mesa's own tests for the board, and compares what comes out with Mesa's list of failures on a chip.

usage: mesa_ci.py plan LIST MODELS REFERENCES OUT [SUITE...] [--macs MILLIONS] [--every N]
       mesa_ci.py report LIST PLAN.json RESULTS... [--tolerance N]

LIST.fails.txt and LIST.skips.txt are Mesa's files of a version and chip; MODELS is the folder with Mesa's test models,
REFERENCES that of the reference models. `plan` makes the folder OUT with plan.json and the models it needs; a SUITE
is a key of SUITES (all, if none is named); shapes of more multiply-accumulates than --macs are left out, and with
--every all of those that the list has as passing but each Nth. `report` prints a line of JSON a test that is predicted otherwise than it came out on the chip, and at
last how many were predicted right.
SPDX-License-Identifier: MIT
"""
import argparse
import itertools
import json
import os
import re
import shutil
import sys


def inception():
    """Inception V1's convolutions by the number of the operator: size, kernel, channels, kernels, stride."""
    yield 0, 224, 7, 3, 64, 2
    yield 2, 56, 1, 64, 64, 1
    yield 3, 56, 3, 64, 192, 1
    number, channels = 5, 192
    for size, blocks in (
        (28, [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)]),
        (
            14,
            [
                (192, 96, 208, 16, 48, 64),
                (160, 112, 224, 24, 64, 64),
                (128, 128, 256, 24, 64, 64),
                (112, 144, 288, 32, 64, 64),
                (256, 160, 320, 32, 128, 128),
            ],
        ),
        (7, [(256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)]),
    ):
        for alone, before3, three, before5, five, pooled in blocks:
            yield number, size, 1, channels, alone, 1
            yield number + 1, size, 1, channels, before3, 1
            yield number + 2, size, 3, before3, three, 1
            yield number + 3, size, 1, channels, before5, 1
            yield number + 4, size, 3, before5, five, 1
            yield number + 6, size, 1, channels, pooled, 1
            channels = alone + three + five + pooled
            number += 8
        number += 1  # the pooling between or behind
    yield number, 1, 1, channels, 1001, 1


def ssd_mobilenet_v2():
    """The same of SSD MobileNet V2 for 300 pixels; depthwise ones have no kernels."""
    yield 0, 300, 3, 3, 32, 2
    yield 1, 150, 3, 32, None, 1
    yield 2, 150, 1, 32, 16, 1
    number, size, channels = 3, 150, 16
    repeats = [(24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)]
    for kernels, count, first in repeats:
        for nth in range(count):
            stride, wide = first if nth == 0 else 1, channels * 6
            yield number, size, 1, channels, wide, 1
            if (kernels, nth) == (160, 0):  # the first head sees the expansion
                yield number + 1, size, 1, wide, 12, 1
                yield number + 3, size, 1, wide, 273, 1
                number += 4  # with a RESHAPE behind each
            yield number + 1, size, 3, wide, None, stride
            size = -(-size // stride)
            yield number + 2, size, 1, wide, kernels, 1
            number += 3 if nth == 0 else 4  # an addition follows
            channels = kernels
    heads = [(1280, None), (256, 512), (128, 256), (128, 256), (64, 128)]
    for narrow, kernels in heads:
        yield number, size, 1, channels, narrow, 1
        number, channels = number + 1, narrow
        if kernels:
            yield number, size, 3, narrow, kernels, 2
            number, size, channels = number + 1, -(-size // 2), kernels
        yield number, size, 1, channels, 24, 1
        yield number + 2, size, 1, channels, 546, 1
        number += 4


def shapes(suite, network):
    for number, size, kernel, channels, kernels, stride in network():
        shape = {
            "input_size": size,
            "weight_size": kernel,
            "input_channels": channels,
            "output_channels": kernels or channels,
            "stride": stride,
            "padding_same": 1,
            "depthwise": kernels is None,
        }
        yield {"name": f"{suite}_{number:03}", "file": "conv2d.tflite", "shape": shape}


def grid(suite, file, kernels, depthwise=False):
    """A matrix of shapes, by the names that Mesa gives them."""
    for same, stride, out, channels, kernel, size in itertools.product(
        (0, 1), (1, 2), kernels, (1, 32, 120, 128, 256), (3, 5) if depthwise else (1, 3, 5), (3, 5, 8, 80, 112)
    ):
        if kernel > size:
            continue
        name = f"{suite}.Op/input_size_{size}_weight_size_{kernel}_"
        name += f"channels_{channels}" if depthwise else f"input_channels_{channels}_output_channels_{out}"
        name += f"_stride_{stride}_padding_same_{same}_is_signed_0"
        shape = {
            "input_size": size,
            "weight_size": kernel,
            "input_channels": channels,
            "output_channels": out or channels,
            "stride": stride,
            "padding_same": same,
            "depthwise": depthwise,
        }
        yield {"name": name, "file": file, "shape": shape}


def matrix(models, _):
    """Shapes of one file, by the names that another author's table has; VALID, of stride 1."""
    with open(os.path.join(models, "matrix.txt")) as stream:
        for line in stream:
            name = line.strip()
            keys = re.fullmatch(r"b1_c(\d+)_h(\d+)_w\d+_oc(\d+)_wic(\d+)_k(\d+)x\d+_g(\d+)_s1_pvalid", name)
            channels, size, kernels, seen, kernel, groups = map(int, keys.groups())
            shape = {
                "input_size": size,
                "weight_size": kernel,
                "input_channels": channels,
                "output_channels": kernels,
                "stride": 1,
                "padding_same": 0,
                "depthwise": groups > 1 and seen == 1,
            }
            yield {"name": name, "file": "conv2d.tflite", "shape": shape}


def addition_scales():
    for seed in range(100):
        shape = {"input_size": 40, "weight_size": 1, "input_channels": 1, "output_channels": 1, "stride": 1}
        yield {
            "name": f"AddQuant.Op/{seed}",
            "file": "add.tflite",
            "shape": {**shape, "padding_same": 0, "depthwise": False, "seed": seed},
        }


def files(suite, folder):
    """Mesa's own files of single operators."""

    def tests(models, _):
        for name in sorted(os.listdir(os.path.join(models, folder))):
            yield {"name": f"{suite}_{name.partition('.')[0]}", "file": f"{folder}/{name}"}

    return tests


def operators(suite, file):
    """Every operator of a reference model."""

    def tests(_, references):
        with open(os.path.join(references, "models", "manifest.json")) as stream:
            models = json.load(stream)["models"]
        count = next(sum(model["summary"]["ops"].values()) for model in models if model["file"] == file)
        for number in range(count):
            yield {"name": f"{suite}_{number:03}", "file": file, "operator": number}

    return tests


KERNELS = (1, 32, 120, 128, 160, 256)
SUITES = {
    "mobilenetv1": files("mobilenetv1", "mobilenetv1"),
    "mobiledet": files("mobiledet", "mobiledet"),
    "yolox": files("yolox", "yolox"),
    "mobilenetv2": operators("mobilenetv2", "mobilenet_v2_1.0_224_quant.tflite"),
    "movenetlightning": operators("movenetlightning", "movenet_single_pose_lightning_ptq.tflite"),
    "inception": lambda *_: shapes("inception", inception),
    "ssdmobilenetv2": lambda *_: shapes("ssdmobilenetv2", ssd_mobilenet_v2),
    "Conv2D": lambda *_: grid("Conv2D", "conv2d.tflite", KERNELS),
    "DepthwiseConv2D": lambda *_: grid("DepthwiseConv2D", "conv2d.tflite", (None,), depthwise=True),
    "Add": lambda *_: grid("Add", "add.tflite", KERNELS),
    "matrix": matrix,
    "AddQuant": lambda *_: addition_scales(),
}
# Mesa 25 calls the single operators of mobilenetv1 MobileNetV1Param.Op/mb000, Mesa 26 Models.Op/mobilenetv1_000.
OLD_NAMES = {"mb": "mobilenetv1"}


def known_as(name):
    """A test of Mesa's by the name that is used here."""
    old = re.fullmatch(r"\w+Param\.Op/([a-z]+)(\d+)", name)
    if old:
        return f"{OLD_NAMES.get(old[1], old[1])}_{int(old[2]):03}"
    return name.removeprefix("Models.Op/")


def expectations(path, kind):
    """Names, or patterns of names, of one of Mesa's lists."""
    with open(f"{path}.{kind}.txt") as stream:
        lines = [line.split(",")[0].strip() for line in stream]
    return {known_as(line) for line in lines if line and not line.startswith("#")}


def macs(shape):
    out = -(-shape["input_size"] // shape["stride"])
    each = shape["weight_size"] ** 2 * (1 if shape["depthwise"] else shape["input_channels"])
    return out * out * each * shape["output_channels"]


def skipped(name, skips):
    return any(re.fullmatch(pattern.replace("/*", "/.*"), name) for pattern in skips)


def plan(options):
    skips, fails = expectations(options.list, "skips"), expectations(options.list, "fails")
    tests, left_out, passing = [], 0, 0
    for suite in options.suites or SUITES:
        for test in SUITES[suite](options.models, options.references):
            if skipped(test["name"], skips):
                continue
            if options.macs and "shape" in test and macs(test["shape"]) > options.macs * 1e6:
                left_out += 1
                continue
            if "shape" in test and test["name"] not in fails:
                passing += 1
                if passing % options.every:
                    left_out += 1
                    continue
            tests.append(test)
    os.makedirs(options.out, exist_ok=True)
    for file in {test["file"] for test in tests}:
        for source in (options.models, os.path.join(options.references, "models")):
            if os.path.exists(os.path.join(source, file)):
                os.makedirs(os.path.dirname(os.path.join(options.out, file)), exist_ok=True)
                shutil.copyfile(os.path.join(source, file), os.path.join(options.out, file))
                break
        else:
            print(f"mesa_ci.py: no {file} in {options.models} or {options.references}", file=sys.stderr)
            return 1
    with open(os.path.join(options.out, "plan.json"), "w") as stream:
        json.dump(tests, stream, indent=1)
    print(f"{len(tests)} tests, {left_out} left out", file=sys.stderr)
    return 0


def report(options):
    fails = expectations(options.list, "fails")
    with open(options.plan) as stream:
        planned = [test["name"] for test in json.load(stream)]
    results = {}
    for path in options.results:
        with open(path) as stream:
            results.update((result["name"], result) for result in map(json.loads, stream))
    counts = dict.fromkeys(("passes, passes", "fails, fails", "fails, passes", "passes, fails"), 0)
    for name in planned:
        result = results.get(name, {"name": name, "status": "did not run"})
        wrong = result["status"] != "ok" or result["max_abs_diff"] > options.tolerance
        kind = ("fails" if wrong else "passes") + ", " + ("fails" if name in fails else "passes")
        counts[kind] += 1
        if wrong != (name in fails):
            print(json.dumps({"here, chip": kind, **result}))
    right = counts["passes, passes"] + counts["fails, fails"]
    print(json.dumps({"right": right, "of": len(planned), "here, chip": counts}))
    return 0


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    planning = commands.add_parser("plan")
    for name in ("list", "models", "references", "out"):
        planning.add_argument(name)
    planning.add_argument("--macs", type=float)
    planning.add_argument("--every", type=int, default=1)
    planning.add_argument("suites", nargs="*")
    planning.set_defaults(run=plan)
    reporting = commands.add_parser("report")
    for name in ("list", "plan"):
        reporting.add_argument(name)
    reporting.add_argument("--tolerance", type=float, default=6)
    reporting.add_argument("results", nargs="+")
    reporting.set_defaults(run=report)
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
