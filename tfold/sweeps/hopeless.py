"""Which trials are not worth going on with.

    accuracy │   rival, depth 10, done   ╭──────     A trial is beaten if one of another strength that is done,
             │                      ╭────╯  ↕        and not deeper, was better at the same epoch by more than
             │         trial, depth 12 ╭─── ✂        the margin: it would lie far below the Pareto front.
             │                    ╭────╯
             └─ pre-folding ─┬─ post-folding ── epoch

- Only in post-folding, after half of it: before that, depth is not settled, and a network that has just lost its
  activations tells little.
- The best epoch so far counts on both sides: at a high learning rate, accuracy jumps by points from epoch to epoch.
- The margin (2 points) is several times what seeds differ by on CIFAR (0.2 to 0.5 points): bad luck alone does not end
  a trial. With few validation images it is twice the standard error of a difference, which is larger then.
- A trial of the same strength is never a rival: these differ by the seed alone, and their spread is wanted.
- In pre-folding only a network at chance is given up: no better than always naming the commonest class, where the base
  network is.
"""
import math

MARGIN_OF_CHANCE = 0.01
CHANCE_EPOCHS = 3
LEAST_EPOCHS = 3  # of post-folding


def hopeless(own, depth, rivals, margin, alpha_epochs, post_epochs, chance=None, images=None, base=None):
    """Why a trial is not worth going on with.

    Args:
        own: step → validation accuracy; pre-folding has the steps from 0, post-folding those from `alpha_epochs` on.
        depth: its non-linear depth, as far as it is known.
        rivals: (depth, step → accuracy) of trials that are complete, of other strengths.
        margin: by how much a rival has to be better.
        alpha_epochs, post_epochs: how long the two trainings are.
        chance: the accuracy of always naming the commonest class; None: not looked at.
        images: how many the accuracies are of; None: so many that chance plays no part.
        base: the base network's accuracy. With a very common class it lies close above chance.

    Returns:
        A sentence's part; None if it is worth it.

    Example:

    >>> hopeless({0: 0.7, 1: 0.78, 2: 0.80, 3: 0.81}, 12, [(10, {1: 0.8, 2: 0.85, 3: 0.86})], 0.02, 1, 5)
    'a trial of depth 10 was at 86.0 % after as many epochs, this one of depth 12 at 81.0 %'
    """
    if not own:
        return None
    step = max(own)
    if step < alpha_epochs:
        return _at_chance(own, step, alpha_epochs, chance, base)
    done = step - alpha_epochs + 1
    # Behind the last epoch only the fold is left, which costs next to nothing. And the depth is known from the last
    # epoch of pre-folding, which a process that is killed may have failed to report.
    unknown = depth is None or alpha_epochs - 1 not in own
    if unknown or done >= post_epochs or done < max(LEAST_EPOCHS, math.ceil(post_epochs / 2)):
        return None
    best = _best(own, alpha_epochs, step)
    for rival_depth, values in rivals:
        rival = _best(values, alpha_epochs, step)
        if rival_depth is None or rival_depth > depth or rival is None:
            continue
        if rival - best > _margin(margin, rival, best, images):
            return (f"a trial of depth {rival_depth} was at {100 * rival:.1f} % after as many epochs, this one of "
                    f"depth {depth} at {100 * best:.1f} %")
    return None


def _margin(margin, one, other, images):
    """The margin, or twice the standard error of a difference of two accuracies, if that is larger."""
    if images is None:
        return margin
    return max(margin, 2 * math.sqrt((one * (1 - one) + other * (1 - other)) / images))


def _at_chance(own, step, alpha_epochs, chance, base):
    enough = max(CHANCE_EPOCHS, math.ceil(alpha_epochs / 2))
    if chance is None or step + 1 < enough:
        return None
    last = [own[each] for each in sorted(own)[-CHANCE_EPOCHS:]]
    margin = MARGIN_OF_CHANCE if base is None else min(MARGIN_OF_CHANCE, (base - chance) / 2)
    if max(last) > chance + margin:
        return None
    return f"accuracy was at chance ({100 * chance:.1f} %) for {len(last)} epochs"


def _best(values, first, last):
    return max((value for step, value in values.items() if first <= step <= last), default=None)
