"""The peak memory of a training step with batch norm restructured, beside stock Keras: each in a process of its own.

    python benchmarks/training_memory.py

What is compared is the greatest resident memory of the process during three training steps, less what it had with the
model built and nothing trained; the whole peak stands beside it.
"""
import argparse
import subprocess
import sys
from pathlib import Path

MODES = ("stock", "python", "compiled", "python, low", "compiled, low")


def peak():
    """The greatest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def train(network, mode, size, batch):
    """Print the memory before and the peak, in MB; runs in a process of its own."""
    from training_step import images, network_of, stepper

    import tfold

    model = network_of(network, size)
    if mode != "stock":
        kernels, _, memory = mode.partition(", ")
        model = tfold.restructure_batch_norm(model, memory=memory or "normal", kernels=kernels)
    step = stepper(model, images(batch, size))
    before = peak()
    for _ in range(3):
        step()
    print(before, peak())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["DenseNet121", "ResNet50", "MobileNetV2"])
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        return train(chosen.networks[0], chosen.modes[0], chosen.size, chosen.batch)
    for network in chosen.networks:
        stock = None
        for mode in chosen.modes:
            command = [sys.executable, __file__, "--alone", "--networks", network, "--modes", mode,
                       "--size", str(chosen.size), "--batch", str(chosen.batch)]
            found = []
            for _ in range(chosen.repeat):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(f"{network}, {mode}: {done.stderr.strip().splitlines()[-1]}")
                before, most = map(float, done.stdout.split())
                found.append((most - before, most))
            found.sort()
            least, middle, greatest = found[0][0], found[len(found) // 2][0], found[-1][0]
            stock = stock or middle
            print(f"{network:<14} {mode:<16} {middle:7.0f} MB [{least:.0f}, {greatest:.0f}]   "
                  f"{middle / stock - 1:+6.0%}   whole peak {found[-1][1]:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
