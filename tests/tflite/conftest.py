"""Small .tflite files made by hand: no TensorFlow, milliseconds, and every number in them is the test's choice."""

import numpy as np
import pytest

from tfold.measure import check_tflite
from tfold.tflite.schema import schema
from tfold.tflite.write import packed


class HandMade:
    """A .tflite file in the making; `model` is the schema's object and may be changed at will."""

    def __init__(self):
        S = self.S = schema()
        self.model, self.graph = S.ModelT(), S.SubGraphT()
        self.model.version, self.model.subgraphs, self.model.buffers = 3, [self.graph], [S.BufferT()]
        self.model.operatorCodes, self.model.signatureDefs, self.model.metadata = [], [], []
        self.graph.name, self.graph.tensors, self.graph.operators = "main", [], []
        self.graph.inputs, self.graph.outputs = [], []

    def tensor(self, name, shape, dtype="float32", data=None, scales=(), zero_points=(), axis=0):
        """Adds a tensor, a constant if there are `data` (an array, or bytes as the file is to have them)."""
        tensor = self.S.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = getattr(self.S.TensorType, dtype.upper())
        if data is not None:
            tensor.buffer = self.buffer(data if isinstance(data, bytes) else np.asarray(data, dtype).tobytes())
        if scales:
            tensor.quantization = self.S.QuantizationParametersT()
            tensor.quantization.scale = list(scales)
            tensor.quantization.zeroPoint = list(zero_points or [0] * len(scales))
            tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def buffer(self, content):
        buffer = self.S.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def input(self, *args, **kwargs):
        self.graph.inputs.append(self.tensor(*args, **kwargs))
        return self.graph.inputs[-1]

    def constant(self, name, data, dtype="float32", **more):
        return self.tensor(name, np.shape(data), dtype, np.asarray(data, dtype), **more)

    def op(self, kind, inputs, outputs, options=None, version=1, **settings):
        """Adds an op; `kind` is the schema's name or that of a custom op, `options` the name of its options' class."""
        S, code, op = self.S, self.S.OperatorCodeT(), self.S.OperatorT()
        number = getattr(S.BuiltinOperator, kind, S.BuiltinOperator.CUSTOM)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
        code.customCode = kind if number == S.BuiltinOperator.CUSTOM else None
        op.opcodeIndex = len(self.model.operatorCodes)
        op.inputs, op.outputs = list(inputs), [outputs] if isinstance(outputs, int) else list(outputs)
        if options:
            op.builtinOptionsType = getattr(S.BuiltinOptions, options)
            op.builtinOptions = getattr(S, f"{options}T")()
            for name, value in settings.items():
                setattr(op.builtinOptions, name, value)
        self.model.operatorCodes.append(code)
        self.graph.operators.append(op)
        return op.outputs[0]

    def conv(self, x, kernel, shape, name, activation=0, stride=1):
        """A convolution with "same" padding."""
        bias = self.constant(f"{name}/bias", np.linspace(-1, 1, shape[-1]))
        return self.op("CONV_2D", [x, kernel, bias], self.tensor(name, shape), "Conv2DOptions", padding=0,
                       strideH=stride, strideW=stride, dilationHFactor=1, dilationWFactor=1,
                       fusedActivationFunction=activation)

    def arithmetic(self, kind, a, b, shape, name, **more):
        return self.op(kind, [a, b], self.tensor(name, shape, **more), f"{kind.capitalize()}Options")

    def write(self, path, *outputs):
        self.graph.outputs = list(outputs) or self.graph.outputs
        path.write_bytes(packed(self.model))
        check_tflite(path)
        return path


@pytest.fixture
def hand_made():
    """Makes a .tflite file by hand."""
    return HandMade()


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """conv ─ batch norm (MUL, ADD) ─ REVERSE_V2 ─ conv, which gets its kernel from a DEQUANTIZE, ─ softmax."""
    rng, net = np.random.default_rng(0), HandMade()
    x = net.input("image", (1, 8, 8, 3))
    kernel = net.constant("conv/kernel", rng.normal(size=(4, 3, 3, 3)))
    x = net.conv(x, kernel, (1, 8, 8, 4), "conv;relu6", activation=net.S.ActivationFunctionType.RELU6)
    x = net.arithmetic("MUL", x, net.constant("scale", rng.uniform(1, 2, 4)), (1, 8, 8, 4), "bn/mul")
    x = net.arithmetic("ADD", x, net.constant("shift", rng.normal(size=4)), (1, 8, 8, 4), "bn")
    axis = net.constant("axis", [1], "int32")
    x = net.op("REVERSE_V2", [x, axis], net.tensor("reverse", (1, 8, 8, 4)))
    half = net.constant("conv2/kernel/float16", rng.normal(size=(2, 1, 1, 4)), "float16")
    kernel = net.op("DEQUANTIZE", [half], net.tensor("conv2/kernel", (2, 1, 1, 4)), version=3)
    x = net.conv(x, kernel, (1, 8, 8, 2), "conv2")
    x = net.op("SOFTMAX", [x], net.tensor("softmax", (1, 8, 8, 2)), "SoftmaxOptions", beta=1.0)
    net.model.description = "made by hand"
    entry, signature = net.S.MetadataT(), net.S.SignatureDefT()
    entry.name, entry.buffer = "tfold", net.buffer(b'{"tfold": "0.1", "format": "float32"}')
    net.model.metadata = [entry]
    maps = [net.S.TensorMapT(), net.S.TensorMapT()]
    (maps[0].name, maps[0].tensorIndex), (maps[1].name, maps[1].tensorIndex) = ("image", 0), ("classes", x)
    signature.signatureKey, signature.inputs, signature.outputs = "serving_default", [maps[0]], [maps[1]]
    net.model.signatureDefs = [signature]
    return net.write(tmp_path_factory.mktemp("hand-made") / "small.tflite", x)
