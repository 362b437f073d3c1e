# SPDX-License-Identifier: BSD-2-Clause
# Output that is lost is an error.
snaptool show sample.vmsnap >/dev/full
echo "exit $?"
snaptool show --json sample.vmsnap >/dev/full
echo "exit $?"
snaptool info sample.vmsnap >/dev/full
echo "exit $?"
# A reader that has seen enough is not.
snaptool show --json sample.vmsnap | head -n 1
# Every document is JSON.
for command in info ls show check; do
  snaptool $command --json sample.vmsnap | /usr/bin/python3 -m json.tool >/dev/null && echo "$command prints JSON"
done
# The file is only read.
chmod 0400 sample.vmsnap
before=$(cksum sample.vmsnap)
for command in info ls show check; do
  snaptool $command sample.vmsnap >/dev/null
done
[ "$before" = "$(cksum sample.vmsnap)" ] && echo unchanged
