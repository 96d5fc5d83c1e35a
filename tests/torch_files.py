"""Weight files as torch wrote them until 2020, written without torch, for the tests."""

import io
import pickle
import struct
import sys
import types
from collections import OrderedDict
from contextlib import contextmanager

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"int": 4}}


@contextmanager
def torch_names():
    """Let pickle find the names of torch that such files hold; yields their module."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def rebuild(*arguments):
        raise AssertionError("it is written, never called")

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    for name in ("FloatStorage", "LongStorage", "DoubleStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    torch._utils = utils
    try:
        yield torch
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class Stored:
    """Stands for the storage of one tensor."""

    def __init__(self, key, kind, count):
        self.key, self.kind, self.count = key, kind, count


class Tensor:
    """Pickles as a tensor does."""

    def __init__(self, storage, offset, size, stride):
        self.parts = (storage, offset, size, stride, False, OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.parts


class Pickler(pickle.Pickler):
    """Writes storages as persistent identities."""

    def persistent_id(self, value):
        if not isinstance(value, Stored):
            return None
        kind = getattr(sys.modules["torch"], value.kind)
        return ("storage", kind, value.key, "cpu", value.count, None)


def pickled(value, protocol=2) -> bytes:
    """Pickle one part of a file."""
    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue()


def torch_file(
    arrays,
    *,
    magic=MAGIC,
    version=VERSION,
    system=SYSTEM,
    extra=None,
    changed=lambda tensor: tensor,
    keys=None,
    counts=lambda count: count,
    tail=b"",
) -> bytes:
    """Return the bytes of a file with these arrays, float32 or int64, and what a test spoils.

    Parameters
    ----------
    arrays : name -> array; the strides of an array are kept
    extra : what else the dictionary holds
    changed : tensor to what is pickled for it
    keys : what the file says its storages are
    counts : number of a storage's values to what the file says it is
    tail : bytes at the end
    """
    with torch_names():
        tensors, raw = OrderedDict(), []
        for i, (name, array) in enumerate(arrays.items()):
            kind = {"f": "FloatStorage", "i": "LongStorage"}[array.dtype.kind]
            numbers = np.ascontiguousarray(array.T if array.flags.f_contiguous else array)
            step = tuple(s // array.itemsize for s in array.strides)
            tensor = Tensor(Stored(str(i), kind, array.size), 0, array.shape, step)
            tensors[name] = changed(tensor)
            raw.append(struct.pack("<q", counts(array.size)) + numbers.tobytes())
        tensors.update(extra or {})
        tensors._metadata = OrderedDict(version=1)  # as every state dictionary has it
        listed = [str(i) for i in range(len(raw))] if keys is None else keys
        parts = [pickled(part) for part in (magic, version, system, tensors, listed)]
        return b"".join(parts) + b"".join(raw) + tail
