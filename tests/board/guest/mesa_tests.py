"""Runs the tests that Mesa has for its delegate, or such tests, and tells how far off their outputs are.

usage: mesa_tests.py PLAN.json DELEGATE.so

A test is a model, which TFLite's own kernels and the delegate get the same random inputs for. PLAN.json
lists tests by `name` and how their models come about (model_of). Prints one JSON object a test: name,
status, whether the delegate took anything, the largest difference of an output, and the jobs that the
kernel's driver gave up in the meantime. Each test has a process of its own.
SPDX-License-Identifier: MIT
"""
import ctypes
import json
import os
import re
import subprocess
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType, load_delegate

from isolated import isolated

TEST_SECONDS = 240
SEED = 4  # Mesa's


def pack(model):
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def one_operator(model, number):
    """The model of one operator of a model, as Mesa's single-operator files are."""
    graph = model.subgraphs[0]
    operator = graph.operators[number]
    used = sorted({n for n in [*operator.inputs, *operator.outputs] if n >= 0})
    place = {old: new for new, old in enumerate(used)}
    tensors = [graph.tensors[n] for n in used]
    constant = {n for n in used if model.buffers[graph.tensors[n].buffer].data is not None}
    buffers = [schema.BufferT()]
    for tensor in tensors:
        buffers.append(model.buffers[tensor.buffer])
        tensor.buffer = len(buffers) - 1
    graph.inputs = [place[n] for n in operator.inputs if n >= 0 and n not in constant]
    graph.outputs = [place[n] for n in operator.outputs]
    operator.inputs = [place.get(n, -1) for n in operator.inputs]
    operator.outputs = graph.outputs
    graph.tensors, graph.operators = tensors, [operator]
    model.operatorCodes = [model.operatorCodes[operator.opcodeIndex]]
    operator.opcodeIndex = 0
    model.buffers, model.subgraphs = buffers, [graph]
    model.signatureDefs, model.metadata, model.metadataBuffer = None, None, None
    return model


def shape_convolution(model, number, shape, random):
    """Gives a convolution of a template other sizes, and random weights and biases."""
    graph = model.subgraphs[0]
    operator = graph.operators[number]
    size, kernel, channels = shape["input_size"], shape["weight_size"], shape["input_channels"]
    kernels, stride, same = shape["output_channels"], shape["stride"], shape["padding_same"]
    options = schema.DepthwiseConv2DOptionsT() if shape["depthwise"] else schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME if same else schema.Padding.VALID
    options.strideW = options.strideH = stride
    options.dilationWFactor = options.dilationHFactor = 1
    operator.builtinOptions = options
    if shape["depthwise"]:
        options.depthMultiplier = 1
        operator.builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
        code = model.operatorCodes[operator.opcodeIndex]
        code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.DEPTHWISE_CONV_2D
    image, weights, bias = (graph.tensors[n] for n in operator.inputs)
    result = graph.tensors[operator.outputs[0]]
    out = -(-size // stride) if same else (size + stride - kernel) // stride
    image.shape = [1, size, size, channels]
    bias.shape = [kernels]
    weights.shape = [1, kernel, kernel, kernels] if shape["depthwise"] else [kernels, kernel, kernel, channels]
    result.shape = [1, out, out, kernels]
    model.buffers[bias.buffer].data = random.integers(-20000, 20001, kernels, np.int32).view(np.uint8)
    model.buffers[weights.buffer].data = random.integers(0, 256, int(np.prod(weights.shape)), np.uint8)


def shape_addition(model, shape, random):
    """Two convolutions and their sum, whose scales the C library's generator draws."""
    for number in range(2):
        shape_convolution(model, number, shape, random)
    graph = model.subgraphs[0]
    library = ctypes.CDLL(None)
    library.srand(shape.get("seed", SEED))
    biggest = np.float32(2**31 - 1)
    low, high = np.float32(0.0078125), np.float32(0.4386410117149353)
    for tensor in graph.operators[2].inputs:
        quantization = graph.tensors[tensor].quantization
        quantization.scale = [float((high - low) * (np.float32(library.rand()) / biggest) + low)]
        quantization.zeroPoint = [library.rand() % 255]
    graph.tensors[graph.operators[2].outputs[0]].shape = graph.tensors[graph.operators[2].inputs[0]].shape


def model_of(folder, test):
    """A file, one `operator` of it, or a template in a `shape`: a convolution, or two and their sum."""
    with open(os.path.join(folder, test["file"]), "rb") as stream:
        content = stream.read()
    if "operator" not in test and "shape" not in test:
        return content
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    random = np.random.default_rng(SEED)
    if "operator" in test:
        return pack(one_operator(model, test["operator"]))
    if len(model.subgraphs[0].operators) == 3:
        shape_addition(model, test["shape"], random)
    else:
        shape_convolution(model, 0, test["shape"], random)
    return pack(model)


def outputs(content, values, delegate):
    """The model's outputs, and whether the delegate took any of its operators."""
    interpreter = Interpreter(
        model_content=content,
        experimental_delegates=[load_delegate(delegate)] if delegate else None,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        if detail["name"] not in values:
            random = np.random.default_rng([SEED, detail["index"]])
            size = int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize
            filled = random.integers(0, 256, size, np.uint8).view(detail["dtype"])
            if filled.dtype.kind == "f":
                filled = random.random(filled.size, filled.dtype)
            values[detail["name"]] = filled.reshape(detail["shape"])
        interpreter.set_tensor(detail["index"], values[detail["name"]])
    interpreter.invoke()
    taken = any(node["op_name"] == "DELEGATE" for node in interpreter._get_ops_details())
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()], taken


def given_up():
    """How many jobs the driver has given up so far."""
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    return len(re.findall("timed out|recover hung GPU|MMU fault", log))


def run(folder, test, delegate):
    content, values = model_of(folder, test), {}
    expected, _ = outputs(content, values, None)
    got, taken = outputs(content, values, delegate)
    worst = 0
    for one, other in zip(got, expected):
        kind = np.float64 if other.dtype.kind == "f" else np.int64
        worst = max(worst, float(np.abs(one.astype(kind) - other.astype(kind)).max(initial=0)))
    return {"status": "ok", "taken": taken, "max_abs_diff": worst}


def main():
    plan, delegate = sys.argv[1:]
    folder = os.path.dirname(os.path.abspath(plan))
    with open(plan) as stream:
        tests = json.load(stream)
    ctypes.CDLL(delegate)  # once for all processes: relocating it takes most of a small test's time
    before = 0
    for test in tests:
        result = isolated(lambda test=test: run(folder, test, delegate), TEST_SECONDS)
        if result.get("max_abs_diff"):
            result["given_up"] = given_up() - before
            before += result["given_up"]
        print(json.dumps({"name": test["name"], **result}), flush=True)


if __name__ == "__main__":
    main()
