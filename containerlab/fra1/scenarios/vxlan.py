#!/usr/bin/env python3
"""vxlan.py OUTER_SOURCE VTEP VNI ROUTER_MAC INNER_SOURCE INNER_DESTINATION: sends an echo request in VXLAN, built by hand.

The outer header is written whole, so that the source need not be this node's own."""
import socket
import struct
import sys

ICMP, UDP, VXLAN_PORT = 1, 17, 4789
SENDER_MAC = bytes.fromhex("020000000bad")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(word for (word,) in struct.iter_unpack("!H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet without options."""
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol)
    return start + struct.pack("!H", checksum(start + b"\0\0" + addresses)) + addresses + payload


def echo_request() -> bytes:
    """ICMP type 8."""
    rest = struct.pack("!HH", 0x4C57, 1) + b"leafwall"
    return struct.pack("!BBH", 8, 0, checksum(b"\x08\0\0\0" + rest)) + rest


outer_source, vtep, vni, router_mac, inner_source, inner_destination = sys.argv[1:]
frame = bytes.fromhex(router_mac.replace(":", "")) + SENDER_MAC + b"\x08\x00"
frame += ipv4(inner_source, inner_destination, ICMP, echo_request())
vxlan = struct.pack("!II", 0x08000000, int(vni) << 8) + frame
udp = struct.pack("!HHHH", 50000, VXLAN_PORT, 8 + len(vxlan), 0) + vxlan
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    raw.sendto(ipv4(outer_source, vtep, UDP, udp), (vtep, 0))
