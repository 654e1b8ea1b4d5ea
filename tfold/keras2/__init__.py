"""Networks that Keras 2 has saved, as networks of Keras 3.

    load       ModelFile → model: of Keras 3 where that is exact, else of tf_keras
    network    a configuration → a Functional or Sequential network
    layers     one layer's configuration → a layer of Keras 3
    functions  TensorFlow's functions in a network (`x + 1`, `tf.nn.relu(x)`) → keras.ops
    weights    arrays of an .h5 or .keras file → the layers that were made
"""
