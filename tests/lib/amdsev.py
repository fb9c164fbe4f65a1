# SPDX-License-Identifier: MIT
"""A firmware for the tests of measurement: its last 4 KiB, with SEV metadata and table."""
import struct
import uuid

SECTIONS = ((0x800000, 0x9000, 1), (0x80a000, 0x3000, 1), (0x80d000, 0x1000, 2),
            (0x80e000, 0x1000, 3), (0x80f000, 0x1000, 4), (0x810000, 0x1000, 16),
            (0x811000, 0xf000, 1))


def entry(guid, data):
    return data + struct.pack("<H", len(data) + 18) + uuid.UUID(guid).bytes_le


def firmware(hashes=True):
    """The last 4 KiB of an image of OVMF."""
    image = bytearray((i * i * 31 + i * 7 + 1) & 0xff for i in range(4096))
    sections = [one for one in SECTIONS if hashes or one[2] != 16]
    metadata = b"ASEV" + struct.pack("<III", 16 + 12 * len(sections), 1, len(sections))
    metadata += b"".join(struct.pack("<III", *one) for one in sections)
    table = entry("dc886566-984a-4798-a75e-5585a7bf67cc", struct.pack("<I", 0x800))
    table += entry("7255371f-3a3b-4b04-927b-1da6efa8d454", struct.pack("<II", 0x810c00, 0x400))
    table += entry("00f771de-1a7e-4fcb-890e-68c77e2fb44e", struct.pack("<I", 0x80b004))
    table += struct.pack("<H", len(table) + 18)
    table += uuid.UUID("96b582de-1fb2-45f7-baea-a366c55a082d").bytes_le
    image[0x800:0x800 + len(metadata)] = metadata
    image[-32 - len(table):-32] = table
    return bytes(image)
