"""The bytes of a changed .tflite file."""
import numpy as np

from tfold.tflite.schema import schema

# A buffer's place in the file is a multiple of this (schema.fbs: force_align), so that weights can be used where they
# lie; the generated Python code forgets it.
ALIGNMENT = 16


def packed(model):
    """The bytes of a file that holds a `ModelT`."""
    import flatbuffers

    class Buffer(schema().BufferT):
        """Data at a multiple of ALIGNMENT."""

        def Pack(self, builder):
            place = None
            if self.data is not None:
                data = np.asarray(self.data, np.uint8)
                builder.StartVector(1, len(data), ALIGNMENT)
                builder.head -= len(data)
                builder.Bytes[builder.head : builder.head + len(data)] = data.tobytes()
                place = builder.EndVector()
            schema().BufferStart(builder)
            if place is not None:
                schema().BufferAddData(builder, place)
            return schema().BufferEnd(builder)

    for buffer in model.buffers:
        buffer.__class__ = Buffer
    builder = flatbuffers.Builder(sum(0 if each.data is None else len(each.data) for each in model.buffers) + 2**20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
