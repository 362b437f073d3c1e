#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# link_layers.sh VIEW SOURCE LAYER...: makes the directory VIEW hold one link per LAYER of SOURCE.
set -eu
view=$1
source=$2
shift 2
mkdir -p "$view"
find "$view" -mindepth 1 -maxdepth 1 -type l -delete
for layer in "$@"; do
  ln -s "$source/$layer" "$view/$layer"
done
