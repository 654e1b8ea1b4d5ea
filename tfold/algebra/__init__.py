"""Exact arithmetic of linear layers, in NumPy: what two layers are when they are one.

- `affine`: y = s·x + t per channel (batch norm, rescaling).
- `linear_map`: a convolution or dense layer as data: kernel, bias, stride, dilation, padding of each side, groups.
- `compose`: one map after another, as one map.
- `parallel`: maps of one tensor, added or side by side, as one map.
- `outline`: the same without the numbers, to plan with.
- `border`: what zero padding breaks when two maps become one, and the bias map that repairs it.
"""
