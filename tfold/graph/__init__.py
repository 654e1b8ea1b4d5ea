"""What a network computes at inference, as data.

`capture` reads a Keras model into a `Graph` (`calls`: what is connected to what; `read_layer`, and the readers that it
asks: what one layer or operation computes), passes rewrite the graph, `build` makes a Keras model of it again, `run`
evaluates it in NumPy. Passes see the `ir` alone, which knows nothing but NumPy.
"""
