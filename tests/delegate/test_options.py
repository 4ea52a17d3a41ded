"""Options, and devices that cannot be used."""
import os
import subprocess
from pathlib import Path

import numpy as np

from harness import expect, noise, once, run, segments, stderr


def refused(setup, **options):
    try:
        setup.delegate(**options)
    except ValueError as error:
        return str(error)
    raise AssertionError(f'{options} was taken')


def test_unknown_options_are_refused(setup):
    text = refused(setup, devise='sim:rk3588')
    for known in ('devise', 'device', 'cache_dir', 'log', 'evidence', 'on_error', 'exact'):
        expect(known in text, text)
    expect('sim:rk3588' in refused(setup, device='npu'), 'the devices are not listed')
    expect('silicon, sibling, inferred' in refused(setup, evidence='rumour'), 'no choices')


def test_absent_device_is_refused(setup):
    text = refused(setup, device='/dev/accel/accel99')
    expect('/dev/accel/accel99' in text and 'does not exist' in text, text)


def test_the_simulator_is_not_taken_unasked(setup):
    if any(Path('/dev').glob('accel/accel*')):
        return 'this machine has accel nodes'
    text = refused(setup, device='auto')
    expect('no NPU' in text and 'sim:rk3588' in text, text)


def test_absent_device_falls_back_if_asked(setup):
    with stderr() as lines:
        fallen = setup.interpreter(setup.digits(), device='/dev/accel/accel99', on_error='cpu', log='warn')
    expect(any('accel99' in line for line in lines), f'nothing was reported: {lines}')
    plain = setup.interpreter(setup.digits(), delegate=False)
    results = []
    for interpreter in (fallen, plain):
        interpreter.allocate_tensors()
        expect(segments(interpreter) == 0, 'operators were taken')
        results.append(run(interpreter, noise(interpreter)))
    expect(all(np.array_equal(a, b) for a, b in zip(*results)), 'outputs differ')


def test_variables_of_the_environment(setup):
    os.environ['FERRITE_EVIDENCE'] = 'rumour'
    try:
        expect('rumour' in refused(setup), 'the variable was not read')
        # What the host gives counts more.
        setup.delegate(evidence='silicon')
    finally:
        del os.environ['FERRITE_EVIDENCE']


def test_cpu_device_leaves_all_to_the_host(setup):
    interpreter = setup.interpreter(setup.digits(), device='cpu')
    interpreter.allocate_tensors()
    expect(segments(interpreter) == 0, 'operators were taken')


@once
def test_what_a_selftest_has_proven_is_used(setup):
    def evidence(**options):
        with stderr() as lines:
            setup.interpreter(setup.digits(), log='info', **options)
        return next(line.split()[-3] for line in lines if 'lowerings of evidence' in line)

    before = os.environ.get('FERRITE_STATE_DIR', '')
    os.environ['FERRITE_STATE_DIR'] = str(setup.folder / 'state')
    try:
        expect(evidence() == 'Silicon', evidence())
        command = [setup.args.ferrite, 'selftest', '--device', 'sim:rk3588', '--evidence', 'sibling']
        tested = subprocess.run(command, capture_output=True, text=True)
        expect(tested.returncode == 0, tested.stderr)
        expect(evidence() == 'Sibling', evidence())
        expect(evidence(evidence='silicon') == 'Silicon', 'the option does not count more')
    finally:
        os.environ['FERRITE_STATE_DIR'] = before


@once
def test_cache(setup):
    folder = setup.folder / 'cache'

    def outputs():
        with stderr() as lines:
            interpreter = setup.interpreter(setup.digits(), cache_dir=str(folder), log='info')
            interpreter.allocate_tensors()
        return run(interpreter, noise(interpreter)), '\n'.join(lines)

    first, log = outputs()
    expect('compiled in' in log, log)
    files = list(folder.iterdir())
    expect(len(files) == 1, f'{files}')
    second, log = outputs()
    expect('read from the cache' in log, log)
    content = bytearray(files[0].read_bytes())
    content[len(content) // 2] ^= 1
    files[0].write_bytes(content)
    third, log = outputs()
    expect('damaged' in log and 'compiled in' in log, log)
    fourth, log = outputs()
    expect('read from the cache' in log, log)
    for other in (second, third, fourth):
        expect(all(np.array_equal(a, b) for a, b in zip(first, other)), 'outputs differ')


def test_nothing_is_wrong_with_a_broken_standard_error(setup):
    def full():
        return os.open('/dev/full', os.O_WRONLY)

    def unread():
        reading, writing = os.pipe()
        os.close(reading)
        return writing

    plain = setup.interpreter(setup.digits(), delegate=False)
    plain.allocate_tensors()
    for broken in (full, unread):
        saved, file = os.dup(2), broken()
        os.dup2(file, 2)
        try:
            loud = setup.interpreter(setup.digits(), log='trace')
            # The fallback is reported, which may not fail it.
            fallen = setup.interpreter(setup.digits(), device='/dev/accel/accel99', on_error='cpu', log='info')
            results = []
            for interpreter in (loud, fallen):
                interpreter.allocate_tensors()
                results.append(run(interpreter, noise(interpreter))[0])
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(file)
        expect(segments(loud) == 1, 'nothing was delegated')
        expect(np.array_equal(results[1], run(plain, noise(plain))[0]), 'outputs differ')
