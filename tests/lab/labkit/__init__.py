# SPDX-License-Identifier: BSD-2-Clause
"""The lab: a small virtual host with working KVM, and the guest that is run in it."""


class LabError(Exception):
    """One sentence for a person: what is wrong, where, and what to do."""
