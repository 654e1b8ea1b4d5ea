"""Pre-folding: F → F_α, the same network in which every activation that can matter has an α to learn.

    conv (relu) ─ relu layer ─ dense (softmax)
    conv ─ conv_alpha σ_α ─ relu layer σ_α ─ dense (softmax)      weights and outputs as before, all α at 0

    f_alpha = prefold(model)
    f_alpha.compile(optimizer, loss)
    f_alpha.fit(x, y, callbacks=[AlphaSchedule(0.25, warmup=1), AlphaLogger()])
    alphas(f_alpha)                       {"conv_alpha": 0.998, "relu": 0.01}
    settled = settle(f_alpha)             stock Keras again

With padding="forward" it also moves zero padding, so that what follows one another without activations later is exactly
one convolution (see `padding`).

(Layer Folding, arXiv 2106.09309, sec. 3: steps 1 and 2.)
"""

import keras

from tfold.alpha.activation import AlphaActivation
from tfold.alpha.forward import STAYS, moves
from tfold.alpha.padding import find_segments
from tfold.alpha.penalty import AlphaPenalty
from tfold.alpha.selection import find_by_name, paths_by_op, select_sites
from tfold.alpha.sharing import one_layer_a_place, warn_of_one_for_several
from tfold.alpha.ties import tied
from tfold.alpha.topology import Topology
from tfold.errors import BadInputError
from tfold.graph.rebuild import rebuild
from tfold.training.restructure import in_fewer_sweeps

PADDINGS = ("keep", "forward")


def prefold(model, penalty=None, costs=None, only=None, skip=None, tie=(), padding="keep"):
    """Returns a new model with σ_α in the place of every activation that can matter.

    An activation layer gives way to an `AlphaActivation` of the same name; an activation inside a layer (`activation=`
    of a dense or convolutional layer) to one behind it, named `<layer>_alpha`; an operation such as `keras.ops.relu(x)`
    likewise. An activation layer that is called at several places becomes one layer a place, `relu`, `relu_1`, …, each
    with its own α; its name in `only`, `skip`, `costs` and `tie` means all of them. An activation inside a layer that
    is called several times keeps one α, and a warning says so. The new model is not compiled, and a frozen layer's α
    is frozen too.

    Left alone are softmax and its like, layers with weights of their own (PReLU), recurrent and attention layers,
    the network's last activation before each output, and gates that only multiply another tensor (squeeze-and-excite).
    So are activations inside wrappers (TimeDistributed) and custom layers, and operations with arguments that no stock
    activation has (`keras.ops.gelu`, which approximates). Activations that are already σ_α stay as they are.

    On Keras' TensorFlow backend its batch norms are restructured (`tfold.restructure_batch_norm`), so that a training
    step of F_α costs less than one of F in stock Keras. A saved F_α has stock ones: restructure it again after loading.

    An optimizer with weight decay pulls every α back to 0: call
    `optimizer.exclude_from_weight_decay(var_names=["alpha"])` before the first `fit`.

    Examples:

    ```python
    f_alpha = prefold(model)
    f_alpha = prefold(model, AlphaPenalty(strength=0.1), costs={"block_1/relu": 2.5}, skip="stem_relu")
    f_alpha = prefold(model, only=lambda layer: layer.name.startswith("block"))
    f_alpha = prefold(model, padding="forward")        # fit it, then: fold(f_alpha) merges 3×3 ─ 3×3 exactly
    ```

    Args:
        model: A built Functional or Sequential model. It is not changed.
        penalty: An `AlphaPenalty`. Defaults to the paper's, λ_c = 0.25 and p = 2.
        costs: Dict of layer name → c_l. Defaults to the penalty's cost for every layer.
        only: Name, list of names, or predicate of the layer: no other activation is replaced. A layer named here is
            replaced even if it is a last activation or a gate. Layers in nested models go by their name or by
            "outer/inner"; a nested model's name stands for all of it.
        skip: Likewise: these are left alone.
        tie: Groups (lists of names) of equal activations that share one α, because nothing merges before all of them
            go: the two of an inverted residual, for instance. The α bears the name of the group's first.
        padding: "keep", or "forward": in each chain of convolutions with nothing but α, batch norms, dropout and
            padding layers between them, the first gets the zero padding of all and the others get none. Without it,
            `fold` cannot merge a window wider than 1×1 with a zero-padded convolution behind it, and needs a bias map
            for a 1×1 one. **This changes what the network computes at the border**, so train it afterwards.
            `tfold.alpha.padding.segments(model, only, skip)` lists the chains and what the first of each gets; its
            docstring says where they end. A network without any is no error: nothing moves.

    Returns:
        An uncompiled model that computes what `model` computes; with padding="forward", save at the border, unless no
        padding moved.

    Raises:
        ValueError: If the model is subclassed or not built, a name is unknown, `padding` is no such word, or no
            activation can have an α.

    Warns:
        UserWarning: One α stands for several places.
    """
    if padding not in PADDINGS:
        raise BadInputError(
            f"padding is one of {', '.join(PADDINGS)}. Received: padding={padding!r}. "
            'Pass padding="forward" to give the first convolution of a chain the padding of all.'
        )
    penalty = AlphaPenalty() if penalty is None else penalty
    if not isinstance(penalty, AlphaPenalty):
        raise BadInputError(
            f"prefold needs `penalty` to be an AlphaPenalty. Received: penalty={penalty!r}. "
            "Pass AlphaPenalty(strength=0.25), or strength=0.0 for none."
        )
    model, originals = one_layer_a_place(model)
    topology = Topology(model)
    sites, left = select_sites(topology, only, skip, originals)
    if not sites and not any(isinstance(call.op, AlphaActivation) for call in topology.calls):
        reasons = "; ".join(f"'{path}' is {reason}" for path, reason in left.items()) or "it has none"
        raise BadInputError(
            f"prefold needs an activation that can have an α. Received: model '{model.name}': {reasons}. "
            "A last activation or a gate is replaced if named in only=."
        )
    penalties = _penalties(penalty, costs or {}, paths_by_op(topology, originals))
    names = {call.path.split("/")[-1] for call in topology.calls}
    chosen = {id(site.op): site for site in sites}
    first_of = tied(tie, chosen, paths_by_op(topology, originals))
    moved = moves(find_segments(topology, sites), lambda name: _unique(name, names)) if padding == "forward" else {}
    warn_of_one_for_several(topology, sites, model.name)
    made = {}

    def replace(op):
        site = chosen.get(id(op))
        if site is None:
            return moved[id(op)].layers(op) if id(op) in moved else None
        # Sites that are tied are calls of one layer: the first's.
        first = first_of.get(id(op), op)
        if id(first) not in made:
            dtype = topology.calls_of(first)[0].dtype
            made[id(first)] = _alpha_layer(chosen[id(first)], penalties.get(id(first), penalty), dtype, names)
        if not site.fused:
            return [made[id(first)]]
        linear = moved.get(id(op), STAYS).layers(op, activation="linear", activity_regularizer=None)
        return [*linear, made[id(first)]]

    return in_fewer_sweeps(rebuild(model, replace))


def _penalties(penalty, costs, paths):
    """id of a layer → its penalty, for the layers that `costs` names."""
    penalties = {}
    for name, cost in costs.items():
        for op in find_by_name(name, paths, "costs"):
            penalties[id(op)] = penalty.with_cost(cost)
    return penalties


def _alpha_layer(site, penalty, input_dtype, names):
    op = site.op
    kwargs = {"name": _unique(f"{op.name}_alpha", names) if site.fused else op.name}
    if isinstance(op, keras.layers.Layer):
        kwargs.update(dtype=op.dtype_policy, trainable=op.trainable)
        if site.fused or not isinstance(site.activation, keras.layers.Layer):
            # It is defined on the output of σ. A wrapped activation layer brings its own.
            kwargs["activity_regularizer"] = op.activity_regularizer
    else:
        # An operation computes in its input's dtype, whatever the global policy is by now.
        half = input_dtype in ("float16", "bfloat16")
        kwargs["dtype"] = f"mixed_{input_dtype}" if half else input_dtype
    return AlphaActivation(site.activation, alpha_regularizer=penalty, fused=site.fused, **kwargs)


def _unique(name, names):
    candidate, number = name, 0
    while candidate in names:
        number += 1
        candidate = f"{name}_{number}"
    names.add(candidate)
    return candidate
