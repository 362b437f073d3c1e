#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# reflect_fuzz.sh MAKE_SEEDS TARGET SUFFIX...: runs a fuzz target on fresh seeds. More mutations of each seed:
# VMSNAP_FUZZ_MUTATIONS=100000; for longer than 20 s: VMSNAP_FUZZ_SECONDS=3600.
set -eu
make_seeds=$1
target=$2
shift 2
seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
"$make_seeds" "$seeds"
files=
for suffix in "$@"; do files="$files $seeds/*.$suffix"; done
# shellcheck disable=SC2086
"$target" --mutations "${VMSNAP_FUZZ_MUTATIONS:-2000}" --seconds "${VMSNAP_FUZZ_SECONDS:-20}" $files
