"""Whether the kernel can keep a process to a folder, as process_writes asks for it."""
import ctypes

import pytest

CREATE_RULESET = 444  # the system call, on every processor
VERSION = 1

HAS_LANDLOCK = ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION) > 0
NEEDS_LANDLOCK = pytest.mark.skipif(not HAS_LANDLOCK, reason="this kernel has no Landlock")
