#!/usr/bin/env python3
"""Time one model with TFLite: tflite_time.py MODEL ref|xnnpack THREADS SECONDS

Prints one JSON object: median and minimum milliseconds of an inference, the runs, the version.
Needs ai-edge-litert, which `run` installs into a virtual environment of its own.
"""
import importlib.metadata
import json
import sys
import time

import numpy as np
from ai_edge_litert import interpreter as tfl

WARM_UP = 3
LEAST_RUNS = 5


def main():
    model, kernels, threads, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    resolver = dict(ref=tfl.OpResolverType.BUILTIN_REF, xnnpack=tfl.OpResolverType.BUILTIN)[kernels]
    it = tfl.Interpreter(model_path=model, num_threads=threads, experimental_op_resolver_type=resolver)
    it.allocate_tensors()
    random = np.random.RandomState(1)
    for detail in it.get_input_details():
        limits = np.iinfo(detail['dtype'])
        it.set_tensor(detail['index'], random.randint(limits.min, limits.max + 1, detail['shape']).astype(detail['dtype']))
    for _ in range(WARM_UP):
        it.invoke()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < LEAST_RUNS:
        start = time.perf_counter()
        it.invoke()
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps(dict(median_ms=float(np.median(times)), min_ms=min(times), runs=len(times),
                          version=importlib.metadata.version('ai-edge-litert'))))


if __name__ == '__main__':
    main()
