"""Damage to bytes: what a disk, a network and an interrupted copy do to a file."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

Mutation = Callable[[random.Random, bytes], bytes]


def flipped(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def without_a_part(rng: random.Random, data: bytes) -> bytes:
    begin = rng.randrange(len(data))
    return data[:begin] + data[begin + rng.randrange(1, 2_000) :]


def with_a_part_twice(rng: random.Random, data: bytes) -> bytes:
    begin, end = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    return data[:end] + data[begin:end] + data[end:]


def zeroed(rng: random.Random, data: bytes) -> bytes:
    begin = rng.randrange(len(data))
    return data[:begin] + bytes(min(512, len(data) - begin)) + data[begin + 512 :]


def longer(rng: random.Random, data: bytes) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 600))


DAMAGE: tuple[tuple[Mutation, int], ...] = (
    (flipped, 60), (cut, 20), (without_a_part, 15), (with_a_part_twice, 10), (zeroed, 15), (longer, 5),
)  # fmt: skip


def damaged(rng: random.Random, data: bytes, times: int) -> Iterator[bytes]:
    for mutate, share in DAMAGE:
        for _ in range(share * times):
            yield mutate(rng, data)


def any_damage(rng: random.Random, data: bytes) -> bytes:
    """One of them, as often as it happens."""
    mutations, shares = zip(*DAMAGE, strict=True)
    mutate: Mutation = rng.choices(mutations, shares)[0]
    return mutate(rng, data)
