#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# conform.sh FLATC SCHEMA_ROOT CURRENT: the first gate of schema evolution, flatc's own. Each frozen schema of a
# type's current major is compared with CURRENT/<type>.bfbs.
set -euo pipefail
flatc=$1 root=$2 current=$3
failed=0
pairs=0
for folder in "$root"/*/ "$root"/container/*/; do
  folder=${folder%/}
  type=$(basename "$folder")
  [ -f "$folder/$type.fbs" ] || continue
  major=$(sed -nE 's/^table .*chunk_version: "([0-9]+)\.[0-9]+".*/\1/p' "$folder/$type.fbs")
  found=0
  for frozen in "$folder/frozen/v$major."*.bfbs; do
    [ -e "$frozen" ] || continue
    found=1
    pairs=$((pairs + 1))
    if ! words=$("$flatc" --conform "$frozen" "$current/$type.bfbs" 2>&1); then
      echo "$type: does not conform to $(basename "$frozen"): $words"
      failed=1
    fi
  done
  if [ "$found" = 0 ]; then
    echo "$type: has no frozen schema of major $major; run tests/evolution/freeze.sh"
    failed=1
  fi
done
echo "$pairs pairs of schemas were compared"
[ "$pairs" -gt 0 ] || failed=1
exit "$failed"
