"""Progress on stderr, a line for each device, with the time left; nothing at all where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[str, int, int, str], None]


@contextmanager
def display() -> Iterator[Show | None]:
    """A progress display.

    Yields:
        a function that takes (device, blocks done, blocks planned, what is being measured), from any thread; or None.

    Examples:
        with display() as show:
            bench_phones(models, progress=show)
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(),  # names of files may hold "[…]"
               TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks = {}

        def show(device: str, done: int, total: int, what: str) -> None:
            if device not in tasks:
                tasks[device] = bar.add_task(device, total=total)
            bar.update(tasks[device], completed=done, total=total, description=f"{device}: {what}")

        yield show
