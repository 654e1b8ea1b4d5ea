import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "tfold", "demo", "--quick", "--json", "-o", str(folder)]
    return folder, command, subprocess.run(command, capture_output=True, text=True, timeout=600)
