"""Power cuts, played back: from the record of every write and sync of a data file, images of the file
are built as a disk could hold it at a random moment. What was flushed is there; of what was written
since, each sector is there or not."""

from faults import SYNC, SYNC_WRITE, read_record

SECTOR = 512


class Image:
    """The data file as of a cut."""

    def __init__(self, before=b""):
        self.bytes = bytearray(before)

    def write(self, step, keeps_sector=lambda: True):
        end = step.offset + len(step.data)
        at = step.offset
        while at < end:
            sector_end = min(end, (at // SECTOR + 1) * SECTOR)
            if keeps_sector():
                self._put(at, step.data[at - step.offset:sector_end - step.offset])
            at = sector_end

    def _put(self, at, data):
        if len(self.bytes) < at + len(data):
            self.bytes.extend(bytes(at + len(data) - len(self.bytes)))
        self.bytes[at:at + len(data)] = data


def image_at(steps, cut, rng, before=b""):
    """Step `cut` was under way when the power went; the disk held `before` at the first."""
    synced = max((i for i in range(cut) if steps[i].kind == SYNC), default=-1)
    image = Image(before)
    kept = rng.random()  # how much of the unflushed is there: from nearly nothing to nearly all
    for i, step in enumerate(steps[:cut + 1]):
        durable = i < cut and (i < synced or step.kind == SYNC_WRITE)
        if step.kind != SYNC:
            image.write(step, (lambda: True) if durable else (lambda: rng.random() < kept))
    return image.bytes


def image_of_a_cut(before, record, after, rng):
    """Makes the file `after` from that before and the record of what was written since, with a cut
    at the last step."""
    steps = read_record(record)
    after.write_bytes(image_at(steps, len(steps) - 1, rng, before.read_bytes()))


def name_at(steps, cut):
    """The first sync is that of the new file, which has no other name before."""
    synced = any(step.kind == SYNC for step in steps[:cut])
    return "data.mdb" if synced else "data.mdb.new"
