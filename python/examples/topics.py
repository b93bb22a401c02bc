#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows what goes on: each topic with its participants, and its messages a second. `topics.py SECONDS` looks again."""
import sys
import time

import kickmsg
from kickmsg import diagnostics


def show(node: kickmsg.Node, before: dict[int, int], passed: float) -> dict[int, int]:
    sent = {}
    for topic in kickmsg.topics(node):
        try:
            stats = diagnostics.stats(topic.topic, node)
            names = {participant.client_name for participant in diagnostics.participants(topic.topic, node)}
        except FileNotFoundError:
            continue  # it ended meanwhile
        sent[topic.id] = stats.sent
        rate = (stats.sent - before.get(topic.id, stats.sent)) / passed
        print(f"{topic.topic}: {topic.publishers} -> {topic.subscribers}, {rate:.0f} messages a second, "
              f"{stats.lost} lost, {', '.join(sorted(names))}")
    return sent


if __name__ == "__main__":
    try:
        with kickmsg.Node("topics.py") as connection:
            seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0
            seen = show(connection, {}, 1)
            while seconds:
                time.sleep(seconds)
                print()
                seen = show(connection, seen, seconds)
    except KeyboardInterrupt:
        pass
    except OSError as failure:
        sys.exit(f"topics.py: {failure}")
