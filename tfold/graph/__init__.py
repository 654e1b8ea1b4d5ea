"""What a network computes at inference, as data.

`capture` reads a Keras model into a `Graph` (`calls`: what is connected to what; `read_layer`: what one layer
computes), passes rewrite the graph, `build` makes a Keras model of it again. Passes see the `ir` alone, which knows
nothing but NumPy.
"""
