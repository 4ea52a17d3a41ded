"""Writes RELU6 of convolutions as RELU where the output's range ends at six anyway.

Mesa from 25.1 on forgets that a 1x1 convolution is one when it has a fused RELU6 (its Teflon front
end returns too early), and writes its coefficients in an order that the Vivante NPU does not take.
With RELU, which means the same if no output value is larger than six, it does not.
SPDX-License-Identifier: MIT
"""
import struct

CONV_2D, DEPTHWISE_CONV_2D = 1, 2  # BuiltinOptions
RELU, RELU6 = 1, 3  # ActivationFunctionType
UINT8, INT8 = 3, 9  # TensorType


class Table:
    """A table of a flatbuffer, with the fields of the TFLite schema by number."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.fields = at - struct.unpack_from("<i", data, at)[0]

    def where(self, field):
        slot = 4 + 2 * field
        if slot >= struct.unpack_from("<H", self.data, self.fields)[0]:
            return None
        offset = struct.unpack_from("<H", self.data, self.fields + slot)[0]
        return self.at + offset if offset else None

    def value(self, field, form, default=0):
        at = self.where(field)
        return default if at is None else struct.unpack_from(form, self.data, at)[0]

    def follow(self, field):
        at = self.where(field)
        return None if at is None else at + struct.unpack_from("<I", self.data, at)[0]

    def table(self, field):
        return Table(self.data, self.follow(field))

    def vector(self, field, form):
        at = self.follow(field)
        if at is None:
            return []
        count = struct.unpack_from("<I", self.data, at)[0]
        return list(struct.unpack_from(f"<{count}{form}", self.data, at + 4))

    def tables(self, field):
        at = self.follow(field)
        if at is None:
            return []
        count = struct.unpack_from("<I", self.data, at)[0]
        slots = range(at + 4, at + 4 + 4 * count, 4)
        return [Table(self.data, slot + struct.unpack_from("<I", self.data, slot)[0]) for slot in slots]


def largest(tensor):
    """The largest value that a quantised tensor can hold."""
    kind = tensor.value(1, "<b")
    if kind not in (UINT8, INT8):
        return float("inf")
    parameters = tensor.table(4)
    scales, zeros = parameters.vector(2, "f"), parameters.vector(3, "q")
    top = 255 if kind == UINT8 else 127
    return max((top - zero) * scale for scale, zero in zip(scales, zeros))


def as_relu(model):
    """The model with RELU in place of RELU6 where that is the same, and how often that was."""
    data, changed = bytearray(model), 0
    root = Table(data, struct.unpack_from("<I", data, 0)[0])
    for graph in root.tables(2):
        tensors = graph.tables(0)
        for operator in graph.tables(3):
            field = {CONV_2D: 3, DEPTHWISE_CONV_2D: 4}.get(operator.value(3, "<B"))
            if field is None:
                continue
            at = operator.table(4).where(field)
            # 6.0 as a scale of float32 times 255 may be a little more.
            if at is None or data[at] != RELU6 or largest(tensors[operator.vector(2, "i")[0]]) > 6.0001:
                continue
            data[at] = RELU
            changed += 1
    return bytes(data), changed
