# SPDX-License-Identifier: BSD-2-Clause
try() {
  echo "\$ snaptool $*"
  snaptool "$@" 2>&1
  echo "exit $?"
}
try
try frobnicate
try info
try info --frobnicate sample.vmsnap
try info absent.vmsnap
try info .
try info -
try check --level deep sample.vmsnap
try show --docs --json sample.vmsnap
mkfifo pipe
try ls pipe
try --help
try info --help
try ls --help
try show --help
try check --help
