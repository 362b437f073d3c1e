# SPDX-License-Identifier: BSD-2-Clause
"""An independent reader of vmsnap files.

Nothing here shares code with the library: it follows docs/format.md (and, for restoring readers, the tables of
docs/registry.md), so that a disagreement between the two shows a fault of the text or of one of the readers.

    errors       the kinds of refusal
    source       bytes of a file, holes included
    hashes       section 3
    framing      sections 4, 5 and 10: headers and footer
    flatbuffer   section 7
    metas        section 8, the content of the container's metas
    lz4          the blocks of section 9.2
    memory       section 9: the logical view of a segment, its leaves and the memory digest
    walk         section 11.3
    snapshot     sections 6, 8 and 11.2: the steps of opening
    schema       section 14
    show         values of a meta by its embedded schema
    registry     numbers and names of docs/registry.md
    report, cli  what the program prints
"""
