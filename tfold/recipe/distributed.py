"""One training step of many processes, on one machine or several: Keras 3 on JAX, data parallel.

    one global batch, 128 images, in an order that the seed alone decides
    ├ rows  0…63   process 0 ─ loss, gradients ─┐
    │                                           ├ mean over all 128 ─ the same step of the same weights, everywhere
    └ rows 64…127  process 1 ─ loss, gradients ─┘

    join("host0:1234", processes=2, process=0)      # before JAX computes anything
    base = keras.saving.load_model("base.keras")    # each its own copy
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    f_alpha = tfold.prefold(base)                   # a new model: its weights lie on all devices
    f_alpha.compile(…)
    f_alpha.fit(Slices(x, y, batch=128), shuffle=False)
    keras.distribution.set_distribution(None)       # then process 0 may save it alone

The compiled step spans all processes, so the loss, its gradients and batch norm's statistics are those of the whole
global batch. What makes or assigns a variable waits until every process does it: all run the same callbacks.
"""
import os
import re
import sys
import threading

import keras
import numpy as np

from tfold.errors import BadInputError, TfoldError, one_line

_FROM_LAUNCHERS = {
    "coordinator": ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "JAX_COORDINATOR_ADDRESS"),
    "processes": ("KERAS_DISTRIBUTION_NUM_PROCESSES", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"),
    "process": ("KERAS_DISTRIBUTION_PROCESS_ID", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"),
}


def from_launcher(name):
    """Returns what Keras' own variables, srun or mpirun say of "coordinator", "processes" or "process", or None."""
    found = next((os.environ[variable] for variable in _FROM_LAUNCHERS[name] if os.environ.get(variable)), None)
    return found.split(",")[0] if found else None


def join(coordinator=None, processes=1, process=0, timeout=120):
    """Makes this process one of several, which work as one: from here on JAX sees the devices of all of them.

    `keras.distribution.initialize` does the same without a timeout. If the others do not come in time, a sentence goes
    to stderr and the process ends with status 1: JAX would abort it. Later JAX ends every process itself when one of
    them dies or has been silent for as long.

    Example:

    >>> join("host0:1234", processes=2, process=0)

    Args:
        coordinator: "host:port" of process 0; None where JAX can ask the launcher (Slurm, Open MPI 4).
        processes: How many there are. Nothing happens for 1.
        process: Which this is, from 0.
        timeout: Seconds to wait for the others.

    Raises:
        BadInputError: If Keras runs on another backend than JAX, or a number or the address is out of its range.
        TfoldError: If JAX cannot join them.
    """
    check(coordinator, processes, process)
    if processes == 1:
        return
    import jax

    # Processors talk by gloo; GPUs by NCCL, whatever this says.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    where = f"process {process}, coordinator {coordinator or 'from the launcher'}"
    rule = f"All {processes} processes meet at the coordinator within {timeout} s. Received: {where}"
    way_out = (
        "Start one process of each number, let the port through the firewall, and see whether process 0 still runs."
    )
    watchdog = threading.Timer(timeout, _give_up, [f"{rule}, which waits in vain. {way_out}"])
    watchdog.daemon = True
    watchdog.start()
    try:
        jax.distributed.initialize(
            coordinator, processes, process,
            initialization_timeout=timeout + 60, heartbeat_timeout_seconds=timeout,
        )
        jax.devices()  # the processes tell each other of their devices, and wait for that
    except Exception as error:  # JAX raises whatever its runtime says
        raise TfoldError(f"{rule}: {one_line(error)} {way_out}") from error
    finally:
        watchdog.cancel()


def check(coordinator, processes, process):
    """Raise `BadInputError` for what `join` would refuse, before anything is waited for."""
    if processes < 1 or not 0 <= process < processes:
        raise BadInputError(
            f"Processes are numbered from 0. Received: process {process} of {processes}. "
            "Give each another number, and all the same number of processes."
        )
    if coordinator is not None and not re.fullmatch(r".+:\d{1,5}", coordinator):
        raise BadInputError(
            f"The coordinator is process 0's host and a free port there. Received: {coordinator!r}. "
            "Write it as host0:1234."
        )
    if keras.backend.backend() != "jax":
        raise BadInputError(
            f"Several processes train on Keras' JAX backend. Received: backend {keras.backend.backend()!r}. "
            "Install jax (pip install jax) and set KERAS_BACKEND=jax in front of the command."
        )


def agree(facts, rule="All processes are given the same {}.", way_out="Repeat the command, changing only --process."):
    """Raise `TfoldError` in every process unless all of them bring the same numbers.

    Other data on one machine would end in a wrong result, or in a wait for ever: compare first.

    Args:
        facts: A dict of name → number or array, of the same shape everywhere; integers below 2³², or float32.
        rule: What is said of one that differs, with {} for its name.
        way_out: What is said in the end.
    """
    from jax.experimental import multihost_utils

    for name, value in facts.items():
        bits = np.atleast_1d(value)
        bits = bits.astype("float32").view("uint32") if bits.dtype.kind == "f" else bits.astype("uint32")
        everyone = multihost_utils.process_allgather(bits)
        differ = [i for i, theirs in enumerate(everyone) if not np.array_equal(theirs, everyone[0])]
        if differ:
            raise TfoldError(f"{rule.format(name)} Received: others than process 0's in {differ}. {way_out}")


class Slices(keras.utils.PyDataset):
    """This process' rows of every global batch.

    The order is new in every epoch and follows from the seed: all processes agree on it without a word, and it does not
    depend on how many they are. What does not fill a global batch is left out: other images in every epoch.

    Example:

    >>> len(Slices(np.zeros((70, 8)), np.zeros(70), batch=16))
    4

    Args:
        x: Images, an array or what is indexed like one (numpy.load(…, mmap_mode="r") reads only what is asked for).
        y: Labels, as many.
        batch: The global batch, a multiple of the number of processes.
        seed: Of the order.
        process: Which part; JAX's number of this process if None.
        processes: How many parts; as many as JAX has processes if None.

    Raises:
        BadInputError: If the batch cannot be divided evenly, or is larger than the data.
    """

    def __init__(self, x, y, batch, seed=0, process=None, processes=None):
        super().__init__()
        if process is None or processes is None:
            import jax

            process, processes = jax.process_index(), jax.process_count()
        check_batch(batch, processes, "processes")
        if not batch <= len(x) == len(y):
            raise BadInputError(
                f"The data fill at least one global batch, and every image has a label. Received: {len(x)} images, "
                f"{len(y)} labels, batch={batch}. Take a smaller batch or other data."
            )
        self.x, self.y, self.batch, self.seed = x, y, batch, seed
        self.rows = slice(process * batch // processes, (process + 1) * batch // processes)
        self.epoch = -1
        self.order = np.arange(len(x))

    def __len__(self):
        return len(self.x) // self.batch

    def __getitem__(self, index):
        # Sorted for a file that is read in place; before dividing, as dropout goes by an image's place in the batch.
        rows = np.sort(self.order[index * self.batch:(index + 1) * self.batch])[self.rows]
        return np.asarray(self.x[rows]), np.asarray(self.y[rows])

    def on_epoch_begin(self):
        self.epoch += 1
        self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.x))


def check_batch(batch, parts, of="devices"):
    """Raise `BadInputError` unless a global batch can be divided evenly."""
    if batch < 1 or batch % parts:
        raise BadInputError(
            f"The global batch is divided evenly among the {of}. Received: {batch} for {parts} {of}. "
            f"Use {max(1, -(-batch // parts)) * parts}."
        )


def _give_up(sentence):
    print(f"Error: {sentence}", file=sys.stderr, flush=True)
    os._exit(1)  # the main thread sits in JAX's C++ and would be aborted there
