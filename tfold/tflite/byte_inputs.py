"""Bytes at the inputs of an int8 file, where the network takes bytes: an app hands over its pixels as they are.

    float32 ─▶ QUANTIZE ─▶ int8 (step 1, zero at -128)      ⇒      uint8 (step 1, zero at 0) ─▶ QUANTIZE ─▶ int8

The converter has one type for all inputs; a network may take an image of bytes beside a vector of floats.
"""
import numpy as np

from tfold.tflite.schema import names, schema
from tfold.tflite.write import packed


def with_bytes(content, inputs):
    """An int8 file of which some inputs are uint8.

    Args:
        content: bytes of the file, with float32 inputs.
        inputs: numbers of the inputs, which have steps of one.

    Returns:
        bytes of the other file. An input that something else than a QUANTIZE reads stays as it is.
    """
    S = schema()
    model = S.ModelT.InitFromPackedBuf(content, 0)
    main = model.subgraphs[0]
    kinds = names("BuiltinOperator")
    for number in inputs:
        index = int(main.inputs[number])
        codes = [model.operatorCodes[op.opcodeIndex] for op in main.operators if index in op.inputs]
        if not codes or any(kinds[max(code.builtinCode, code.deprecatedBuiltinCode)] != "QUANTIZE" for code in codes):
            continue
        tensor = main.tensors[index]
        tensor.type, tensor.quantization = S.TensorType.UINT8, S.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = np.float32([1]), np.int64([0])
    return packed(model)
