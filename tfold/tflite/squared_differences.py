"""(a − b)² in two steps: for an int16 file, since no runtime computes SQUARED_DIFFERENCE in int16.

    a ─┐                                  a ─┐
       SQUARED_DIFFERENCE ─▶ y      ⇒        SUB ─▶ d ─▶ MUL(d, d) ─▶ y
    b ─┘                                  b ─┘

Every layer normalization has one. The older quantizer makes int16 of it all the same, and the file then loads but does
not run.
"""
import copy

from tfold.tflite.schema import schema
from tfold.tflite.write import packed


def without_squared_differences(content):
    """A float file that computes the same without SQUARED_DIFFERENCE.

    Args:
        content: bytes of a float .tflite file, calibrated.

    Returns:
        bytes of the other file; the same where there is none.
    """
    S = schema()
    model = S.ModelT.InitFromPackedBuf(content, 0)
    if not any(_code(model, op) == S.BuiltinOperator.SQUARED_DIFFERENCE for graph in model.subgraphs
               for op in graph.operators):
        return content
    for graph in model.subgraphs:
        ops = []
        for op in graph.operators:
            if _code(model, op) != S.BuiltinOperator.SQUARED_DIFFERENCE:
                ops.append(op)
                continue
            result = graph.tensors[op.outputs[0]]
            between = copy.deepcopy(result)
            between.name = result.name + b"/SUB"
            graph.tensors.append(between)
            place = len(graph.tensors) - 1
            ops += [_op(model, "SUB", op.inputs, [place]), _op(model, "MUL", [place, place], op.outputs)]
        graph.operators = ops
    for code in model.operatorCodes:  # a file may not name an op that the interpreter lacks, used or not
        if code.builtinCode == S.BuiltinOperator.SQUARED_DIFFERENCE:
            code.builtinCode = code.deprecatedBuiltinCode = S.BuiltinOperator.SUB
            code.version = 1
    return packed(model)


def _code(model, op):
    code = model.operatorCodes[op.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _op(model, kind, inputs, outputs):
    S = schema()
    code, op = S.OperatorCodeT(), S.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(S.BuiltinOperator, kind)
    code.version = 1
    model.operatorCodes.append(code)
    op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes) - 1, list(inputs), list(outputs)
    name = f"{kind.capitalize()}Options"
    op.builtinOptionsType, op.builtinOptions = getattr(S.BuiltinOptions, name), getattr(S, f"{name}T")()
    return op
