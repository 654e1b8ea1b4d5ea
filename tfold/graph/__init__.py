"""What a network computes at inference, as data.

`capture` reads a Keras model into a `Graph`, passes rewrite the graph, `build` makes a Keras model of it again.
`run` evaluates a graph in NumPy float64: the reference. Only `capture` and `build` know Keras.
"""
