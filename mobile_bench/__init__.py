"""Latency on Android phones, measured with the benchmark tool of TensorFlow Lite and LiteRT over adb."""
