#!/usr/bin/env python3
"""connect.py ADDRESS PORT: exits with 0 if a TCP connection to it comes about."""
import socket
import sys

try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
except OSError as error:
    sys.exit(f"{sys.argv[1]}, port {sys.argv[2]}: {error}")
