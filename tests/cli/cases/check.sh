# SPDX-License-Identifier: BSD-2-Clause
check() {
  echo "\$ snaptool check $*"
  snaptool check "$@"
  echo "exit $?"
}
check sample.vmsnap
check --level meta sample.vmsnap
check --level header sample.vmsnap
check --json sample.vmsnap
chmod 0644 sample.vmsnap
check sample.vmsnap
check --json sample.vmsnap
