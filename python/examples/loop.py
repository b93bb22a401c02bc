#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several topics in one asyncio loop: three sensors publish, one task for each topic prints what comes."""
import asyncio
import sys

import kickmsg

SENSORS = ("temperature", "pressure", "humidity")
READINGS = 5


async def measure(node: kickmsg.Node, sensor: str) -> None:
    with node.advertise_or_join(f"sensors/{sensor}") as publisher:
        for i in range(READINGS):
            publisher.send(f"{sensor} {i}".encode())
            await asyncio.sleep(0.01)


async def print_readings(subscriber: kickmsg.Subscriber) -> None:
    for _ in range(READINGS):
        reading = await subscriber.receive_async(timeout=10)
        print(reading.decode() if reading else "no reading in time")


async def run() -> None:
    with kickmsg.Node("loop.py") as node:
        subscribers = [node.subscribe_or_create(f"sensors/{sensor}") for sensor in SENSORS]
        await asyncio.gather(*map(print_readings, subscribers), *(measure(node, sensor) for sensor in SENSORS))
        for subscriber in subscribers:
            subscriber.close()


if __name__ == "__main__":
    try:
        asyncio.run(run())
    except OSError as failure:
        sys.exit(f"loop.py: {failure}")
