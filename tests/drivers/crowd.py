"""The crowd's beat for Python: so many clients, each a thread, that all work, rest and work again.

Knows no driver: pymysql_crowd.py and django_crowd.py bring theirs.
"""

import os
import random
import sys
import threading
import time
import traceback

host, port, user, password, clients, rounds = sys.argv[1:7]
# Whether each rest begins with the warnings of what is often written and not quite in order.
warned = sys.argv[7:] == ["warned"]
port, clients, rounds = int(port), int(clients), int(rounds)


def check(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


def pause():
    time.sleep(random.uniform(0.05, 0.3))


def run(begin):
    """begin(number) connects one client and gives back its work(round) and its leave()."""
    resting = threading.Barrier(clients + 1)
    again = threading.Event()

    def live(number):
        try:
            work, leave = begin(number)
            pause()
            # Every other one rests early and long, while the rest go on.
            early = rounds if number % 2 == 0 else 2 * rounds
            for round in range(early):
                work(round)
                pause()
            resting.wait()
            again.wait()
            work(early)
            leave()
        except BaseException:
            sys.stderr.write(f"client {number}: {traceback.format_exc()}")
            sys.stderr.flush()
            os._exit(1)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    resting.wait()
    print("resting", flush=True)
    sys.stdin.readline()
    again.set()
    for thread in threads:
        thread.join()
    print("OK")
