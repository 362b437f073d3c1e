# SPDX-License-Identifier: BSD-2-Clause
"""Sets that are damaged, or made to damage their reader. Each has a name; some take a number or a chunk after a colon.

What a reader should make of one: `refuse` it, or `read` it as it is, or read it and tell of a `finding`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .chunk import Chunk
from .draft import Draft
from .meta import Entry, Literal, quoted


@dataclass
class Variant:
    stage: str
    outcome: str
    why: str
    act: Callable[[Draft, str], None]


VARIANTS: dict[str, Variant] = {}


def apply(name: str, stage: str, draft: Draft) -> None:
    """Spoils the set if the variant belongs to this stage of its making."""
    if not name:
        return
    title, _, argument = name.partition(':')
    if title not in VARIANTS:
        raise ValueError(f'no hostile variant {title}: there are {", ".join(VARIANTS)}')
    variant = VARIANTS[title]
    if variant.stage == stage:
        variant.act(draft, argument)
        draft.verdict.update(outcome=variant.outcome, why=variant.why, hostile=name)


Act = Callable[[Draft, str], None]


def variant(name: str, stage: str, outcome: str, why: str) -> Callable[[Act], Act]:
    def add(act: Act) -> Act:
        VARIANTS[name] = Variant(stage, outcome, why, act)
        return act
    return add


def _cut(chunk: Chunk, size: int) -> None:
    """Shortens the chunk, and with it what is known of it."""
    del chunk.data[size:]
    chunk.fields = [one for one in chunk.fields if one.offset + one.size <= size]


# The chunks.

@variant('chunk-short', 'chunks', 'refuse', 'a chunk (vrtc, or the one named) lacks its last byte')
def _(draft: Draft, argument: str) -> None:
    chunk = draft.chunk(argument or 'vrtc')
    _cut(chunk, len(chunk.data) - 1)


@variant('chunk-long', 'chunks', 'finding', 'a chunk (vrtc, or the one named) has five bytes more, as bhyve allows')
def _(draft: Draft, argument: str) -> None:
    draft.chunk(argument or 'vrtc').data += b'extra'


@variant('no-such-size', 'chunks', 'refuse', 'vmcx (or vm, vlapic) has records of a size that no generation has')
def _(draft: Draft, argument: str) -> None:
    name = argument or 'vmcx'
    record = {'vm': 150, 'vmcx': 300, 'vlapic': 4100}.get(name)
    if record is None:
        raise ValueError('no-such-size is for vm, vmcx and vlapic; for others there is chunk-short')
    chunk = draft.chunk(name)
    size = record * draft.machine.records
    _cut(chunk, 0)
    chunk.data += bytes(size)


@variant('odd-cpuset', 'chunks', 'refuse', 'startup_cpus is three bytes longer than whole words')
def _(draft: Draft, argument: str) -> None:
    if not draft.machine.shape.cpuset:
        raise ValueError('odd-cpuset: generation A has no startup_cpus')
    draft.chunk('vm').data += bytes(3)


@variant('empty-chunk', 'chunks', 'refuse', 'a chunk (vrtc, or the one named) has size 0')
def _(draft: Draft, argument: str) -> None:
    _cut(draft.chunk(argument or 'vrtc'), 0)


@variant('empty-vmx', 'chunks', 'finding', 'vmx has size 0, as 13.2 writes it and then refuses to resume it')
def _(draft: Draft, argument: str) -> None:
    if draft.machine.shape.vmx != 'empty':
        raise ValueError('empty-vmx: this is how generation B is; for others there is empty-chunk:vmx')


@variant('uart-fraction', 'chunks', 'refuse', 'the last UART of lpc is half there')
def _(draft: Draft, argument: str) -> None:
    chunk = draft.chunk('lpc')
    _cut(chunk, len(chunk.data) - 21)


def _patching(name: str, why: str, find: Callable[[Draft], Chunk], path: str, value: int,
              outcome: str = 'refuse') -> None:
    def act(draft: Draft, argument: str) -> None:
        try:
            find(draft).patch(path, int(argument, 0) if argument else value)
        except StopIteration:
            raise ValueError(f'{name}: the set has no field {path}') from None
    VARIANTS[name] = Variant('chunks', outcome, why, act)


def _of(name: str) -> Callable[[Draft], Chunk]:
    return lambda draft: draft.chunk(name)


_patching('msix-count-huge', 'a virtio device claims 2^31-1 MSI-X vectors', Draft.virtio, 'msix.table_count',
          0x7fffffff)
_patching('msix-count-negative', 'a virtio device claims -1 MSI-X vectors', Draft.virtio, 'msix.table_count', -1)
_patching('nvq-huge', 'a virtio device claims 2^31-1 queues', Draft.virtio, 'vc_nvq', 0x7fffffff)
_patching('nvq-negative', 'a virtio device claims -1 queues', Draft.virtio, 'vc_nvq', -1)
_patching('queue-huge', 'a virtqueue claims 65535 entries', Draft.virtio, 'queue[0].vq_qsize', 0xffff)
_patching('queue-odd', 'a virtqueue claims 100 entries', Draft.virtio, 'queue[0].vq_qsize', 100, 'finding')
_patching('queue-number', 'the first virtqueue says it is number 7', Draft.virtio, 'queue[0].vq_num', 7, 'finding')
_patching('ring-outside', 'a ring lies outside of RAM', Draft.virtio, 'queue[0].desc_ring', 1 << 45, 'finding')
_patching('ahci-free-bad', 'the free list of AHCI names request 1000000', _of('ahci'), 'port[0].free[0]', 1000000,
          'finding')
_patching('ahci-vectors-huge', 'a request of AHCI claims 2^31-1 vectors', _of('ahci'), 'port[0].busy[0].br_iovcnt',
          0x7fffffff)
_patching('xhci-map-bad', 'a slot of xHCI names device 77', _of('xhci'), 'slot[2].map', 77, 'finding')
_patching('xhci-index-bad', 'a device of xHCI has index 99', _of('xhci'), 'device[1].index', 99)
_patching('paging-unprotected', 'CR0 has paging without protection', _of('vmcx'), 'vcpu[0].cr0', 0x80000000, 'finding')
_patching('cs-unusable', 'CS of a running guest is unusable', _of('vmcx'), 'vcpu[0].CS.access', 0x10000, 'finding')


@variant('ahci-free-endless', 'chunks', 'refuse', 'the free list of AHCI has no end')
def _(draft: Draft, argument: str) -> None:
    chunk = draft.chunk('ahci')
    paths = [one.path for one in chunk.fields if one.value == -1]
    if not paths:
        raise ValueError('ahci-free-endless: the set has no list, generation A is needed')
    for path in paths:
        chunk.patch(path, 5)


@variant('ahci-ioqsz-huge', 'chunks', 'refuse', 'AHCI claims 2^31-1 requests, and lists 135')
def _(draft: Draft, argument: str) -> None:
    if not draft.machine.shape.request_lists:
        raise ValueError('ahci-ioqsz-huge: the set has no list, generation A is needed')
    draft.chunk('ahci').patch('port[0].ioqsz', 0x7fffffff)


# The meta file, as what libxo could have written. Its entries are changed, not what the chunks hold.

def _change(draft: Draft, key: str, value: int | str | bytes | Literal) -> None:
    draft.meta.devices[-1][key] = value


def _name_key(entry: Entry) -> str:
    return 'device' if 'device' in entry else 'snapshot_req'


def _changing(name: str, key: str, value: int | str | bytes | Literal, why: str, outcome: str = 'refuse') -> None:
    def act(draft: Draft, argument: str) -> None:
        entry = draft.meta.devices[-1]
        entry[_name_key(entry) if key == 'name' else key] = value
    VARIANTS[name] = Variant('meta', outcome, 'the last device ' + why, act)


_changing('offset-huge', 'file_offset', 1 << 63, 'begins at 2^63')
_changing('offset-negative', 'file_offset', -1, 'begins at -1')
_changing('offset-fraction', 'file_offset', Literal('1.5'), 'begins at 1.5')
_changing('offset-text', 'file_offset', '0', 'has its offset as text')
_changing('size-huge', 'size', (1 << 63) - 1, 'has 2^63-1 bytes')
_changing('size-too-large-for-64-bits', 'size', Literal('36893488147419103232'), 'has 2^65 bytes')
_changing('size-exponent', 'size', Literal('1e400'), 'has 1e400 bytes')
_changing('size-negative', 'size', -5, 'has -5 bytes')
_changing('name-empty', 'name', '', 'has an empty name', 'finding')
_changing('name-traversal', 'name', '../../../etc/passwd', 'is named like a path', 'finding')
_changing('name-absolute', 'name', '/etc/passwd', 'is named like an absolute path', 'finding')
_changing('name-control', 'name', b'virtio-blk\x1b[2J\x07\x01\x7f\t', 'has control characters in its name', 'finding')
_changing('name-not-utf8', 'name', b'virtio-\xff\xfe\xc0\xaf', 'has a name that is not UTF-8', 'finding')
_changing('name-long', 'name', 'x' * 100000, 'has a name of 100000 bytes', 'finding')
_changing('name-number', 'name', Literal('17'), 'has a number as its name')
_changing('name-null', 'name', Literal('null'), 'has null as its name')
_changing('name-unknown', 'name', 'nvme@pci.0.9.0', 'is one that no bhyve saves', 'finding')


@variant('offset-beyond-end', 'meta', 'refuse', 'the last device begins beyond the end of .kern')
def _(draft: Draft, argument: str) -> None:
    _change(draft, 'file_offset', len(draft.kern or b'') + 1)
    _change(draft, 'size', 16)


@variant('size-past-end', 'meta', 'refuse', 'the last device ends a byte beyond .kern')
def _(draft: Draft, argument: str) -> None:
    _change(draft, 'file_offset', draft.offsets()[-1])
    _change(draft, 'size', len(draft.kern or b'') - draft.offsets()[-1] + 1)


@variant('sum-overflow', 'meta', 'refuse', 'offset and size of the last device add up to more than 2^64')
def _(draft: Draft, argument: str) -> None:
    _change(draft, 'file_offset', (1 << 64) - 8)
    _change(draft, 'size', 16)


@variant('overlap', 'meta', 'finding', 'vioapic begins eight bytes before its place, in the chunk before it')
def _(draft: Draft, argument: str) -> None:
    for entry in draft.meta.kernel:
        if 'vioapic' in entry.values():
            entry['file_offset'] = int(str(entry['file_offset'])) - 8


@variant('kernel-duplicate', 'meta', 'finding', 'vhpet is listed a second time, with other bytes')
def _(draft: Draft, argument: str) -> None:
    draft.meta.kernel.append({**draft.meta.kernel[0], 'file_offset': 8})


@variant('device-duplicate', 'meta', 'finding', 'the last device is listed twice')
def _(draft: Draft, argument: str) -> None:
    draft.meta.devices.append(dict(draft.meta.devices[-1]))


@variant('kernel-missing', 'meta', 'refuse', 'vlapic (or the chunk named) is not listed')
def _(draft: Draft, argument: str) -> None:
    draft.meta.kernel = [entry for entry in draft.meta.kernel if (argument or 'vlapic') not in entry.values()]


@variant('device-missing', 'meta', 'finding', 'the last device is not listed, its bytes belong to nobody')
def _(draft: Draft, argument: str) -> None:
    draft.meta.devices.pop()


@variant('name-missing', 'meta', 'refuse', 'the last device has no name')
def _(draft: Draft, argument: str) -> None:
    del draft.meta.devices[-1][_name_key(draft.meta.devices[-1])]


@variant('size-missing', 'meta', 'refuse', 'the last device has no size')
def _(draft: Draft, argument: str) -> None:
    del draft.meta.devices[-1]['size']


@variant('reordered', 'meta', 'read', 'both arrays are backwards, which means nothing')
def _(draft: Draft, argument: str) -> None:
    draft.meta.kernel.reverse()
    draft.meta.devices.reverse()


@variant('request-unknown', 'meta', 'finding', 'a kernel entry more, of a kind that does not exist')
def _(draft: Draft, argument: str) -> None:
    entry = dict(draft.meta.kernel[0])
    entry.update({'snapshot_req': 99} if 'snapshot_req' in entry else {'device': 'vtsc'})
    draft.meta.kernel.append(entry)


def _basic(name: str, key: str, value: int | str | bytes | Literal, why: str, outcome: str = 'refuse') -> None:
    def act(draft: Draft, argument: str) -> None:
        draft.meta.basic[key] = value
        if key == 'vmname' and isinstance(value, (str, bytes)):
            draft.vmname = value
    VARIANTS[name] = Variant('meta', outcome, why, act)


_basic('ncpus-zero', 'ncpus', 0, 'a guest without vCPUs')
_basic('ncpus-negative', 'ncpus', -2, 'a guest with -2 vCPUs')
_basic('ncpus-huge', 'ncpus', 0x7fffffff, 'a guest with 2^31-1 vCPUs')
_basic('memsize-zero', 'memsize', 0, 'a guest without RAM')
_basic('memsize-huge', 'memsize', (1 << 64) - 1, 'a guest with 2^64-1 bytes of RAM')
_basic('memsize-negative', 'memsize', -4096, 'a guest with -4096 bytes of RAM')
_basic('vmname-traversal', 'vmname', '../../etc/passwd', 'the name of the guest looks like a path, and is none', 'read')
_basic('vmname-control', 'vmname', b'vm\t\x1b[31m\x01\x7f', 'the name of the guest has control characters', 'finding')
_basic('vmname-not-utf8', 'vmname', b'vm\xff\xfe', 'the name of the guest is not UTF-8', 'finding')
_basic('vmname-escapes', 'vmname', 'a"b\\c\nd\re', 'the name of the guest has what JSON escapes', 'finding')
_basic('vmname-utf8', 'vmname', 'B\u00e4r \u718a \U0001f43b', 'the name of the guest is not ASCII', 'read')


# The bytes of the files.

@variant('kern-truncated', 'files', 'refuse', '.kern ends at the byte named (halfway)')
def _(draft: Draft, argument: str) -> None:
    kern = draft.kern or b''
    draft.kern = kern[:int(argument) if argument else len(kern) // 2]


@variant('kern-longer', 'files', 'finding', '.kern has bytes after its last chunk')
def _(draft: Draft, argument: str) -> None:
    draft.kern = (draft.kern or b'') + bytes(int(argument or 4096))


@variant('kern-missing', 'files', 'refuse', 'there is no .kern')
def _(draft: Draft, argument: str) -> None:
    draft.kern = None


@variant('meta-missing', 'files', 'refuse', 'there is no .meta')
def _(draft: Draft, argument: str) -> None:
    draft.meta_text = None


@variant('ram-missing', 'files', 'refuse', 'there is no file of RAM')
def _(draft: Draft, argument: str) -> None:
    draft.ram_size = None


def _ram(name: str, change: int | None, why: str) -> None:
    def act(draft: Draft, argument: str) -> None:
        draft.ram_size = 0 if change is None else draft.machine.ram.size + change
    VARIANTS[name] = Variant('files', 'refuse', why, act)


_ram('ram-empty', None, 'the file of RAM is empty')
_ram('ram-short', -4096, 'the file of RAM lacks a page')
_ram('ram-odd', -1, 'the file of RAM lacks a byte')
_ram('ram-long', 4096, 'the file of RAM has a page more')


def _text(name: str, why: str, change: Callable[[bytes, str], bytes], outcome: str = 'refuse') -> None:
    def act(draft: Draft, argument: str) -> None:
        draft.meta_text = change(draft.meta_text or b'', argument)
    VARIANTS[name] = Variant('files', outcome, why, act)


def _deep(text: bytes, argument: str) -> bytes:
    depth = int(argument or 1000000)
    return b'{\n  "basic metadata": ' + b'[' * depth + b']' * depth + b'\n}\n'


def _huge(text: bytes, argument: str) -> bytes:
    size = int(argument or 64 << 20)
    line = b',\n    {\n      "device": "x",\n      "size": 0,\n      "file_offset": 0\n    }'
    head, tail = text[:text.rindex(b'\n  ]')], text[text.rindex(b'\n  ]'):]
    return head + line * (max(size - len(text), 0) // len(line) + 1) + tail


_text('meta-empty', '.meta is empty', lambda text, argument: b'')
_text('meta-truncated', '.meta ends at the byte named (halfway), as after a checkpoint that failed',
      lambda text, argument: text[:int(argument) if argument else len(text) // 2])
_text('meta-deep', '.meta is a million arrays deep', _deep)
_text('meta-huge', '.meta is 64 MiB of entries', _huge)
_text('meta-huge-string', 'the name of the guest has 64 MiB', lambda text, argument: text.replace(
    b'"vmname": "', b'"vmname": "' + b'A' * int(argument or 64 << 20), 1))
_text('meta-number', '.meta is a number', lambda text, argument: b'42\n')
_text('meta-array', '.meta is an array', lambda text, argument: b'[]\n')
_text('meta-nul', '.meta has NUL bytes after its text', lambda text, argument: text + b'\0' * 16)
_text('meta-noise', '.meta is not text', lambda text, argument: bytes(range(256)) * 16)
_text('meta-two', '.meta holds its text twice', lambda text, argument: text + text)
_text('meta-no-basic', '.meta lacks its basic metadata', lambda text, argument: text.replace(
    b'"basic metadata"', b'"other metadata"', 1))
_text('meta-no-devices', '.meta lacks the array of devices', lambda text, argument: text.replace(
    b'"devices"', b'"others"', 1).replace(b'"pci_devices"', b'"others"', 1))
_text('meta-key-twice', '.meta says a second time how many vCPUs there are', lambda text, argument: text.replace(
    b'    "vmname"', b'    "ncpus": 7,\n    "vmname"', 1))
_text('meta-unknown-key', '.meta has a key more, of another program', lambda text, argument: text.replace(
    b'    "vmname"', b'    ' + quoted('schema') + b': 3,\n    "vmname"', 1), 'finding')
_text('meta-compact', '.meta has no spaces and lines, which means nothing', lambda text, argument: text.replace(
    b'\n', b'').replace(b'  ', b''), 'read')
