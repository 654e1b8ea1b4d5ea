"""TensorFlow operations of ours for CPUs, from one C++ file that is compiled on the user's machine when asked for."""
