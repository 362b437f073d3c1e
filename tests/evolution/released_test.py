#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The gates over released files and over levels find what they must find."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*words: object) -> tuple[int, str]:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


class Temporary(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)

    def write(self, name: str, text: str) -> pathlib.Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


class Released(Temporary):
    def setUp(self) -> None:
        super().setUp()
        self.frozen = self.write('schema/uart/frozen/v1.0.bfbs', 'frozen')
        self.level = self.write('schema/levels/level1.json', 'level')
        self.golden = self.write('tests/golden/bad/a.vmsnap', 'golden')
        self.list = self.write('schema/released.sha256', '# list\n')
        self.assertEqual(self.gate('--add')[0], 0)

    def gate(self, *words: str) -> tuple[int, str]:
        return run(sys.executable, ROOT / 'tests/evolution/released.py', *words, self.root)

    def expect_failure(self, name: str, *parts: str) -> None:
        for words in ((), ('--add',)):
            status, text = self.gate(*words)
            self.assertEqual(status, 1)
            for part in (f'{name}: ', *parts):
                self.assertIn(part, text)

    def test_accepts_what_is_as_it_was_released(self) -> None:
        status, text = self.gate()
        self.assertEqual(status, 0)
        self.assertIn('3 released files, 0 failures, 0 not released yet', text)

    def test_names_a_changed_frozen_schema_and_what_to_do(self) -> None:
        self.frozen.write_text('other')
        self.expect_failure('schema/uart/frozen/v1.0.bfbs', 'has been changed', 'a new chunk_version', 'freeze.sh')

    def test_names_a_changed_level_and_what_to_do(self) -> None:
        self.level.write_text('other')
        self.expect_failure('schema/levels/level1.json', 'has been changed', 'a new level file')

    def test_names_a_golden_file_that_is_gone(self) -> None:
        self.golden.unlink()
        self.expect_failure('tests/golden/bad/a.vmsnap', 'is gone', 'a new golden file')

    def test_lets_unreleased_files_change_until_they_are_added(self) -> None:
        new = self.write('schema/uart/frozen/v1.1.bfbs', 'new')
        status, text = self.gate()
        self.assertEqual(status, 0)
        self.assertIn('schema/uart/frozen/v1.1.bfbs: not released yet', text)
        new.write_text('newer')
        self.assertEqual(self.gate()[0], 0)
        self.assertEqual(self.gate('--add')[0], 0)
        new.write_text('newest')
        self.expect_failure('schema/uart/frozen/v1.1.bfbs', 'has been changed')

    def test_refuses_an_empty_or_malformed_list(self) -> None:
        self.list.write_text('# list\n')
        self.assertEqual(self.gate()[0], 1)
        self.list.write_text('nonsense\n')
        self.assertIn('released.sha256:1', self.gate()[1])


class Levels(Temporary):
    """generate_versions.py on a copy of the schemas."""

    def setUp(self) -> None:
        super().setUp()
        shutil.copytree(ROOT / 'schema', self.root / 'schema')
        self.levels = self.root / 'schema/levels'
        self.newest = max(self.levels.glob('level*.json'), key=lambda path: int(path.stem[5:]))
        self.number = int(self.newest.stem[5:])
        self.content = json.loads(self.newest.read_text())
        # Anything that has its .fbs in a folder of its own name, besides the container's.
        self.sources = sorted(path for path in self.root.glob('schema/*/*.fbs') if path.stem == path.parent.name)

    def generate(self) -> tuple[int, str]:
        return run(
            sys.executable, ROOT / 'schema/generate_versions.py', '--output', self.root / 'out.cc',
            '--depfile', self.root / 'out.d', '--levels', self.levels, *self.sources,
        )

    def expect_refusal(self, *parts: str) -> None:
        self.newest.write_text(json.dumps(self.content))
        status, text = self.generate()
        self.assertNotEqual(status, 0)
        for part in parts:
            self.assertIn(part, text)
        self.assertNotIn('Traceback', text)

    def test_accepts_the_levels_as_they_are(self) -> None:
        status, text = self.generate()
        self.assertEqual((status, text), (0, ''))
        self.assertIn('frozen_device_chunk_types()', (self.root / 'out.cc').read_text())

    def test_refuses_a_version_without_a_frozen_schema(self) -> None:
        self.content['chunks']['uart16550']['version'] = '1.99'
        self.expect_refusal('no frozen schema of uart16550 1.99', 'freeze.sh uart16550')

    def test_refuses_a_type_that_is_missing(self) -> None:
        del self.content['chunks']['uart16550']
        self.expect_refusal('uart16550 is missing')

    def test_refuses_a_type_that_nobody_has(self) -> None:
        self.content['chunks']['wormhole'] = {'version': '1.0', 'features': []}
        self.expect_refusal('no frozen schema of wormhole 1.0')

    def test_refuses_a_schema_that_the_highest_level_does_not_have(self) -> None:
        source = self.root / 'schema/lapic/lapic.fbs'
        text = source.read_text()
        source.write_text(text.replace('chunk_version: "', 'chunk_version: "7'))
        self.expect_refusal('lapic is at ', f'add level{self.number + 1}.json')

    def test_refuses_a_gap_between_levels(self) -> None:
        self.newest.rename(self.levels / f'level{self.number + 1}.json')
        self.newest = self.levels / f'level{self.number + 1}.json'
        self.content['level'] = self.number + 1
        self.expect_refusal('without gap')

    def test_refuses_a_level_that_goes_back(self) -> None:
        following = json.loads(json.dumps(self.content))
        following['level'] = self.number + 1
        del following['chunks']['lapic']
        (self.levels / f'level{self.number + 1}.json').write_text(json.dumps(following))
        self.expect_refusal(f'lapic is missing, which level {self.number} has')

    def test_refuses_files_that_are_not_what_they_are_called(self) -> None:
        frozen = self.root / 'schema/lapic/frozen'
        shutil.copy(frozen / 'v1.0.bfbs', frozen / 'v1.5.bfbs')
        self.expect_refusal('v1.5.bfbs: holds lapic 1.0')
        (frozen / 'v1.5.bfbs').unlink()
        self.content['level'] = 9
        self.expect_refusal('says that it is level 9')

    def write_without_level(self, *names: str) -> None:
        (self.levels / 'none.json').write_text(json.dumps({'level': None, 'chunks': list(names)}))

    def without_level(self) -> list[str]:
        return json.loads((self.levels / 'none.json').read_text())['chunks']

    def test_refuses_a_type_without_level_that_is_not_said_to_have_none(self) -> None:
        names = self.without_level()
        self.write_without_level(*names[1:])
        self.expect_refusal(f'{names[0]} is missing', 'none.json')

    def test_refuses_a_type_that_is_in_a_level_and_in_none(self) -> None:
        self.write_without_level(*sorted([*self.without_level(), 'uart16550']))
        self.expect_refusal('uart16550 is in level 1')

    def test_refuses_a_type_without_level_that_nobody_has_or_that_is_not_frozen(self) -> None:
        names = self.without_level()
        self.write_without_level(*names, 'zeppelin')
        self.expect_refusal('zeppelin is not in the list device_types')
        self.write_without_level(*names)
        (self.root / f'schema/{names[0]}/frozen/v1.0.bfbs').unlink()
        self.expect_refusal(f'no frozen schema of {names[0]} 1.0', 'freeze.sh')

    def test_refuses_a_list_without_level_that_is_no_sorted_list(self) -> None:
        self.write_without_level(*reversed(self.without_level()))
        self.expect_refusal('none.json: chunks are sorted')
        (self.levels / 'none.json').write_text('{"level": 1, "chunks": []}')
        self.expect_refusal('none.json: needs "level": null')

    def test_refuses_features_without_a_proper_name(self) -> None:
        self.content['chunks']['lapic']['features'] = ['Not A Name']
        self.expect_refusal('features are a list of names')


if __name__ == '__main__':
    unittest.main()
