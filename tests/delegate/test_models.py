"""Public models: the delegate's outputs are those of `ferrite run`, byte for byte."""
import numpy as np

from harness import delegated_macs, expect, once, run, segments, stderr


def test_public_models(setup):
    return check(setup, 'sim:rk3588', lambda model: True)


@once
def test_public_models_on_the_a311d(setup):
    return check(setup, 'sim:a311d', lambda model: 'mobilenet_v1' in model.name)


def check(setup, device, chosen):
    wrong, notes = [], []
    interpreters = {}
    for model, files, case in setup.models():
        if not chosen(model):
            continue
        if model not in interpreters:
            with stderr() as lines:
                interpreter = setup.interpreter(model, device=device, log='info')
                interpreter.allocate_tensors()
            done, macs = delegated_macs(lines)
            fraction = done / macs if macs else 0.0
            count = segments(interpreter)
            interpreters = {model: interpreter}
            notes.append(f'{model.stem}: {100 * fraction:.2f} % in {count}')
            # On the A311D average pooling stays with TFLite.
            whole = count == 1 or device != 'sim:rk3588'
            if 'mobilenet' in model.name and (fraction < 0.99 or not whole):
                wrong.append(f'{model.name}: {fraction:.4f} of the work in {count} segments')
        outputs = run(interpreters[model], [np.load(f) for f in files])
        expected, _ = setup.ferrite_run(model, files, device)
        for index, (found, wanted) in enumerate(zip(outputs, expected, strict=True)):
            if found.dtype != wanted.dtype or found.reshape(-1).tobytes() != wanted.reshape(-1).tobytes():
                different = int((found.reshape(-1) != wanted.reshape(-1)).sum())
                wrong.append(f'{model.name} {case}, output {index}: {different} of {wanted.size} differ')
    expect(notes and not wrong, '; '.join(wrong) or 'there are no such models')
    return ', '.join(notes)
