#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# run_corpus.sh TARGET CORPUS: runs a fuzz target on every file of its corpus and on mutations of each. More of
# them: VMSNAP_FUZZ_MUTATIONS=100000; for longer than 20 s: VMSNAP_FUZZ_SECONDS=600.
set -eu
exec "$1" --mutations "${VMSNAP_FUZZ_MUTATIONS:-2000}" --seconds "${VMSNAP_FUZZ_SECONDS:-20}" "$2"/*
