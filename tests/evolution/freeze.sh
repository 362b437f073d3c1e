#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Stores the compiled schema of released chunk versions as schema/<type>/frozen/v<major>.<minor>.bfbs, which is
# never edited again (docs/versioning.md). A version that is frozen already is left alone when its schema is
# still the same, and refused when it is not: then chunk_version must be raised first.
set -euo pipefail

usage() {
  echo 'usage: tests/evolution/freeze.sh [--schema DIR] [TYPE...]     (no TYPE: every type that has a schema)'
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../schema" && pwd)
types=()
while [ $# -gt 0 ]; do
  case $1 in
    --schema)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      root=$(cd "$2" && pwd)
      shift 2
      ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) types+=("$1"); shift ;;
  esac
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
done_count=0

freeze() {
  local folder=$1 type source version target
  type=$(basename "$folder")
  source=$folder/$type.fbs
  version=$(sed -nE 's/^table .*chunk_version: "([0-9]+\.[0-9]+)".*/\1/p' "$source")
  if [ "$(wc -w <<<"$version")" != 1 ]; then
    echo "freeze.sh: $source: exactly one table must have chunk_version: \"major.minor\"" >&2
    return 1
  fi
  # A relative name, as the build passes it: flatc orders the list of files by their names as given, and the
  # stored bytes shall be those that are embedded.
  (cd "$root" && ${FLATC:-flatc} --schema -b --require-explicit-ids --bfbs-comments --bfbs-builtins \
    --bfbs-filenames "$root" -I "$root" -o "$work" ".${source#"$root"}")
  target=$folder/frozen/v$version.bfbs
  if [ -e "$target" ]; then
    if cmp -s "$work/$type.bfbs" "$target"; then
      echo "$type $version: frozen already"
      return 0
    fi
    echo "freeze.sh: $type $version is frozen and its schema has changed since; raise chunk_version in $source" >&2
    return 1
  fi
  mkdir -p "$folder/frozen"
  mv "$work/$type.bfbs" "$target"
  chmod 0444 "$target"
  echo "$type $version: frozen now"
}

for folder in "$root"/*/ "$root"/container/*/; do
  folder=${folder%/}
  type=$(basename "$folder")
  [ -f "$folder/$type.fbs" ] || continue
  if [ ${#types[@]} -gt 0 ] && [[ " ${types[*]} " != *" $type "* ]]; then continue; fi
  freeze "$folder" || failed=1
  done_count=$((done_count + 1))
done
if [ "$done_count" = 0 ] || { [ ${#types[@]} -gt 0 ] && [ "$done_count" -lt ${#types[@]} ]; }; then
  echo "freeze.sh: not every type that was named has a folder in $root" >&2
  exit 1
fi
exit "$failed"
