"""What the tests of the graph share: the round trip capture → build, and a reference run against Keras in float64."""
import numpy as np
import pytest


@pytest.fixture(scope="session")
def round_trip(randomize):
    """A function that captures and builds a model with random weights, checks that it is the same, and returns it."""
    import keras

    from tfold.graph.build import build
    from tfold.graph.capture import capture
    from tfold.graph.family import family_of
    from tfold.sampling import random_input

    def check(model):
        model, family = randomize(model), family_of(model)
        x = random_input(model, batch=2)
        expected = outputs(model, x)
        weights, config, called = [w.copy() for w in model.get_weights()], model.get_config(), calls(model)

        again = build(capture(model))

        received = outputs(again, x)
        assert [a.shape for a in received] == [e.shape for e in expected]
        assert [a.dtype for a in received] == [e.dtype for e in expected]
        for e, a in zip(expected, received, strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-6, atol=1e-6 * max(np.abs(e).max(), 1))
        assert again.name == model.name
        assert again.count_params() == model.count_params()
        # The caller's model is as it was.
        assert calls(model) == called
        assert str(model.get_config()) == str(config)
        assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))
        for e, a in zip(expected, outputs(model, x), strict=True):
            np.testing.assert_array_equal(e, a)
        assert not {id(w) for w in model.weights} & {id(w) for w in again.weights}
        assert [t.shape for t in again.inputs] == [t.shape for t in model.inputs]
        assert family_of(again) is family
        if not isinstance(model, family.keras.Sequential):
            assert [layer.name for layer in again.layers][0] == [layer.name for layer in model.layers][0]
            # The one output of a nested model bears that model's name, which is gone; nothing goes by it.
            assert len(model.outputs) == 1 or again.output_names == model.output_names
            assert type(again.output) is type(model.output)
        return again

    def outputs(model, x):
        return [keras.ops.convert_to_numpy(t) for t in family_of(model).flatten(model(x, training=False))]

    def calls(model):
        """How often each layer was called, in any model: Keras would count the calls of a careless capture."""
        found = {}
        for layer in model.layers:
            found[layer.name] = len(layer._inbound_nodes)
            if hasattr(layer, "layers"):
                found |= {f"{layer.name}/{key}": n for key, n in calls(layer).items()}
        return found

    return check


@pytest.fixture(scope="session")
def read():
    """A function: the graph of `function` of inputs with these shapes."""
    import keras

    from tfold.graph.capture import capture

    def graph_of(function, *shapes, dtype="float32"):
        inputs = [keras.Input(shape, dtype=dtype) for shape in shapes or [(4, 5, 3)]]
        return capture(keras.Model(inputs, function(*inputs)))

    return graph_of


@pytest.fixture(scope="session")
def last(read):
    """A function: the last node of the graph of `function`."""
    return lambda function, *shapes, dtype="float32": list(read(function, *shapes, dtype=dtype))[-1]


@pytest.fixture(scope="session")
def run_agrees(randomize):
    """A function that runs a graph in NumPy and in Keras, made in float64, and compares every tensor in it."""
    import keras

    from tfold.graph.build import build_with_tensors
    from tfold.graph.capture import capture
    from tfold.graph.run import run

    def check(model_or_graph, tolerance=1e-10, batch=2, sizes=(), dtype="float64", **options):
        graph = model_or_graph
        if isinstance(graph, keras.Model):
            graph = capture(randomize(graph))
        rng = np.random.default_rng(0)
        sizes = iter(sizes)
        x = [rng.normal(size=(batch, *(next(sizes) if n is None else n for n in graph[name].shape[1:])))
             for name in graph.inputs]

        received = run(graph, x, **options)

        built = build_with_tensors(graph, dtype)
        rebuilt, tensors = built.model, built.tensors
        refs = list(tensors)
        expected = keras.Model(rebuilt.inputs, [tensors[ref] for ref in refs])(x, training=False)
        assert set(refs) <= set(received)
        for ref, e in zip(refs, expected, strict=True):
            e = keras.ops.convert_to_numpy(e)
            assert received[ref].shape == e.shape, str(ref)
            assert np.abs(received[ref] - e).max() <= tolerance * max(np.abs(e).max(), 1e-300), str(ref)
        return graph

    return check
