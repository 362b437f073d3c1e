# SPDX-License-Identifier: BSD-2-Clause
"""What is in a file, as text for people and as JSON for programs."""

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any, Iterator

from . import registry, show
from .errors import Refusal
from .flatbuffer import Buffer
from .framing import INCOMPATIBLE, Chunk, printable
from .metas import Device
from .schema import Schema
from .snapshot import Snapshot


def _harmless(text: str) -> str:
    return ''.join(letter if letter.isprintable() else f'\\u{ord(letter):04x}' for letter in text)


def _dotted(version: tuple[int, int]) -> str:
    return f'{version[0]}.{version[1]}'


def _created(nanoseconds: int) -> str:
    """The time as text; a number when no calendar holds it."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return f'{nanoseconds} ns since 1970'
    return moment.strftime('%Y-%m-%d %H:%M:%S UTC')


def find_device(snapshot: Snapshot, what: str) -> Device:
    """The device with an instance number or a path. Raises KeyError."""
    for device in snapshot.manifest.devices:
        if what in (device.path, str(device.instance)):
            return device
    raise KeyError(what)


def device_state(snapshot: Snapshot, device: Device) -> dict[str, show.Value]:
    """Every field of a device's state, by the schema in the file."""
    chunk = snapshot.device_chunks[device.instance]
    record = snapshot.schemas[chunk.schema_id]
    holder = next(other for other in snapshot.chunks if other.type == b'SCHM' and other.instance == chunk.schema_id)
    body = snapshot.source.read(holder.body_offset, holder.body_size)
    schema = Schema(body, holder.body_offset, str(holder))
    state = Buffer(snapshot.meta(chunk), chunk.meta_offset, str(chunk))
    return show.Decoder(schema, state).decode(record.root_table)


def _device_json(device: Device) -> dict[str, Any]:
    return {
        'instance': device.instance,
        'path': device.path,
        'type': device.type,
        'version': _dotted(device.version),
        'readable_since': _dotted(device.readable_since),
        'features': list(device.features),
        'restore_after': list(device.restore_after),
        'slots': [dict(vars(slot)) for slot in device.slots],
    }


def as_json(path: str, snapshot: Snapshot) -> dict[str, Any]:
    """Everything but the states of the devices."""
    header, manifest = snapshot.header, snapshot.manifest
    return {
        'file': path,
        'format': f'{header.major}.{header.minor}',
        'uuid': str(uuid.UUID(bytes=header.uuid)),
        'root': snapshot.root.hex(),
        'size': snapshot.source.size,
        'arch': header.arch,
        'features': [{'kind': 'incompatible' if feature.kind == INCOMPATIBLE else 'compatible', 'bit': feature.bit,
                      'name': feature.name} for feature in header.features],
        'producer': {'name': manifest.producer, 'version': manifest.producer_version},
        'created': manifest.created,
        'release_level': manifest.release_level,
        'vcpu_count': manifest.vcpu_count,
        'comment': manifest.comment,
        'devices': [_device_json(device) for device in manifest.devices],
        'segments': [dict(vars(segment)) for segment in snapshot.memory.segments],
        'memory_digest': snapshot.memory_digest.hex(),
        'mappings': [dict(vars(mapping)) for mapping in snapshot.memory.mappings],
        'schemas': [{'id': record.schema_id, 'chunk_type': record.chunk_type.decode('ascii'), 'name': record.name,
                     'version': _dotted(record.version), 'root_table': record.root_table,
                     'content_hash': record.content_hash.hex()} for record in snapshot.schemas.values()],
        'chunks': [{'sequence': chunk.sequence, 'type': chunk.type.decode('ascii'), 'instance': chunk.instance,
                    'schema_id': chunk.schema_id, 'flags': chunk.flags, 'offset': chunk.offset,
                    'size': chunk.end - chunk.offset, 'meta_size': chunk.meta_size, 'body_size': chunk.body_size,
                    'digest': chunk.digest.hex() if chunk.digest else None} for chunk in snapshot.chunks],
        'losses': [dict(vars(loss)) for loss in snapshot.losses],
        'notes': snapshot.notes,
    }


def _chunk_line(snapshot: Snapshot, chunk: Chunk) -> str:
    flags = ''.join(letter if chunk.flags & bit else '-' for letter, bit in (('C', 1), ('S', 2), ('L', 4)))
    if chunk.type == b'SCHM':
        record = snapshot.schemas[chunk.instance]
        about = f'schema of "{printable(record.chunk_type)}" {record.name} {_dotted(record.version)}'
    elif chunk.type in (b'RAMF', b'RAME'):
        about = f'segment {snapshot.memory.segments[chunk.instance].name}'
    elif chunk.instance in snapshot.device_chunks and snapshot.is_device_chunk(chunk):
        about = snapshot.manifest.devices[chunk.instance].path
    elif chunk.type in registry.CONTAINER_TYPES:
        about = ''
    else:
        about = 'of an unknown type'
    line = (f'{chunk.sequence:4} {chunk.offset:12} {printable(chunk.type):4} {chunk.instance:4} {flags} '
            f'meta {chunk.meta_size:8} body {chunk.body_size:12}  {about}')
    return line.rstrip()


def text(path: str, snapshot: Snapshot) -> Iterator[str]:
    """Everything but the states of the devices, for people."""
    header, manifest = snapshot.header, snapshot.manifest
    yield f'{_harmless(path)}: whole, {snapshot.source.size} bytes'
    yield f'format {header.major}.{header.minor}, {registry.name_of(registry.ARCHITECTURES, header.arch)}'
    yield f'uuid {uuid.UUID(bytes=header.uuid)}'
    yield f'root {snapshot.root.hex()}'
    for feature in header.features:
        kind = 'incompatible' if feature.kind == INCOMPATIBLE else 'compatible'
        yield f'{kind} feature {feature.bit} "{feature.name}"'
    yield f'written by {_harmless(manifest.producer)} {_harmless(manifest.producer_version)}'
    yield f'created {_created(manifest.created)}, release level {manifest.release_level}, {manifest.vcpu_count} vCPUs'
    if manifest.comment is not None:
        yield f'comment "{_harmless(manifest.comment)}"'
    yield f'{len(manifest.devices)} devices'
    for device in manifest.devices:
        yield from _device_lines(device)
    yield f'{len(snapshot.memory.segments)} memory segments'
    for segment in snapshot.memory.segments:
        kind = registry.name_of(registry.SEGMENT_KINDS, segment.kind)
        yield f'{segment.id:4} {segment.name} {kind} {segment.size} bytes'
    yield f'memory digest {snapshot.memory_digest.hex()}'
    yield f'{len(snapshot.memory.mappings)} mappings'
    for mapping in snapshot.memory.mappings:
        access = ' read-only' if mapping.read_only else ''
        yield (f'     {mapping.guest_address:#018x} {mapping.size} bytes of segment {mapping.segment} from '
               f'{mapping.segment_offset}{access}')
    yield f'{len(snapshot.chunks)} chunks'
    for chunk in snapshot.chunks:
        yield _chunk_line(snapshot, chunk)
    for loss in snapshot.losses:
        yield f'lost: {_harmless(str(loss))}'
    for note in snapshot.notes:
        yield f'note: {note}'


def _device_lines(device: Device) -> Iterator[str]:
    line = f'{device.instance:4} {device.path} {device.type} {_dotted(device.version)}'
    if device.readable_since != device.version:
        line += f', readable since {_dotted(device.readable_since)}'
    if device.features:
        line += f', features {" ".join(device.features)}'
    if device.restore_after:
        line += f', after {" ".join(map(str, device.restore_after))}'
    yield line
    for slot in device.slots:
        parts = [f'     slot {slot.name} {registry.name_of(registry.SLOT_KINDS, slot.kind)}']
        if slot.size is not None:
            parts.append(f'{slot.size} bytes')
        if slot.read_only:
            parts.append('read-only')
        if slot.hint is not None:
            parts.append(f'hint "{_harmless(slot.hint)}"')
        yield ', '.join(parts)


def refusal_json(path: str, refusal: Refusal) -> dict[str, Any]:
    """A refusal as JSON."""
    return {'file': path, 'error': {'kind': refusal.kind, 'offset': refusal.offset, 'message': refusal.sentence}}
