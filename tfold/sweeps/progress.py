"""Lines for people about what the workers do: one for each trial that ends, and a few on the way."""
import time

from tfold.sweeps.results import warnings_of

EVERY = 5  # a line about every fifth of a training


class Progress:
    """Turns a crew's events into lines.

    Args:
        say: called with a line.
        trials: how many the sweep has.
        alpha_epochs, post_epochs: how long the two trainings are.
        workers: how many work here: with several, a line says whose it is.
        judge: "validation" or "test": whose accuracy knee and front will be of.
    """

    def __init__(self, say, trials, alpha_epochs, post_epochs, workers=1, judge="validation"):
        self.say, self.trials, self.workers, self.judge = say, trials, workers, judge
        self.epochs = {"alpha": alpha_epochs, "post": post_epochs}
        self._since, self._met_base = {}, False

    def tell(self, event, over):
        """A line on an event, if it is worth one; `over` trials of the sweep are done."""
        who = f"worker {event['worker']}: " if self.workers > 1 else ""
        if event["event"] == "died":
            self.say(f"worker {event['worker']} {event['why']}; its trial goes on with another")
            return
        if event["event"] == "base":
            self._base(event["figures"])
            return
        which = f"{who}λ_c {event['strength']:g}, seed {event['seed']}"
        key = event["strength"], event["seed"]
        if event["event"] == "claimed":
            self._since[key] = time.monotonic()
            attempt = f" (attempt {event['attempt']})" if event["attempt"] > 1 else ""
            self.say(f"{which}: begun{attempt}")
        elif event["event"] == "waiting":
            self.say(f"{which}: another process works in {event['folder']}: one that was out of reach, and lives on "
                     "until its next epoch? The trial begins when that one has let go; if it hangs, end it")
        elif event["event"] == "epoch":
            self._epoch(which, event)
        else:
            took = time.monotonic() - self._since.pop(key, time.monotonic())
            self.say(f"{which}: {self._end(event)} ({duration(took)}); {over} of {self.trials} trials are over")

    def _base(self, base):
        if self._met_base:  # every worker tells it
            return
        self._met_base = True
        self.say(f"base network: depth {base['depth']}, validation {base['accuracy']['validation']:.1%}, "
                 f"test {base['accuracy']['test']:.1%}")
        for warning in warnings_of(base, self.judge):
            self.say(f"warning: {warning}")

    def _epoch(self, which, event):
        epochs, done = self.epochs[event["phase"]], event["epoch"] + 1
        step = max(1, round(epochs / EVERY))
        if done % step and done != epochs:
            return
        phase = {"alpha": "pre-folding", "post": "post-folding"}[event["phase"]]
        depth = f", depth {event['depth']}" if "depth" in event else ""
        self.say(f"{which}: {phase} {done}/{epochs}, validation {event['val_accuracy']:.1%}{depth}")

    @staticmethod
    def _end(event):
        if event["event"] == "complete":
            outcome = event["outcome"]
            return (f"depth {outcome['depth']}, validation {outcome['accuracy']['validation']:.1%}, "
                    f"test {outcome['accuracy']['test']:.1%}")
        return f"{event['event']}: {event['why']}"


def duration(seconds):
    """ "42 s", "3.4 min", "2.1 h" """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
