"""Interpreters that come and go, change shape, and run at the same time."""
import gc
import threading

import numpy as np

from harness import expect, noise, resident_bytes, run, segments

INVOCATIONS = 10_000
WARM_UP = 500
GROWTH = 1 << 20


def test_no_leak_in_10000_invocations(setup):
    interpreter = setup.interpreter(setup.small())
    interpreter.allocate_tensors()
    expect(segments(interpreter) > 0, 'nothing was delegated')
    inputs = list(noise(interpreter))
    first = run(interpreter, inputs)
    for _ in range(WARM_UP):
        interpreter.invoke()
    gc.collect()
    before = resident_bytes()
    for _ in range(INVOCATIONS):
        interpreter.invoke()
    gc.collect()
    growth = resident_bytes() - before
    expect(all(np.array_equal(a, b) for a, b in zip(first, run(interpreter, inputs))), 'outputs changed')
    expect(growth < GROWTH, f'{growth} bytes more after {INVOCATIONS} invocations')
    return f'{growth} bytes of growth'


def test_no_leak_in_200_interpreters(setup):
    content = setup.small().read_bytes()

    def one():
        interpreter = setup.interpreter(content)
        interpreter.allocate_tensors()
        interpreter.invoke()

    for _ in range(50):
        one()
    gc.collect()
    before = resident_bytes()
    for _ in range(200):
        one()
    gc.collect()
    growth = resident_bytes() - before
    expect(growth < 4 * GROWTH, f'{growth} bytes more after 200 interpreters')
    return f'{growth} bytes of growth'


def test_8_threads_with_8_interpreters(setup):
    content = setup.small().read_bytes()
    interpreters = [setup.interpreter(content) for _ in range(8)]
    wanted = []
    for seed, interpreter in enumerate(interpreters):
        interpreter.allocate_tensors()
        expect(segments(interpreter) == 1, 'nothing was delegated')
        inputs = list(noise(interpreter, seed))
        wanted.append((inputs, run(interpreter, inputs)))
    wrong = []

    def work(number):
        # Each thread makes its own interpreters too, while the others run.
        for interpreter in (interpreters[number], setup.interpreter(content)):
            interpreter.allocate_tensors()
            for turn in range(20):
                inputs, expected = wanted[(number + turn) % 8]
                if not all(np.array_equal(a, b) for a, b in zip(run(interpreter, inputs), expected)):
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(not wrong, f'wrong outputs in threads {sorted(set(wrong))}')


def test_one_delegate_for_many_interpreters(setup):
    delegate = setup.delegate()
    interpreters = [setup.interpreter(setup.small(), delegate) for _ in range(3)]
    results = []
    for interpreter in interpreters:
        interpreter.allocate_tensors()
        results.append(run(interpreter, noise(interpreter)))
    expect(all(np.array_equal(results[0][0], r[0]) for r in results), 'outputs differ')


def test_any_order_of_destruction(setup):
    for first in ('delegate', 'interpreter'):
        delegate = setup.delegate()
        interpreter = setup.interpreter(setup.small(), delegate)
        interpreter.allocate_tensors()
        before = run(interpreter, noise(interpreter))
        if first == 'delegate':
            # What the host warns against: its library's handle goes while kernels are in use.
            delegate.__del__()
            delegate._library = None
            interpreter._delegates = []
            expect(np.array_equal(before[0], run(interpreter, noise(interpreter))[0]), 'outputs changed')
            del interpreter
        else:
            del interpreter
            gc.collect()
        del delegate
        gc.collect()


def test_resized_inputs(setup):
    model = setup.digits()
    batch = 3
    delegated, plain = setup.interpreter(model), setup.interpreter(model, delegate=False)
    for interpreter in (delegated, plain):
        interpreter.allocate_tensors()
    expect(segments(delegated) == 1, 'nothing was delegated')
    ours = [run(delegated, noise(delegated, seed)) for seed in range(batch)]
    inputs = [list(noise(delegated, seed)) for seed in range(batch)]
    stacked = [np.concatenate(parts) for parts in zip(*inputs)]
    for interpreter in (delegated, plain):
        for detail, value in zip(interpreter.get_input_details(), stacked):
            interpreter.resize_tensor_input(detail['index'], value.shape)
        interpreter.allocate_tensors()
    together, theirs = run(delegated, stacked), run(plain, stacked)
    for index, (found, reference) in enumerate(zip(together, theirs, strict=True)):
        expect(found.shape == reference.shape, f'shape {found.shape} instead of {reference.shape}')
        apart = np.concatenate([o[index] for o in ours])
        expect(np.array_equal(found, apart), 'a batch gives other results than its parts')
    # And back.
    for detail, value in zip(delegated.get_input_details(), inputs[0]):
        delegated.resize_tensor_input(detail['index'], value.shape)
    delegated.allocate_tensors()
    expect(np.array_equal(run(delegated, inputs[0])[0], ours[0][0]), 'outputs changed on the way')


def test_empty_batches(setup):
    delegated, plain = (setup.interpreter(setup.digits(), **options) for options in ({}, {'delegate': False}))
    for interpreter in (delegated, plain):
        interpreter.allocate_tensors()
    before = run(delegated, noise(delegated))
    for interpreter in (delegated, plain):
        for detail in interpreter.get_input_details():
            interpreter.resize_tensor_input(detail['index'], [0, *detail['shape'][1:]])
        interpreter.allocate_tensors()
        interpreter.invoke()
    for ours, theirs in zip(delegated.get_output_details(), plain.get_output_details(), strict=True):
        shapes = [delegated.get_tensor(ours['index']).shape, plain.get_tensor(theirs['index']).shape]
        expect(shapes[0] == shapes[1] and shapes[0][0] == 0, f'{shapes}')
    for detail in delegated.get_input_details():
        delegated.resize_tensor_input(detail['index'], [1, *detail['shape'][1:]])
    delegated.allocate_tensors()
    expect(np.array_equal(before[0], run(delegated, noise(delegated))[0]), 'outputs changed on the way')
