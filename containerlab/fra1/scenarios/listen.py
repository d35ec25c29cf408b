#!/usr/bin/env python3
"""listen.py PORT: accepts TCP connections on all addresses of the default VRF, as a switch's own services do."""
import socket
import sys

with socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    while True:
        listener.accept()[0].close()
