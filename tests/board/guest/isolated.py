"""A process of its own for a call, so that one that crashes or hangs leaves the others alone.
SPDX-License-Identifier: MIT
"""
import json
import os
import sys
import time


def isolated(call, seconds):
    """What `call` returns, a dictionary, or one whose status tells how it failed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            result = call()
        except Exception as error:  # reported, not hidden: the caller counts it as a failure
            result = {"status": f"{type(error).__name__}: {error}"}
        os.write(writer, json.dumps(result).encode())
        sys.stderr.flush()
        os._exit(0)
    os.close(writer)
    deadline = time.monotonic() + seconds
    ended, status = 0, 0
    while ended == 0 and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended == 0:
            time.sleep(0.01)
    if ended == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
        return {"status": f"hung for {seconds} s"}
    with os.fdopen(reader) as stream:
        text = stream.read()
    if status != 0:
        return {"status": f"ended by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "failed"}
    return json.loads(text)
