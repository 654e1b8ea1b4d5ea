"""What a .tflite file's tables point at: the pointer half of TFLite's schema, version 3 (tensorflow 2.21).

Numbers are field numbers of `schema.fbs`, in its order; union members are numbered as in its unions. A test compares
every table here with the schema that ai-edge-litert ships.
"""

from tfold.measure.flatbuffer import Table

VERSION = 0  # of MODEL: uint32, always 3
OPERATOR_CODES = 1  # of MODEL
SUBGRAPHS = 2  # of MODEL
CUSTOM_CODE = 1  # of OPERATOR_CODE: the name of a custom or Flex op

_STRING = "string"
_BYTES, _INT16S, _INT32S, _FLOATS, _INT64S = 1, 2, 4, 4, 8

OPERATOR_CODE = Table({CUSTOM_CODE: _STRING})

BUILTIN_OPTIONS = {
    3: Table({1: _INT32S, 2: _INT32S}),  # ConcatEmbeddingsOptions
    8: Table({5: _BYTES}),  # FullyConnectedOptions
    17: Table({0: _INT32S}),  # ReshapeOptions
    30: Table({0: _INT32S}),  # SqueezeOptions
    111: Table({0: _STRING, 1: _STRING}),  # VarHandleOptions
    115: Table({0: _FLOATS}),  # BucketizeOptions
}
BUILTIN_OPTIONS_2 = {
    2: Table({0: _INT64S}),  # StablehloBroadcastInDimOptions
    3: Table({number: _INT64S for number in (0, 1, 2)}),  # StablehloSliceOptions
    4: Table({**{n: _INT64S for n in (0, 1, 2, 3, 7, 10, 13)}, 4: _BYTES, 16: _INT32S}),  # StablehloConvolutionOptions
    5: Table({0: _STRING, 2: _STRING, 4: _INT32S, 5: _BYTES}),  # StablehloCustomCallOptions
    6: Table({0: _INT64S}),  # StablehloReduceOptions
    7: Table({number: _INT64S for number in (1, 2, 3)}),  # StablehloScatterOptions
    9: Table({0: _INT64S}),  # StablehloDynamicSliceOptions
    10: Table({number: _INT64S for number in (0, 1, 2)}),  # StablehloPadOptions
    12: Table({**{n: _INT64S for n in (0, 1, 2, 3)}, 4: _INT32S}),  # StablehloDotGeneralOptions
    13: Table({number: _INT64S for number in (0, 1, 2, 3, 4)}),  # StablehloReduceWindowOptions
    16: Table({number: _INT64S for number in (0, 1, 2, 4)}),  # StablehloGatherOptions
    17: Table({0: _INT64S}),  # StablehloTransposeOptions
    21: Table({0: _STRING, 2: _BYTES}),  # StableHLOCompositeOptions
    23: Table({0: _INT32S}),  # StablehloCaseOptions
}
OPERATOR = Table(
    fields={1: _INT32S, 2: _INT32S, 5: _BYTES, 7: _BYTES, 8: _INT32S},
    unions={4: (3, BUILTIN_OPTIONS), 12: (11, BUILTIN_OPTIONS_2)},
    external=((9, 10),),  # custom options behind the flatbuffer
)

QUANTIZATION_DETAILS = {
    1: Table({0: _BYTES}),  # CustomQuantization
    2: Table({3: _INT32S}),  # BlockwiseQuantization
    3: Table({3: _INT32S}),  # MultiAxisQuantization
}
QUANTIZATION = Table({0: _FLOATS, 1: _FLOATS, 2: _FLOATS, 3: _INT64S}, unions={5: (4, QUANTIZATION_DETAILS)})

SPARSE_INDEX = {1: Table({0: _INT32S}), 2: Table({0: _INT16S}), 3: Table({0: _BYTES})}
DIMENSION = Table(unions={3: (2, SPARSE_INDEX), 5: (4, SPARSE_INDEX)})
SPARSITY = Table({0: _INT32S, 1: _INT32S, 2: [DIMENSION]})

VARIANT = Table({0: _INT32S})
TENSOR = Table({0: _INT32S, 3: _STRING, 4: QUANTIZATION, 6: SPARSITY, 7: _INT32S, 9: [VARIANT]})
SUBGRAPH = Table({0: [TENSOR], 1: _INT32S, 2: _INT32S, 3: [OPERATOR], 4: _STRING})

BUFFER = Table({0: _BYTES}, external=((1, 2),))  # weights of files above 2 GB lie behind the flatbuffer
METADATA = Table({0: _STRING})
TENSOR_MAP = Table({0: _STRING})
SIGNATURE = Table({0: [TENSOR_MAP], 1: [TENSOR_MAP], 2: _STRING})
EXTERNAL_GROUP = Table({0: _STRING})
EXTERNAL_BUFFER = Table({4: _STRING})

MODEL = Table(
    {
        OPERATOR_CODES: [OPERATOR_CODE],
        SUBGRAPHS: [SUBGRAPH],
        3: _STRING,
        4: [BUFFER],
        5: _INT32S,
        6: [METADATA],
        7: [SIGNATURE],
        8: [EXTERNAL_GROUP],
        9: [EXTERNAL_BUFFER],
    }
)
