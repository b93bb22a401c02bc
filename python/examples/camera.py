#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images without a copy: one program draws into shared memory, another reads the same bytes as a numpy array.

    camera.py show          prints the mean of each image that comes
    camera.py film [COUNT]  waits for a viewer, and sends so many images
"""
import sys

import kickmsg

SHAPE = (480, 640, 3)
SIZE = SHAPE[0] * SHAPE[1] * SHAPE[2]
CONFIG = kickmsg.Config(max_payload_size=SIZE, pool_size=32, ring_capacity=4, max_subscribers=4,
                        schema=kickmsg.Schema.of("camera/Image", identity="u8[480,640,3]"))


def film(node: kickmsg.Node, count: int) -> None:
    with node.advertise_or_join("camera", CONFIG) as publisher:
        publisher.wait_matched(1)
        for i in range(count):
            with publisher.loan(SIZE) as image:  # published at the end of the block
                image.numpy("uint8", SHAPE)[:] = i


def show(node: kickmsg.Node) -> None:
    with node.subscribe_or_create("camera", CONFIG) as subscriber:
        for sample in subscriber.views(timeout=30):
            image = sample.numpy("uint8", SHAPE)
            print(f"image {sample.publisher_sequence}: mean {image.mean():.0f}", flush=True)
            del image  # a view that is kept keeps its slot
        print(f"{subscriber.lost} images were lost")


if __name__ == "__main__":
    try:
        with kickmsg.Node("camera.py") as connection:
            if sys.argv[1:2] == ["film"]:
                film(connection, int(sys.argv[2]) if len(sys.argv) > 2 else 10)
            else:
                show(connection)
    except KeyboardInterrupt:
        pass
    except OSError as failure:
        sys.exit(f"camera.py: {failure}")
