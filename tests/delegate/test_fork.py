"""Processes that fork after they have loaded the delegate and run inferences."""
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np

import workers
from harness import expect

PATIENCE = 120


class Parent:
    """A process that has run a model which is large enough for several threads."""

    def __init__(self, setup, **options):
        self.delegate = str(setup.args.delegate)
        self.model = str(setup.model('mobilenet_v1_0.25_128_quant.tflite'))
        self.interpreter = workers.interpreter(self.delegate, self.model, **options)
        detail = self.interpreter.get_input_details()[0]
        self.image = np.random.default_rng(1).integers(0, 256, detail['shape'], np.uint8)
        self.expected = workers.infer(self.interpreter, self.image)
        self.arguments = self.delegate, self.model, self.image, self.expected

    def still_works(self):
        found = workers.infer(self.interpreter, self.image)
        expect(np.array_equal(found, self.expected), 'outputs of the parent changed')


def wait(child):
    """Exit code of a forked child, which is killed when it hangs."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError('a forked child hangs')


def forked(body):
    """Runs `body` in a child that ends as Python programs do; returns its exit code."""
    child = os.fork()
    if child:
        return wait(child)
    try:
        code = body() or 0
    except BaseException as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        code = 1
    # What the child inherited is destroyed, too.
    gc.collect()
    os._exit(code)


def test_forked_children_run_and_end(setup):
    parent = Parent(setup)
    for _ in range(3):
        expect(forked(lambda: workers.work(*parent.arguments)) == 0, 'a child failed')
        parent.still_works()


def test_a_child_that_drops_what_it_inherited(setup):
    parent = Parent(setup)

    def drop():
        del parent.interpreter
        gc.collect()

    expect(forked(drop) == 0, 'the child failed')
    parent.still_works()


def test_inherited_interpreters_fail_clearly(setup):
    parent = Parent(setup)

    def use():
        try:
            workers.infer(parent.interpreter, parent.image)
        except RuntimeError as error:
            return 0 if 'before fork()' in str(error) else 4
        return 5

    code = forked(use)
    expect(code == 0, f'exit code {code}')
    parent.still_works()


def test_inherited_interpreters_use_the_cpu_if_asked(setup):
    parent = Parent(setup, on_error='cpu')

    def use():
        found = workers.infer(parent.interpreter, parent.image)
        # A network of many layers: rounding differs by little.
        distance = np.abs(found.astype(int) - parent.expected.astype(int)).max()
        return 0 if distance <= 8 and found.argmax() == parent.expected.argmax() else 5

    code = forked(use)
    expect(code == 0, f'exit code {code}')
    parent.still_works()


def test_multiprocessing(setup):
    parent = Parent(setup)
    for method in ('fork', 'forkserver', 'spawn'):
        context = multiprocessing.get_context(method)
        processes = [context.Process(target=workers.work, args=parent.arguments) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(PATIENCE)
            code = process.exitcode
            if code is None:
                process.kill()
            expect(code == 0, f'{method}: exit code {code}')
        parent.still_works()


def test_subprocesses(setup):
    parent = Parent(setup)
    code = "print(1)"
    # With a function to call between, Python forks; without, it may use vfork.
    for preexec in (None, os.setsid):
        found = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                               preexec_fn=preexec, close_fds=False, timeout=PATIENCE)
        expect(found.returncode == 0, found.stderr)
        parent.still_works()


def test_a_server_whose_workers_die(setup):
    """As Frigate and pre-forking servers: the parent has loaded everything, workers come and go."""
    parent = Parent(setup)
    context = multiprocessing.get_context('fork')
    requests, answers = context.Queue(), context.Queue()

    def worker():
        process = context.Process(target=workers.serve, daemon=True,
                                  args=(parent.delegate, parent.model, requests, answers))
        process.start()
        return process

    crew = [worker() for _ in range(2)]
    for number in range(6):
        requests.put((number, parent.image))
        found, answer = answers.get(timeout=PATIENCE)
        expect(found == number and np.array_equal(answer, parent.expected), 'a wrong answer')
        # An idle one: whoever dies with the queue's lock takes it along.
        requests.put(None)
        deadline = time.monotonic() + PATIENCE
        while all(process.is_alive() for process in crew) and time.monotonic() < deadline:
            time.sleep(0.005)
        ended = [process for process in crew if not process.is_alive()]
        expect(ended and all(process.exitcode == 0 for process in ended), 'a worker failed')
        crew = [process for process in crew if process.is_alive()] + [worker() for _ in ended]
        parent.still_works()
    for process in crew:
        process.kill()


def test_200_forks(setup):
    """Many short-lived children, while another thread of the parent keeps running inferences."""
    parent = Parent(setup)
    small = str(setup.small())
    other = workers.interpreter(parent.delegate, small)
    detail = other.get_input_details()[0]
    image = np.zeros(detail['shape'], detail['dtype'])
    expected = workers.infer(other, image)
    stop, wrong = threading.Event(), []

    def run():
        while not stop.is_set():
            found = workers.infer(parent.interpreter, parent.image)
            if not np.array_equal(found, parent.expected):
                wrong.append(found)

    thread = threading.Thread(target=run)
    thread.start()
    descriptors = len(os.listdir('/proc/self/fd'))
    try:
        for number in range(200):
            model = parent.arguments if number % 20 == 0 else (parent.delegate, small, image, expected)
            expect(forked(lambda: workers.work(*model)) == 0, f'child {number} failed')
    finally:
        stop.set()
        thread.join()
    expect(not wrong, f'{len(wrong)} wrong outputs in the parent')
    found = len(os.listdir('/proc/self/fd'))
    expect(found == descriptors, f'{found - descriptors} more open files')
