"""What a delegate costs the host: one JSON object on standard output.

usage: delegate_cost.py MODEL.tflite INPUT.npy DELEGATE.so|none PREPARATIONS RUNS

Times are in nanoseconds of the processor, of this process with what the kernel does in its calls;
under --icount they are instructions. `prepare` is the way from the model's bytes to a graph that can
run, for each of some interpreters that come after each other; `runs` are inferences of the last.
With PREPARATIONS 0 nothing is measured: calls of chdir mark where the RUNS inferences begin and end, for
a count of system calls.
SPDX-License-Identifier: MIT
"""
import json
import os
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType, load_delegate


def main():
    model, sample, delegate, preparations, runs = sys.argv[1:]
    preparations, runs = int(preparations), int(runs)
    with open(model, "rb") as stream:
        content = stream.read()
    sample = np.load(sample)
    processor = time.process_time_ns

    def prepare():
        interpreter = Interpreter(
            model_content=content,
            experimental_delegates=delegates,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            num_threads=1,
        )
        interpreter.allocate_tensors()
        return interpreter

    delegates = [load_delegate(delegate)] if delegate != "none" else None
    prepared, times = [], []
    interpreter = None
    for _ in range(max(preparations, 1)):
        interpreter = None
        before = processor()
        interpreter = prepare()
        prepared.append(processor() - before)
    detail = interpreter.get_input_details()[0]
    interpreter.set_tensor(detail["index"], sample.reshape(detail["shape"]))
    if not preparations:
        interpreter.invoke()
        os.chdir(".")
    for _ in range(runs):
        before = processor()
        interpreter.invoke()
        times.append(processor() - before)
    if not preparations:
        os.chdir(".")
    else:
        nodes = [node["op_name"] for node in interpreter._get_ops_details()]
        json.dump({"segments": nodes.count("DELEGATE"), "prepare": prepared, "runs": times}, sys.stdout)
        print()


if __name__ == "__main__":
    main()
