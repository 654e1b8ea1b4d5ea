"""Which class of Keras' own a layer stands in for in training (`tfold.training`). Imports nothing: asked early."""


def stock_class(layer):
    """The class of a layer; for one that stands in for a stock layer, the stock one."""
    return getattr(type(layer), "_tfold_stock", type(layer))
