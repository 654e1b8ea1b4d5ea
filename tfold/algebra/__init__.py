"""Exact arithmetic of linear layers, in NumPy: what two layers are when they are one.

- `affine`: y = s·x + t per channel (batch norm).
- `linear_map`: a convolution or dense layer as data: kernel, bias, stride, dilation, padding of each side, groups.
- `compose`: one map after another, and parallel maps added, as one map.
- `border`: what zero padding breaks when two maps become one, and the bias map that repairs it.
"""
