"""ROS 2 nodes: thin shells that convert messages to arrays, call the core and publish the results.

NumPy's OpenBLAS is limited to one thread in these processes: the matrix products of a face take a few hundred microseconds, less
than waking a thread per core, and the cores are needed by other nodes. OPENBLAS_NUM_THREADS overrides the limit.
"""

import os

# OpenBLAS reads this when NumPy is first imported, which happens in the modules of this package.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
