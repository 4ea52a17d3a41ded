"""Ferrite's TFLite delegate for the NPUs of the RK3588 and the A311D.

    import ferrite_npu
    from ai_edge_litert.interpreter import Interpreter

    npu = ferrite_npu.load_delegate()
    interpreter = Interpreter('mobilenet.tflite', experimental_delegates=[npu])
"""
import importlib
import sys
from pathlib import Path

__all__ = ['delegate_path', 'load_delegate']

# Modules with an Interpreter and a load_delegate that go together.
_RUNTIMES = ('ai_edge_litert.interpreter', 'tflite_runtime.interpreter')


def delegate_path():
    """The library, for programs that take a path: `--external_delegate_path` of TFLite's own tools."""
    return str(Path(__file__).with_name('libferrite_delegate.so'))


def load_delegate(options=None, runtime=None):
    """A delegate for `experimental_delegates` of an Interpreter.

    `options` are the delegate's: device, evidence, exact, on_error, priority, cache_dir, log.
    `runtime` is the module that the Interpreter is from; without it, the one that is imported already,
    else the first that is installed.
    """
    return (runtime or _runtime()).load_delegate(delegate_path(), options or {})


def _runtime():
    for name in _RUNTIMES:
        if name in sys.modules:
            return sys.modules[name]
    for name in _RUNTIMES:
        try:
            return importlib.import_module(name)
        except ImportError:
            pass
    raise ImportError('there is no TFLite runtime; run: pip install ai-edge-litert')
