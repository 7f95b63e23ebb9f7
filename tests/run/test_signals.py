"""Signals: the first asks, the second ends."""

import os
import signal
import subprocess
import sys

import pytest

from vidjax.run import signals

LOOP = """
import time
from vidjax.run import signals
with signals.caught() as stop:
    print("ready", flush=True)
    while not stop or {stubborn}:
        time.sleep(0.01)
print("stopped by", stop.name, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_stop_and_says_so(number, capfd):
    before = signal.getsignal(number)
    with signals.caught() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop and stop.name == number.name
    assert signal.getsignal(number) is before
    assert number.name in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_the_process_and_does_not_claim_a_save(number):
    words = [sys.executable, "-c", LOOP.format(stubborn=True)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert number.name in process.stderr.readline() + process.stderr.readline()
        process.send_signal(number)
        assert process.wait(10) == 1
