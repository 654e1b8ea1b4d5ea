"""What is known of how a tensor came about, so that the next layer can do its work in the same sweep.

    bn ─ y ─ ReLU      y = normalise(x) is computed; ReLU, told so, computes relu(normalise(x)) from x at once.
                       Nobody reads y then, and TensorFlow leaves it out of the training step.

What is noted on a tensor is true of it whoever reads it: a layer that knows nothing of notes, or a model cut out in
between, gets the plain tensor. But no gradient comes back through it: the chain is differentiated by what it begins
with.
"""


def note(tensor, chain):
    """Notes on a tensor what it was made by; returns the tensor."""
    tensor._tfold_chain = chain
    return tensor


def pending(tensor):
    """The chain that made a tensor, or None: one that a following layer can take further, or make again."""
    return getattr(tensor, "_tfold_chain", None)


def note_parts(tensor, parts):
    """Notes that a tensor is the concatenation of these, along its channels; returns the tensor."""
    tensor._tfold_parts = [piece for part in parts for piece in parts_of(part)]
    return tensor


def parts_of(tensor):
    """The tensors that stand side by side in this one; itself if nothing is known."""
    return getattr(tensor, "_tfold_parts", [tensor])
