"""ROS 2 lives here and nowhere else: thin shells that turn messages into arrays, call the core, and publish results.

NumPy's OpenBLAS is held to one thread in these processes: a face needs products of a few hundred microseconds, for which waking
a thread per core costs more than it gives, and the cores belong to the robot's other nodes. OPENBLAS_NUM_THREADS overrules it.
"""

import os

# OpenBLAS reads this once, when NumPy is first imported; modules of this package are imported after it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
