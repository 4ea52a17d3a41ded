"""A failing device must be an error that is reported, and the CPU's work or a clean failure.

usage: delegate_failures.py CASES.json DELEGATE.so CHECK...

`absent`: there is no node; `forbidden`: it may not be opened; `fail`, `cpu`: the third inference
fails, which the board sees to; `works`: one inference, and no failure. Each check has a process of
its own, which must end by itself. Prints a line a check; ends with 0 if all passed.
SPDX-License-Identifier: MIT
"""
import json
import os
import shutil
import sys
import tempfile
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType, load_delegate

NODE = os.environ.get("NODE", "/dev/accel/accel0")
NOBODY = 65534


def interpreter(case, delegate=None):
    made = Interpreter(
        case["model"],
        experimental_delegates=[delegate] if delegate else None,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    made.allocate_tensors()
    detail = made.get_input_details()[0]
    made.set_tensor(detail["index"], np.load(case["in"][0]).reshape(detail["shape"]))
    return made


def output(made):
    return made.get_tensor(made.get_output_details()[0]["index"])


def delegated(made):
    return any(node["op_name"] == "DELEGATE" for node in made._get_ops_details())


def messages(action):
    """What `action` returns or raises, and what reached standard error meanwhile."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            result = action()
        except (RuntimeError, ValueError) as error:
            result = error
        finally:
            os.dup2(saved, 2)
        file.seek(0)
        return result, file.read().decode()


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def refused(library, case, words):
    """Loading fails with these words; with on_error=cpu all is left to the host."""
    error, _ = messages(lambda: load_delegate(library, {"device": NODE}))
    expect(isinstance(error, ValueError), f"loading gave {error!r}")
    expect(all(word in str(error) for word in words), str(error))
    delegate, said = messages(lambda: load_delegate(library, {"device": NODE, "on_error": "cpu"}))
    expect(all(word in said for word in words), f"reported: {said!r}")
    fallen, plain = interpreter(case, delegate), interpreter(case)
    expect(not delegated(fallen), "operators were taken")
    fallen.invoke()
    plain.invoke()
    expect(np.array_equal(output(fallen), output(plain)), "the CPU's outputs differ")
    return str(error).strip()


def absent(library, case):
    expect(not os.path.exists(NODE), "there is a node")
    return refused(library, case, [NODE, "does not exist"])


def forbidden(library, case):
    os.chmod(NODE, 0o660)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    return refused(library, case, [NODE, "may not be opened", "group"])


def works(library, case):
    """One inference."""
    made = interpreter(case, load_delegate(library, {"device": NODE}))
    expect(delegated(made), "nothing was taken")
    made.invoke()
    return "one inference"


def job_fails(library, case):
    """With on_error=fail: an error in words, and the interpreter goes on working afterwards."""
    made = interpreter(case, load_delegate(library, {"device": NODE}))
    expect(delegated(made), "nothing was taken")
    made.invoke()
    good = output(made).copy()
    made.invoke()
    start = time.monotonic()
    error, said = messages(made.invoke)
    took = time.monotonic() - start
    expect(isinstance(error, RuntimeError), f"the failing run gave {error!r}")
    expect("ferrite: " in str(error) + said and "CONV_2D" in str(error) + said, f"reported: {error} {said}")
    expect(took < 10, f"it took {took} s")
    made.invoke()
    expect(np.array_equal(output(made), good), "other outputs after the failure")
    return f"{str(error).strip().splitlines()[0]} ({took:.2f} s)"


def job_falls_back(library, case):
    """With on_error=cpu: reported once, and the outputs are the CPU's."""
    made = interpreter(case, load_delegate(library, {"device": NODE, "on_error": "cpu"}))
    plain = interpreter(case)
    plain.invoke()
    made.invoke()
    made.invoke()
    for run in (1, 2):
        result, said = messages(made.invoke)
        expect(result is None, f"run {run} after the failure gave {result!r}")
        expect(("using the CPU from now on" in said) == (run == 1), f"run {run} reported: {said!r}")
        expect(np.array_equal(output(made), output(plain)), f"run {run}: the CPU's outputs differ")
    return "reported once"


CHECKS = {"absent": absent, "forbidden": forbidden, "works": works, "fail": job_fails, "cpu": job_falls_back}


def isolated(check, library, case):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 0
        try:
            text = check(library, case)
        except Exception as error:  # reported, not hidden: the parent counts it
            text, status = f"{type(error).__name__}: {error}", 1
        os.write(writer, text.encode())
        os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        text = f"ended by signal {os.WTERMSIG(status)}"
    print(f"{check.__name__}: {'ok' if status == 0 else 'FAILED'}: {text}", flush=True)
    return status == 0


def main():
    cases_file, library, *kinds = sys.argv[1:]
    with open(cases_file) as stream:
        case = json.load(stream)[0]
    # Where a process without privileges may read.
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    library = shutil.copy(library, folder)
    case["model"], case["in"] = shutil.copy(case["model"], folder), [shutil.copy(name, folder) for name in case["in"]]
    checks = [CHECKS[kind] for kind in kinds]
    return 0 if all([isolated(check, library, case) for check in checks]) else 1


if __name__ == "__main__":
    sys.exit(main())
