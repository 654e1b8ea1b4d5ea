"""Keras → .tflite, and proof that the file computes what the model computes."""
