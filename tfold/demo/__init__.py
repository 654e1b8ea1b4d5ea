"""The main job once, on real images: train → prefold → fit with the penalty → fold → fit → export → measure.

The images are scikit-learn's bundled handwritten digits; nothing is downloaded. `run` is the whole way, in the order in
which a user would write it.
"""
