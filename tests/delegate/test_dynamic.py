"""Tensors whose shape is known only while the model runs."""
import importlib
import sys

import numpy as np

from harness import Skip, expect, once, run, segments


def model(setup):
    """x, shape -> RESHAPE -> 1x1 convolution. The result of RESHAPE is a dynamic tensor."""
    sys.path.insert(0, str(setup.shared() / 'tools'))
    try:
        build = importlib.import_module('tflite_build')
    except ImportError as error:
        raise Skip(f'the reference tools cannot be used: {error}')
    random = np.random.default_rng(1)
    graph, quant = build.Graph(), build.Q(0.5, 128)
    x = graph.tensor([1, 4, 4, 8], 'uint8', quant, name='x')
    shape = graph.tensor([4], 'int32', name='shape')
    reshaped = graph.tensor([1, 4, 4, 8], 'uint8', quant, name='reshaped')
    y = graph.tensor([1, 4, 4, 16], 'uint8', quant, name='y')
    weights = graph.const(random.integers(0, 256, [16, 1, 1, 8]), 'uint8', build.Q(1 / 64, 120))
    bias = graph.const(random.integers(-99, 99, [16]), 'int32', build.Q(1 / 128, 0))
    graph.op('RESHAPE', [x, shape], [reshaped], build.opts('ReshapeOptions', newShape=[]))
    graph.op('CONV_2D', [reshaped, weights, bias], [y], build.opts('Conv2DOptions', strideW=1, strideH=1))
    return graph.finish([x, shape], [y])


@once
def test_dynamic_tensors(setup):
    content = model(setup)
    delegated, plain = setup.interpreter(content), setup.interpreter(content, delegate=False)
    x = np.random.default_rng(2).integers(0, 256, [1, 4, 4, 8], np.uint8)
    for interpreter in (delegated, plain):
        interpreter.allocate_tensors()
    expect(segments(delegated) == 1, 'nothing was delegated')
    for shape in ([1, 4, 4, 8], [1, 2, 8, 8], [1, 16, 1, 8], [1, 4, 4, 8]):
        inputs = [x, np.array(shape, np.int32)]
        [ours], [theirs] = run(delegated, inputs), run(plain, inputs)
        expect(ours.shape == theirs.shape == (*shape[:3], 16), f'{ours.shape} for {shape}')
        difference = np.abs(ours.astype(int) - theirs.astype(int)).max()
        expect(difference <= 1, f'{difference} steps away for {shape}')


@once
def test_impossible_shapes_are_errors(setup):
    delegated = setup.interpreter(model(setup))
    delegated.allocate_tensors()
    try:
        # Four channels, but the filter has eight.
        run(delegated, [np.zeros([1, 4, 4, 8], np.uint8), np.array([1, 4, 8, 4], np.int32)])
    except RuntimeError as error:
        expect('CONV_2D' in str(error), str(error))
        return
    raise AssertionError('it ran')
