"""A layer that stands in for a stock one, and is written down as the stock one.

    @stands_in_for(keras.layers.ReLU)
    class ReLU(keras.layers.ReLU): ...

A saved model has the stock layer's name in it, so it loads where tfold is not installed. Copying the layer
(`tfold.graph.clone`) gives the stock one as well.
"""


def stands_in_for(stock):
    """Class decorator: a subclass of a stock Keras layer with the same arguments, to be saved as that layer.

    Args:
        stock: The layer class of `keras.layers`.
    """

    def mark(kind):
        kind._tfold_stock = stock
        # Keras writes down where a class lives and what it is called, and finds its own layers by that.
        kind.__module__, kind.__name__, kind.__qualname__ = "keras.layers", stock.__name__, stock.__name__
        return kind

    return mark
