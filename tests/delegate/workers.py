"""What the processes of test_fork do. A module of its own, since spawned ones import it by name."""
import numpy as np


def interpreter(library, model, **options):
    try:
        from ai_edge_litert import interpreter as tfl
    except ImportError:
        from tflite_runtime import interpreter as tfl
    delegate = tfl.load_delegate(library, {'device': 'sim:rk3588', **options})
    made = tfl.Interpreter(model, experimental_delegates=[delegate], num_threads=1,
                           experimental_op_resolver_type=tfl.OpResolverType.BUILTIN_REF)
    made.allocate_tensors()
    return made


def infer(made, image):
    made.set_tensor(made.get_input_details()[0]['index'], image)
    made.invoke()
    return made.get_tensor(made.get_output_details()[0]['index']).copy()


def work(library, model, image, expected):
    """One process: an interpreter of its own, a few inferences. Its exit code tells of wrong ones."""
    made = interpreter(library, model)
    for _ in range(3):
        if not np.array_equal(infer(made, image), expected):
            raise SystemExit(3)


def serve(library, model, requests, answers):
    """A worker of a server: its own interpreter, an answer for each request."""
    made = interpreter(library, model)
    while (request := requests.get()) is not None:
        number, image = request
        answers.put((number, infer(made, image)))
