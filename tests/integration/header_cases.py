# SPDX-License-Identifier: MIT
"""Any number of headers, good and bad, the same ones for the same seed.

The kinds of header_lines.py and header_blocks.py take turns, so that a short run has each of them;
between two of them stands a good header in which some byte has been changed at random.
"""

import dataclasses
import random

import header_blocks
import header_lines

KINDS = header_lines.GOOD + header_lines.BAD + header_blocks.GOOD + header_blocks.BAD
_GOOD = header_lines.GOOD + header_blocks.GOOD


@dataclasses.dataclass(frozen=True)
class Case:
    kind: str
    header: bytes
    payload: bytes

    @property
    def sent(self):
        """All that is sent before the sender closes its side."""
        return self.header + self.payload


def cases(count, seed=1):
    dice = random.Random(seed)
    for number in range(count):
        kind = KINDS[number // 2 % len(KINDS)]
        if number % 2:
            kind = dice.choice(_GOOD)
            change = dice.choice(_CHANGES)
            name, header = f"{_name(kind)}, {change.__name__}", change(dice, kind(dice))
        else:
            name, header = _name(kind), kind(dice)
        # Nothing behind it, one byte, text, bytes that could go on with what stands before them.
        payload = dice.choice([b"", b"x", b"payload\r\n", b" 1\r\n", b"\r\n", dice.randbytes(40)])
        yield Case(name, header, payload)


def _name(kind):
    return f"{'v1' if kind.__module__ == 'header_lines' else 'v2'} {kind.__name__}"


def _place(dice, header):
    # Where version 2 has its fixed part, and most of version 1 its words.
    return dice.randrange(min(len(header), dice.choice([16, 60, 1 << 20])))


def bit_flipped(dice, header):
    place = _place(dice, header)
    return header[:place] + bytes([header[place] ^ 1 << dice.randint(0, 7)]) + header[place + 1 :]


def byte_replaced(dice, header):
    place = _place(dice, header)
    return header[:place] + _byte(dice) + header[place + 1 :]


def byte_inserted(dice, header):
    place = _place(dice, header)
    return header[:place] + _byte(dice) + header[place:]


def byte_removed(dice, header):
    place = _place(dice, header)
    return header[:place] + header[place + 1 :]


def bytes_doubled(dice, header):
    place = _place(dice, header)
    end = place + dice.randint(1, 8)
    return header[:end] + header[place:]


def cut_short(dice, header):
    return header[: _place(dice, header)]


def _byte(dice):
    return bytes([dice.choice([dice.randint(0, 255), dice.choice(b"\0\r\n\t 019.:aF")])])


_CHANGES = [bit_flipped, byte_replaced, byte_inserted, byte_removed, bytes_doubled, cut_short]
