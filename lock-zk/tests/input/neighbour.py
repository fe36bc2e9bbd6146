"""Locks of kazoo at the server argv[1].

A line is a contender, what it does, and the path: "a lock /x", "a try /x", "a unlock". Each contender
has a session of argv[2] milliseconds and a thread.
"""

import sys
import threading
from queue import Queue

from kazoo.client import KazooClient


class Neighbour(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.asked = Queue()
        self.start()

    def run(self):
        client = KazooClient(hosts=sys.argv[1], timeout=int(sys.argv[2]) / 1000)
        client.start()
        while True:
            words = self.asked.get()
            try:
                answer = self.answer(client, words)
            except Exception as error:
                answer = f"failed: {error!r}"
            print(f"@leasehold-report {words[0]} {answer}\n", end="")

    def answer(self, client, words):
        if words[1] == "unlock":
            self.lock.release()
            return "released"
        self.lock = client.Lock(words[2], words[0], extra_lock_patterns=["-lock-"])
        return "holds" if self.lock.acquire(blocking=words[1] == "lock") else "busy"


neighbours = {}
print("@leasehold-report ready")
for line in sys.stdin:
    words = line.split()
    if words[0] not in neighbours:
        neighbours[words[0]] = Neighbour()
    neighbours[words[0]].asked.put(words)
