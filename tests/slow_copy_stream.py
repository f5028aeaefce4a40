"""A stand-in for a GPU's copies that records their order; they take as long as can be."""

import torch


class Copy:
    """A copy that arrives when somebody waits for it, and not before."""

    def __init__(self, copy_stream, source, target):
        self.copy_stream, self.source, self.target, self.arrived = copy_stream, source.clone(), target, False

    def query(self):
        return self.arrived

    def synchronize(self):
        self.copy_stream.log.append("wait")
        self.target.copy_(self.source)
        self.arrived = True
        self.copy_stream.flying -= 1


class SlowCopyStream:
    """A copy_stream whose copies take as long as can be."""

    def __init__(self):
        self.log, self.buffers, self.flying, self.most = [], [], 0, 0

    def buffer(self, like):
        self.buffers.append(torch.full_like(like, -1))
        return self.buffers[-1]

    def copy(self, source, target):
        self.log.append("copy")
        self.flying += 1
        self.most = max(self.most, self.flying)
        return Copy(self, source, target)

    def sent(self, tensor):
        return tensor
