"""What a model's outputs are with the multiplier that Mesa gives the Vivante NPU.

usage: exact_outputs.py CASES.json [NAME-PREFIX...]

The NPU scales an accumulator by a multiplier of 16 bits, where TFLite has 31, and rounds once, where
TFLite rounds twice; Mesa cuts the scale off to 16 bits. Softmax makes many steps of a few such
differences, so how far a network's output is from TFLite's says little. This computes, in exact
integers and by nothing that the simulator shares, what those jobs must give. Only what MobileNetV1
consists of. Writes the arrays next to CASES.json and names them there, as `exact` of each case.
SPDX-License-Identifier: MIT
"""
import json
import os
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from delegate_check import arrays


def requantise(accumulators, scale, zero):
    """One rounding to nearest after a multiplier of 16 significant bits, cut off."""
    bits = int(np.float32(scale).view(np.uint32))
    multiplier, shift = 0x8000 | (bits & 0x7FFFFF) >> 8, 142 - (bits >> 23)
    product = accumulators * multiplier
    rounded = np.abs(product) + (1 << (shift - 1)) >> shift
    return np.clip(np.sign(product) * rounded + zero, 0, 255)


def convolution(image, weights, bias, stride, depthwise):
    """Of values without zero points, SAME padding; sums of less than 2^53 are exact in float64."""
    height, width, channels = image.shape
    kernel_y, kernel_x = weights.shape[1:3]
    rows, columns = -(-height // stride), -(-width // stride)
    pad_y = max((rows - 1) * stride + kernel_y - height, 0)
    pad_x = max((columns - 1) * stride + kernel_x - width, 0)
    padded = np.zeros((height + pad_y, width + pad_x, channels))
    padded[pad_y // 2 : pad_y // 2 + height, pad_x // 2 : pad_x // 2 + width] = image
    total = 0
    for y in range(kernel_y):
        for x in range(kernel_x):
            seen = padded[y::stride, x::stride][:rows, :columns]
            if depthwise:
                total = total + seen * weights[0, y, x]
            else:
                total = total + (seen.reshape(-1, channels) @ weights[:, y, x].T).reshape(rows, columns, -1)
    return np.rint(total).astype(np.int64) + bias


def outputs(model, image):
    """The model's outputs for one input."""
    interpreter = Interpreter(model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}

    def scale(tensor):
        return np.float32(details[tensor]["quantization"][0])

    def zero(tensor):
        return details[tensor]["quantization"][1]

    values = {interpreter.get_input_details()[0]["index"]: image[0].astype(np.int64)}
    for operator in interpreter._get_ops_details():
        inputs, result, kind = operator["inputs"], operator["outputs"][0], operator["op_name"]
        image = values[inputs[0]]
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weights, bias = (interpreter.get_tensor(n).astype(np.int64) for n in inputs[1:3])
            stride = -(-image.shape[0] // int(details[result]["shape"][1]))
            accumulators = convolution(
                image - zero(inputs[0]),
                (weights - zero(inputs[1])).astype(np.float64),
                bias,
                stride,
                kind == "DEPTHWISE_CONV_2D",
            )
            factor = scale(inputs[0]) * scale(inputs[1]) / scale(result)
            values[result] = requantise(accumulators, factor, zero(result))
        elif kind == "AVERAGE_POOL_2D":
            count = image.shape[0] * image.shape[1]
            values[result] = (image.sum((0, 1), keepdims=True) + count // 2) // count
        elif kind == "RESHAPE":
            values[result] = image
        elif kind == "SOFTMAX":
            logits = image * np.float64(scale(inputs[0]))
            shares = np.exp(logits - logits.max())
            values[result] = np.clip(np.rint(256 * shares / shares.sum()), 0, 255)
        else:
            raise ValueError(f"no exact arithmetic for {kind}")
    return [
        values[detail["index"]].reshape(detail["shape"]).astype(np.uint8)
        for detail in interpreter.get_output_details()
    ]


def main():
    cases_file, *prefixes = sys.argv[1:]
    folder = os.path.dirname(os.path.abspath(cases_file))
    with open(cases_file) as stream:
        cases = json.load(stream)
    for case in cases:
        if prefixes and not any(case["name"].startswith(prefix) for prefix in prefixes):
            continue
        case["exact"] = []
        for n, value in enumerate(outputs(os.path.join(folder, case["model"]), *arrays(folder, case, "in"))):
            case["exact"].append(f"exact_{case['name'].replace('/', '.')}.{n}.npy")
            np.save(os.path.join(folder, case["exact"][-1]), value)
    with open(cases_file, "w") as stream:
        json.dump(cases, stream, indent=1)


if __name__ == "__main__":
    main()
