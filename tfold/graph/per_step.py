"""Layers that see one step of a sequence, made so that no loop runs over the steps.

    (batch, steps, height, width, channels) ─ reshape ─▶ (batch · steps, height, width, channels) ─ conv ─ reshape ─▶

Between two such layers the steps stay in the batch: the two reshapes between them are not made. Where a size is open,
or masks are about, which a reshape would lose, `TimeDistributed` goes around the layer instead.
"""
from tfold.graph import operations
from tfold.graph.steps import at_one_step


class PerStep:
    """Makes the functions of such layers for one model.

    Args:
        family: the `Family` of its layers.
        name: function from a node and a suffix to an unused name of a layer.
        masked: masks may be about.
    """

    def __init__(self, family, name, masked):
        self.family, self.name, self.masked = family, name, masked
        self._merged = {}

    def function(self, node, count, shape, inputs, make):
        """The function from tensors with steps to the one that a node makes of them.

        Args:
            node: the node as it is at one step.
            count: how many axes of steps there are.
            shape: of what it makes, with the steps.
            inputs: the Keras tensors that it will read, with the steps.
            make: function from the node and the Keras tensors that it reads at one step to its function.
        """
        shapes = [tuple(tensor.shape) for tensor in inputs]
        is_open = any(None in each[1:] for each in (*shapes, shape))
        if self.masked or is_open:
            once = [self.family.keras.Input(batch_shape=at_one_step(each, count), dtype=tensor.dtype)
                    for each, tensor in zip(shapes, inputs, strict=True)]
            return self._wrapped(node, count, make(node, once), once)
        return self._at_once(node, count, shape, inputs, lambda given: make(node, given))

    def are_merged(self, inputs):
        """Whether tensors were all made with the steps in the batch."""
        return bool(inputs) and all(id(tensor) in self._merged for tensor in inputs)

    def all_at_once(self, make, node, inputs):
        """The function of a node that treats each number by itself, on tensors that have the steps in the batch."""
        count = self._merged[id(inputs[0])][2]
        return self._at_once(node, count, node.shape, inputs, lambda given: make(node, given))

    def _at_once(self, node, count, shape, inputs, make):
        shapes = [tuple(tensor.shape) for tensor in inputs]
        given = [self._merged[id(tensor)][1] if id(tensor) in self._merged else
                 self.family.keras.Input(batch_shape=(None, *each[1 + count :]), dtype=tensor.dtype)
                 for tensor, each in zip(inputs, shapes, strict=True)]
        function, reshape = make(given), operations.of(self.family).reshaped
        merges = {}

        def merged(number, tensor):
            if id(tensor) in self._merged:
                return self._merged[id(tensor)][1]
            if number not in merges:
                merges[number] = reshape(self.name(node, "_steps_in"), (-1, *shapes[number][1 + count :]), tensor)
            return merges[number](tensor)

        def call(tensors):
            made = function([merged(number, tensor) for number, tensor in enumerate(tensors)])
            (made,) = self.family.flatten(made)
            if "out" not in merges:
                merges["out"] = reshape(self.name(node, "_steps_out"), (-1, *shape[1:]), made)
            result = merges["out"](made)
            if self._is_symbolic(result):
                self._merged[id(result)] = result, made, count  # the result is kept, so that no other gets its id
            return result

        return call

    def _is_symbolic(self, tensor):
        return self.family.keras.backend.is_keras_tensor(tensor)

    def _wrapped(self, node, count, function, once):
        """`TimeDistributed` around the model that a node is at one step."""
        made = function(once)
        inner = self.family.keras.Model(once, made, name=self.name(node, "_step"))
        for _ in range(count):
            inner = self.family.layers.TimeDistributed(inner, name=self.name(node, "_steps"))
        return lambda tensors: inner(tensors[0])
