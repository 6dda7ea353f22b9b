"""The app is light to import."""

import subprocess
import sys


def test_importing_the_app_loads_nothing_heavy() -> None:
    code = (
        "import sys, headrace_monitor.app; "
        "print([m for m in ('torch', 'numpy', 'transformers', 'ray', 'mlflow', 'polars', "
        "'deltalake', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
