"""Progress on stderr, where it disturbs no document; nothing at all where stderr is no terminal."""
from contextlib import contextmanager


@contextmanager
def bench_progress():
    """A progress bar as `tfold.measure.bench` calls it: (done, total, what)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("measuring", total=None)

        def update(done, total, what):
            bar.update(task, completed=done, total=total, description=what)

        yield update
