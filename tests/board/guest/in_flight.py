"""Several interpreters of one model in a process, each with a delegate and a thread of its own.

usage: in_flight.py CASES.json DELEGATE.so COUNT RUNS

All outputs must be those of a single interpreter, byte for byte. Prints one JSON object: the process' openings
of the node, and with ferrite.ko the bytes of its buffers with one and with all interpreters, and the bytes that
were handed over for an inference, with those of the input and the output as the NPU has them.
SPDX-License-Identifier: MIT
"""
import json
import os
import sys
import threading

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType, load_delegate

NODE = "/dev/accel/accel0"
# Bytes of a pixel of up to 16 channels.
ATOM = 16


def interpreter(case, library):
    made = Interpreter(
        case["model"],
        experimental_delegates=[load_delegate(library, {"device": NODE})],
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    made.allocate_tensors()
    detail = made.get_input_details()[0]
    made.set_tensor(detail["index"], np.load(case["in"][0]).reshape(detail["shape"]))
    return made


def openings():
    """Descriptors of the node."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return [link for link in links if os.path.islink(link) and os.readlink(link) == NODE]


def figures():
    """What the driver says of the first opening."""
    name = os.path.basename(openings()[0])
    with open(f"/proc/self/fdinfo/{name}") as stream:
        pairs = [line.split(":", 1) for line in stream if ":" in line]
    return {key: value.split() for key, value in pairs}


def number(key):
    value = figures().get(key)
    if value is None:
        return None
    return int(value[0]) * {"KiB": 1 << 10, "MiB": 1 << 20}.get(value[-1], 1)


def on_npu(detail):
    """Bytes of a tensor of 8-bit elements in the NPU's layout."""
    *rows, channels = detail["shape"]
    return int(np.prod(rows)) * -(-int(channels) // ATOM) * ATOM


def main():
    cases_file, library, count, runs = sys.argv[1:]
    count, runs = int(count), int(runs)
    with open(cases_file) as stream:
        case = json.load(stream)[0]
    first = interpreter(case, library)

    def output(made):
        return made.get_tensor(made.get_output_details()[0]["index"])

    first.invoke()
    good = output(first).copy()
    before = number("rocket-to-npu"), number("rocket-to-cpu")
    first.invoke()
    report = {"to_npu": None, "to_cpu": None}
    if before[0] is not None:
        report["to_npu"] = number("rocket-to-npu") - before[0]
        report["to_cpu"] = number("rocket-to-cpu") - before[1]
    # The first layer's windows lie two pixels apart, and the NPU is given the lines of each.
    report["input"] = on_npu(first.get_input_details()[0]) // 2
    report["output"] = on_npu(first.get_output_details()[0])
    report["memory_of_one"] = number("drm-total-memory")
    all_of_them = [first] + [interpreter(case, library) for _ in range(count - 1)]
    report["memory_of_all"] = number("drm-total-memory")
    report["openings"] = len(openings())
    wrong = []

    def run(index):
        for _ in range(runs):
            all_of_them[index].invoke()
            if not np.array_equal(output(all_of_them[index]), good):
                wrong.append(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report["wrong"] = wrong
    json.dump(report, sys.stdout)
    print()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
