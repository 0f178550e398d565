"""Ctrl-C is heard wherever it falls."""

import subprocess
import sys


def test_an_interrupt_lost_in_a_finalizer_is_sent_again() -> None:
    code = (
        "import signal, time, typer\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests may run in the background
        "from cellflow_cli.cli._command import command\n"
        "class Late:\n"
        "    def __del__(self): signal.raise_signal(signal.SIGINT); time.sleep(0)\n"
        "@command\n"
        "def wait() -> None:\n"
        "    '''Wait.'''\n"
        "    late = Late()\n"
        "    del late\n"
        "    time.sleep(60)\n"
        "    print('not interrupted')\n"
        "typer.run(wait)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (130, ""), done.stderr
    assert "Interrupted. Nothing was written." in done.stderr
    assert "Traceback" not in done.stderr
