"""What `tfold inspect` says of a .tflite file. TensorFlow is not needed, and not loaded."""
import json
from collections import defaultdict

from tfold import documents
from tfold.cli import common
from tfold.cli.op_table import short
from tfold.errors import TfoldError

SHOWN = 3  # names of one kind of op; the JSON document has all


def inspect_tflite(path, runtime, as_json):
    """Print what is in the file, and set the JSON document."""
    from tfold.measure.runtimes import resolve
    from tfold.tflite import summary
    from tfold.tflite.arithmetic import leftovers
    from tfold.tflite.contents import read

    resolve(runtime)
    contents = read(path)
    covered, why_not = _coverage(path, runtime)
    left, quantization = leftovers(contents), summary.quantization(contents)
    ops, weights, custom = summary.ops_by_kind(contents), summary.bytes_by_type(contents), summary.custom_ops(contents)
    inputs, outputs = _ends(contents)
    document = {
        "input": path, "bytes": contents.size, "description": contents.description, "inputs": inputs,
        "outputs": outputs, "signatures": [
            {"key": s.key, "inputs": list(s.inputs), "outputs": list(s.outputs), "subgraph": s.subgraph}
            for s in contents.signatures],
        "metadata": {name: len(content) for name, content in contents.metadata.items()}, "tfold": _own(contents),
        "subgraphs": len(contents.subgraphs), "ops": ops, "custom_ops": custom, "weights": weights,
        "quantization": quantization.to_json(),
        "delegation": covered.to_json() if covered else {"runtime": runtime, "error": why_not},
        "leftovers": [each.to_json() for each in left],
    }
    common.write_json("inspect-tflite", document)
    lines = [("size", f"{contents.size:,} bytes, {sum(weights.values()):,} of them constants")]
    lines += [("input", _described(end)) for end in inputs] + [("output", _described(end)) for end in outputs]
    lines += [("signature", f"{s.key}: {', '.join(s.inputs)} → {', '.join(s.outputs)}") for s in contents.signatures]
    lines += [("tfold", f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
              for key, value in (_own(contents) or {}).items()]
    lines.append(("metadata", ", ".join(f"{name} {_shown(content)}" for name, content in contents.metadata.items()
                                        if name != "tfold" or _own(contents) is None)))
    lines.append(("ops", ", ".join(f"{kind} {count}" for kind, count in ops.items())))
    if len(contents.subgraphs) > 1:
        lines.append(("branches", f"{len(contents.subgraphs) - 1} subgraphs beside the first; what follows is of that"))
    needed = "TensorFlow's Flex delegate" if all(name.startswith("Flex") for name in custom) else "them"
    lines.append(("custom ops", f"{', '.join(custom)}: the app must bring {needed} along" if custom else ""))
    lines.append(("constants", ", ".join(f"{dtype} {size:,} bytes" for dtype, size in weights.items())))
    lines += _quantized(quantization)
    who = f"({covered.runtime} {covered.version})" if covered else ""
    lines.append(("XNNPACK", f"{covered} {who}" if covered else f"not known: {why_not}"))
    lines.append(("not XNNPACK", _names(covered.left) if covered and covered.delegated else ""))
    lines += [("arithmetic", _leftover(each)) for each in left]
    for label, text in lines:
        if text:
            common.say(f"{label:<12} {text}", as_json)
    step = ("tfold", "bench", common.path_word(path)) if covered else ("tfold", "export", "--help")
    common.say(f"nothing written; next: {common.command_line(*step)}", as_json)


def _coverage(path, runtime):
    """Who runs what; None and the reason where the runtime cannot load the file, which says nothing about the rest."""
    from tfold.tflite.coverage import coverage

    try:
        return coverage(path, runtime), None
    except TfoldError as error:
        return None, str(error)


def _ends(contents):
    """The inputs and outputs, by the names that Keras knows where there is one signature."""
    signature = contents.signatures[0] if len(contents.signatures) == 1 else None
    known = [{}, {}] if signature is None or signature.subgraph else [
        {tensor: name for name, tensor in side.items()} for side in (signature.inputs, signature.outputs)]
    return [
        [{"name": names.get(index, tensor.name), "tensor": index, "shape": list(tensor.signature),
          "dtype": tensor.dtype, "scales": list(tensor.scales), "zero_points": list(tensor.zero_points)}
         for index in indices for tensor in [contents.tensors[index]]]
        for indices, names in ((contents.inputs, known[0]), (contents.outputs, known[1]))
    ]


def _described(end):
    text = f"{end['name']} ({', '.join(map(str, end['shape']))}) {end['dtype']}"
    if len(end["scales"]) == 1:
        text += f", scale {end['scales'][0]:.6g}, zero point {(end['zero_points'] or [0])[0]}"
    return text


def _own(contents):
    """What tfold wrote about how the file was made; None where there is no such thing."""
    try:
        found = documents.parse(contents.metadata["tfold"])
    except (KeyError, ValueError):  # another program's, or damaged
        return None
    return found if isinstance(found, dict) else None


def _shown(content):
    text = content.rstrip(b"\0")
    return text.decode() if len(text) <= 32 and text.isascii() and text.decode().isprintable() \
        else f"({len(content):,} bytes)"


def _quantized(found):
    """Lines about the quantisation; nothing but its format for a file without."""
    if found.format in ("float32", "float16"):
        return [("format", found.format)]
    whole, kernels = sum(found.kernels.values()), ", ".join(f"{dtype} {n}" for dtype, n in found.kernels.items())
    between = ", ".join(f"{dtype} {count}" for dtype, count in found.activations.items())
    text = f"{found.format}; kernels {kernels or 'none'}, {found.per_channel} of {whole} per channel; tensors {between}"
    return [("format", text), ("float layers", _names(found.float_kernels)), ("float ops", _names(found.float_ops))]


def _names(ops):
    """Ops with their names, by kind: CONV_2D 2 (a, b), SOFTMAX (c)"""
    by_kind = defaultdict(list)
    for op, name in ops:
        by_kind[op.kind].append(short(name))
    return ", ".join(
        f"{kind}{f' {len(names)}' if len(names) > 1 else ''} "
        f"({', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''})"
        for kind, names in by_kind.items()
    )


def _leftover(each):
    notes = [each.meaning] if each.meaning else [] if each.linear else ["not linear"]
    shape = f" {'×'.join(map(str, each.shape))}" if each.form != "scalar" else ""
    return f"{', '.join([f'{each.kind} {each.form}{shape}', *notes])}: {short(each.name)}"
