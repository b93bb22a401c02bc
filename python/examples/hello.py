#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lines from one program to others: `hello.py sub` in some shells, `hello.py pub` in another; type lines there."""
import sys

import kickmsg


def publish(node: kickmsg.Node) -> None:
    with node.advertise("hello-python") as publisher:
        for line in sys.stdin:
            publisher.send(line.encode())


def subscribe(node: kickmsg.Node) -> None:
    with node.subscribe_or_create("hello-python") as subscriber:
        for message in subscriber:  # until Ctrl-C
            print(message.decode(), end="", flush=True)


if __name__ == "__main__":
    try:
        with kickmsg.Node("hello.py") as connection:
            publish(connection) if sys.argv[1:] == ["pub"] else subscribe(connection)
    except KeyboardInterrupt:
        pass
    except OSError as failure:
        sys.exit(f"hello.py: {failure}")
