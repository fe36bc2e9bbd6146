"""A seat that does as it is told by lines, and answers in lines.

A line is the seat, what it does, the name, and how often:

    0 cycles orders 3    takes and gives back; "done" with four stamps for each
    0 lock orders        "asks", then "granted" with a stamp
    0 unlock orders      "free" with the stamp from just before
    0 again orders       takes and gives back, as often as it takes; "went" with a stamp

Stamps are nanoseconds of the clock that all processes have in common.
"""

import sys
import time
from time import monotonic_ns as now


def say(*words):
    sys.stdout.write("@leasehold-report " + " ".join(map(str, words)) + "\n")


def serve(lock_of):
    """Locks what lock_of(name) makes."""
    locks = {}
    say("ready")
    for line in sys.stdin:
        seat, verb, name, *count = line.split()
        if name not in locks:
            locks[name] = lock_of(name)
        lock = locks[name]
        try:
            if verb == "cycles":
                say(seat, "done", *cycles(lock, int(count[0])))
            elif verb == "lock":
                say(seat, "asks", now())
                lock.acquire()
                say(seat, "granted", now())
            elif verb == "unlock":
                let_go = now()
                lock.release()
                say(seat, "free", let_go)
            else:
                say(seat, "went", again(lambda: lock_of(name)))
        except Exception as error:
            say(seat, "failed", repr(error).replace("\n", " "))


def cycles(lock, count):
    stamps = []
    for _ in range(count):
        asked = now()
        lock.acquire()
        granted = now()
        let_go = now()
        lock.release()
        stamps += (asked, granted, let_go, now())
    return stamps


def again(make):
    while True:
        try:
            lock = make()
            lock.acquire()
            lock.release()
            return now()
        except Exception as error:
            print(repr(error), file=sys.stderr)
            time.sleep(0.001)
