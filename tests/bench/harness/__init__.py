# SPDX-License-Identifier: MIT
"""The bench: what tests/bench/run is made of. Read in this order:

scenarios   what is measured, and where it must arrive
proxies     who is measured: mmproxy, its peers, and others by path
offload     mmproxy whose sessions the kernel takes over, and how that is made sure of
stage       the namespaces, and the upstreams in them
loads       one run of a scenario against one proxy
runner      all of them, round by round
calls       system calls a message, in runs of their own
machine     what the kernel says of processes and of this machine
results     what is written down in bench.json, and its statistics
markdown    its tables
plots       its pictures, by gnuplot
bench       all of it, from start to end
"""

import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[3]
# Namespaces, mmproxy as a process, and waiting are the integration tests' too.
sys.path.insert(0, str(TOP / "tests" / "integration"))
