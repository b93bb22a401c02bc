#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Request and response: one program adds what others send it.

    adder.py serve          answers until Ctrl-C, and says who asked
    adder.py NUMBER...      asks for the sum
"""
import array
import sys

import kickmsg


def serve(node: kickmsg.Node) -> None:
    with node.serve("adder-python") as server:
        for request in server:
            with request:  # if the block fails, the call ends with an error
                total = sum(memoryview(request.data).cast("q"))
                print(f"{request.caller.name} (pid {request.caller.pid}) asks: {total}", flush=True)
                request.reply(array.array("q", [total]))


def ask(node: kickmsg.Node, numbers: list[int]) -> None:
    with node.open_service("adder-python", wait=10) as caller:
        print(*memoryview(caller.call(array.array("q", numbers), timeout=5)).cast("q"))


if __name__ == "__main__":
    try:
        with kickmsg.Node("adder.py") as connection:
            serve(connection) if sys.argv[1:] == ["serve"] else ask(connection, [int(text) for text in sys.argv[1:]])
    except KeyboardInterrupt:
        pass
    except OSError as failure:
        sys.exit(f"adder.py: {failure}")
