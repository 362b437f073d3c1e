#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# grow_corpus.sh TARGET [SECONDS]: looks for inputs that reach code which no file of the corpus of TARGET reaches
# (bhyve_meta, bhyve_layout or bhyve_set), for ten minutes unless told, under AddressSanitizer and
# UndefinedBehaviorSanitizer. New ones go to tests/fuzz/corpus/TARGET, and what others make superfluous goes away.
# What fails stays behind as build/fuzz/TARGET-crash-*. Needs clang with libFuzzer.
set -eu
target=$1
seconds=${2:-600}
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build/fuzz
corpus=$root/tests/fuzz/corpus/$target
if [ ! -f "$build/build.ninja" ]; then
  CC=clang CXX=clang++ meson setup "$build" "$root" -Db_sanitize=address,undefined -Doptimization=1 -Ddebug=true \
    -Dcpp_args="-fsanitize=fuzzer-no-link -fno-sanitize-recover=all -gline-tables-only"
fi
ninja -C "$build" "tests/fuzz/${target}_libfuzzer"
run=$build/tests/fuzz/${target}_libfuzzer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/seeds" "$work/found" "$work/merged" "$corpus"
case $target in
  bhyve_meta) cp "$root"/tests/unit/compat/bhyve/set/metas/*.meta "$work/seeds" ;;
  bhyve_layout)
    ninja -C "$build" tests/fuzz/bhyve_layout_make_seeds
    "$build/tests/fuzz/bhyve_layout_make_seeds" "$work/seeds"
    ;;
  bhyve_set) "$root/tests/fuzz/make_bhyve_set_seeds.py" "$work/seeds" ;;
esac
"$run" -max_total_time="$seconds" -max_len=200000 -rss_limit_mb=4096 -timeout=20 -print_final_stats=1 \
  -artifact_prefix="$build/$target-crash-" "$work/found" "$corpus" "$work/seeds"
"$run" -merge=1 -use_counters=0 -max_len=200000 -rss_limit_mb=4096 "$work/merged" "$corpus" "$work/seeds" "$work/found"
rm -f "$corpus"/*
cp "$work"/merged/* "$corpus"
ls "$corpus" | wc -l
