#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Converts legacy snapshots of every generation, vendor and number of CPUs and back, with the program.

usage: convert_test.py SNAPTOOL MAKE_SET

In the generation that it came from, a set comes back byte for byte. In every other one it is either refused, with a
reason, or written so that it is read as that generation and comes back byte for byte from there.
"""

import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest

SUFFIXES = ("", ".kern", ".meta")
GENERATIONS = ("A", "A2", "B", "C0", "C")
VENDORS = ("intel", "amd")
CPUS = (1, 2, 4)
DEVICES = {
    "minimal": "",
    "virtio": "blk,net,rnd,atkbdc",
    "all": "blk,net,rnd,e1000,ahci,xhci,atkbdc",
}
WITH_PIXELS = "fbuf,atkbdc"  # 16 MiB each, so not everywhere

SHAPES = ("A", "B", "C0", "C")
SHAPE_OF = {"A": "A", "A2": "A", "B": "B", "C0": "C0", "C": "C"}

# The layout of the chunk that differs most.
VMCX = {
    "A": {"intel": "Intel A", "amd": "AMD A"},
    "B": {"intel": "Intel B", "amd": "AMD B"},
    "C0": {"intel": "Intel C0", "amd": "AMD B"},
    "C": {"intel": "Intel C", "amd": "AMD C"},
}

SNAPTOOL = ""
MAKE_SET = ""


def run(*arguments):
    return subprocess.run([SNAPTOOL, *arguments], capture_output=True, text=True, check=False)


def make(base, generation, vendor, ncpus, devices, *more):
    command = [sys.executable, MAKE_SET, base, "--generation", generation, "--vendor", vendor, "--ncpus", str(ncpus)]
    if devices:
        command += ["--devices", devices]
    subprocess.run([*command, *more], check=True, capture_output=True)


def digests(base):
    result = []
    for suffix in SUFFIXES:
        with open(base + suffix, "rb") as file:
            result.append(hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest")
                          else hashlib.sha256(file.read()).hexdigest())
    return result


def remove(*names):
    for name in names:
        for suffix in (*SUFFIXES, ".expected.json"):
            if os.path.exists(name + suffix):
                os.unlink(name + suffix)


def layout_of(base, chunk):
    """The layout by which a chunk of a legacy set is read."""
    done = run("convert", "--from", "bhyve", "--dry-run", "--json", base)
    if done.returncode not in (0, 3):
        raise AssertionError(f"{base}: {done.stderr}")
    return next(c["layout"] for c in json.loads(done.stdout)["report"]["chunks"] if c["chunk"] == chunk)


def item_bytes(base, chunk, path):
    """The bytes of an item of a legacy set."""
    (item,) = json.loads(run("show", base, f"{chunk}.{path}", "--json").stdout)["fields"]
    with open(base + ".meta", encoding="utf-8") as file:
        meta = json.load(file)
    entries = meta.get("kern_structs") or meta["structs"]
    (start,) = (e["file_offset"] for e in entries if chunk in (e.get("device"), e.get("debug_name")))
    with open(base + ".kern", "rb") as file:
        file.seek(start + int(item["offset"]))
        return file.read(int(item["size"]))


def requested(apic_page):
    """The IRR: 8 words of 32 bits, each at the beginning of 16 bytes."""
    words = [apic_page[at:at + 4] for at in range(0x200, 0x280, 16)]
    return int.from_bytes(b"".join(words), "little")


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.same = 0
        self.converted = 0
        self.refused = 0

    def add(self, name):
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)


COUNTS = Counts()


class Case:
    """One set, in a folder of its own."""

    def __init__(self, folder, generation, vendor, ncpus, devices, *more):
        self.folder = folder
        self.name = f"{generation} {vendor} {ncpus} {devices or 'minimal'} {' '.join(more)}"
        self.generation = generation
        self.vendor = vendor
        self.ncpus = ncpus
        self.devices = devices
        self.more = more

    def fail(self, what, done):
        raise AssertionError(f"{self.name}: {what}: exit {done.returncode}: {done.stderr.strip()[:500]}")

    def path(self, name):
        return os.path.join(self.folder, name)

    def convert_back(self):
        make(self.path("in"), self.generation, self.vendor, self.ncpus, self.devices, *self.more)
        done = run("convert", "--from", "bhyve", self.path("in"), self.path("snapshot"))
        if done.returncode != 0:
            self.fail("from bhyve", done)
        done = run("check", "--level", "full", self.path("snapshot"))
        if done.returncode != 0:
            self.fail("check", done)
        done = run("convert", "--to", "bhyve", "--shape", SHAPE_OF[self.generation], self.path("snapshot"),
                   self.path("back"))
        if done.returncode != 0:
            self.fail("to bhyve", done)
        if digests(self.path("in")) != digests(self.path("back")):
            raise AssertionError(f"{self.name}: what came back is not what there was")
        remove(self.path("in"), self.path("back"))
        COUNTS.add("same")

    def convert_across(self, shape):
        there = self.path(f"as-{shape}")
        done = run("convert", "--to", "bhyve", "--shape", shape, self.path("snapshot"), there)
        if done.returncode not in (0, 3):
            if not done.stderr.startswith("snaptool: ") or len(done.stderr) < 40:
                self.fail(f"refused as {shape} without a reason", done)
            if any(os.path.exists(there + suffix) for suffix in SUFFIXES):
                raise AssertionError(f"{self.name}: a refusal has left files behind")
            COUNTS.add("refused")
            return
        if layout_of(there, "vmcx") != VMCX[shape][self.vendor]:
            raise AssertionError(f"{self.name}: what was written as {shape} is read as {layout_of(there, 'vmcx')}")
        again = self.path("again")
        done = run("convert", "--from", "bhyve", there, again)
        if done.returncode != 0:
            self.fail(f"from what was written as {shape}", done)
        done = run("convert", "--to", "bhyve", "--shape", shape, again, self.path("back"))
        if done.returncode != 0:
            self.fail(f"back to what was written as {shape}", done)
        if digests(there) != digests(self.path("back")):
            raise AssertionError(f"{self.name}: what was written as {shape} does not come back as it was")
        remove(there, again, self.path("back"))
        COUNTS.add("converted")


class ConversionTest(unittest.TestCase):
    def setUp(self):
        # Every set is written through to the disk, which is not what is tested here.
        in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        temporary = tempfile.TemporaryDirectory(dir=in_memory)
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name

    def at_once(self, work, items):
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            for _ in pool.map(work, items):
                pass

    def case(self, *arguments):
        folder = tempfile.mkdtemp(dir=self.folder)
        return Case(folder, *arguments)

    def test_every_generation_comes_back_and_goes_to_every_other(self):
        before = (COUNTS.same, COUNTS.converted + COUNTS.refused)

        def work(arguments):
            case = self.case(*arguments)
            case.convert_back()
            if arguments[2:] == (2, DEVICES["all"]) and arguments[0] != "A2":
                for shape in SHAPES:
                    if shape != SHAPE_OF[case.generation]:
                        case.convert_across(shape)
            remove(case.path("snapshot"))

        sets = [(g, v, n, d) for g in GENERATIONS for v in VENDORS for n in CPUS for d in DEVICES.values()]
        self.at_once(work, sets)
        self.assertEqual(COUNTS.same - before[0], len(sets))
        self.assertEqual(COUNTS.converted + COUNTS.refused - before[1],
                         4 * len(VENDORS) * (len(SHAPES) - 1))

    def test_pixels_come_back(self):
        for generation in ("A", "C"):
            self.case(generation, "intel", 1, WITH_PIXELS).convert_back()

    def test_memory_above_4_gib_comes_back_and_holes_stay_holes(self):
        case = self.case("C", "intel", 1, "blk,net", "--ram", "5G")
        case.convert_back()
        self.assertLess(os.stat(case.path("snapshot")).st_blocks * 512, 64 << 20)

    def test_generation_a_cannot_hold_a_queue_that_was_not_set_up(self):
        case = self.case("C", "intel", 2, "blk:rings=none")
        case.convert_back()
        done = run("convert", "--to", "bhyve", "--shape", "A", case.path("snapshot"), case.path("out"))
        self.assertIn("has not set up this queue", done.stderr)
        self.assertFalse(os.path.exists(case.path("out.kern")))

    def test_another_vendor_is_refused(self):
        case = self.case("C", "intel", 1, "")
        case.convert_back()
        done = run("convert", "--to", "bhyve", "--vendor", "amd", case.path("snapshot"), case.path("out"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Intel CPUs", done.stderr)

    def test_a_posted_interrupt_is_requested_where_there_is_no_descriptor_for_it(self):
        case = self.case("C", "intel", 2, "")
        make(case.path("in"), "C", "intel", 2, "")
        done = run("convert", "--from", "bhyve", case.path("in"), case.path("snapshot"))
        self.assertEqual(done.returncode, 0, done.stderr)
        done = run("convert", "--to", "bhyve", "--shape", "B", case.path("snapshot"), case.path("out"))
        self.assertIn(done.returncode, (0, 3), done.stderr)
        for cpu in range(2):
            posted = int.from_bytes(item_bytes(case.path("in"), "vmcx", f"vcpu[{cpu}].pir_desc.pir"), "little")
            self.assertNotEqual(posted, 0)
            before, after = (requested(item_bytes(case.path(base), "vlapic", f"vcpu[{cpu}].apic_page"))
                             for base in ("in", "out"))
            self.assertNotEqual(before, before | posted)
            self.assertEqual(after, before | posted)

    def test_repair_makes_the_empty_vmx_of_13_2_acceptable(self):
        case = self.case("B", "intel", 2, "blk")
        case.convert_back()
        done = run("convert", "--to", "bhyve", "--shape", "13.2", "--repair", case.path("snapshot"), case.path("out"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("repair  vmx", done.stdout)
        with open(case.path("out.meta"), encoding="utf-8") as file:
            sizes = {entry["debug_name"]: entry["size"] for entry in json.load(file)["structs"]}
        self.assertGreater(sizes["vmx"], 0)

    def test_repair_takes_the_addresses_of_the_host_out_of_amd_records(self):
        case = self.case("A", "amd", 2, "")
        case.convert_back()
        done = run("convert", "--to", "bhyve", "--shape", "13.0", "--repair", case.path("snapshot"), case.path("out"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("addresses in the memory of the host are 0", done.stdout)
        with open(case.path("out.meta"), encoding="utf-8") as file:
            vmx = next(e for e in json.load(file)["structs"] if e["debug_name"] == "vmx")
        with open(case.path("out.kern"), "rb") as file:
            file.seek(vmx["file_offset"])
            self.assertEqual(file.read(8), bytes(8))  # nptp

    def test_a_set_that_is_there_already_is_not_touched(self):
        case = self.case("C", "intel", 1, "")
        case.convert_back()
        with open(case.path("out.meta"), "w", encoding="utf-8") as file:
            file.write("mine")
        done = run("convert", "--to", "bhyve", case.path("snapshot"), case.path("out"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("exists already", done.stderr)
        self.assertFalse(os.path.exists(case.path("out")))

    def test_memory_of_another_size_is_refused(self):
        case = self.case("C", "intel", 1, "")
        make(case.path("in"), "C", "intel", 1, "")
        os.truncate(case.path("in"), 4096)
        done = run("convert", "--from", "bhyve", case.path("in"), case.path("snapshot"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("4096 bytes", done.stderr)
        self.assertFalse(os.path.exists(case.path("snapshot")))


def main():
    global SNAPTOOL, MAKE_SET
    SNAPTOOL, MAKE_SET = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    program = unittest.main(argv=[sys.argv[0], *sys.argv[3:]], exit=False)
    print(f"{COUNTS.same} sets came back byte for byte, {COUNTS.converted} were written for another generation, "
          f"{COUNTS.refused} were refused for one")
    sys.exit(not program.result.wasSuccessful())


if __name__ == "__main__":
    main()
