"""How a node of ``_prefix_nodes.pxd`` becomes another: it is spread out, changed, and made anew.

A draft has everything of a node in its plainest form. ``build`` finds the smallest form for it. So
no change needs to know of forms, and what was there before stays until the new node is in place:
what needs memory and gets none has changed nothing, and says so.
"""

from cpython.mem cimport PyMem_Malloc
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcpy, memmove, memset

from hypersocket._speedups._prefix_nodes cimport (
    ALIKE, FEW_ROOM, HAS_BLOCK, HAS_CHILDREN, KEYS_READ, LEAF_ROOM, LONG, PLAIN, SPARSE, Node,
    are_equal, child_at, count_of, is_plain, key_at, label_of, label_size_of, plain, plain_of, text_of,
)

cdef struct Draft:
    int32_t holding
    # The label: some bytes; a key that is between, or -1; more bytes.
    const uint8_t* head
    size_t head_size
    int between
    const uint8_t* tail
    size_t tail_size
    int count
    bint alike  # whether the first child stands for all
    uint8_t keys[256]  # in order
    Node children[256]


cdef inline void begin_draft(
    Draft* draft, const uint8_t* label, size_t label_size, int32_t holding
) noexcept:
    draft.holding = holding
    draft.head = label
    draft.head_size = label_size
    draft.between = -1
    draft.tail_size = 0
    draft.count = 0
    draft.alike = False


cdef inline void spread_out(Draft* draft, Node* node) noexcept:
    """Let a draft say what a node says; the label stays where it is."""
    cdef int index
    cdef int32_t* holdings
    begin_draft(draft, label_of(node), label_size_of(node), node.holding)
    draft.count = count_of(node)
    if draft.count == 0:
        return
    draft.alike = (node.form & ALIKE) != 0
    if node.form & SPARSE:
        memcpy(draft.keys, text_of(node), draft.count)
    else:
        for index in range(draft.count):
            draft.keys[index] = <uint8_t> (node.first + index)
    if node.form & PLAIN:
        holdings = plain_of(node)
        for index in range(1 if draft.alike else draft.count):
            draft.children[index] = plain(holdings[index])
    else:
        memcpy(
            draft.children, node.body.block, (1 if draft.alike else draft.count) * sizeof(Node)
        )


cdef inline void tell_apart(Draft* draft) noexcept:
    cdef int index
    if draft.alike:
        for index in range(1, draft.count):
            draft.children[index] = draft.children[0]
        draft.alike = False


cdef inline void add_child(Draft* draft, uint8_t key, const Node* child) noexcept:
    cdef int at = draft.count
    while at and draft.keys[at - 1] > key:
        at -= 1
    memmove(draft.keys + at + 1, draft.keys + at, draft.count - at)
    draft.keys[at] = key
    if not draft.alike or not are_equal(child, &draft.children[0]):
        tell_apart(draft)
        memmove(
            draft.children + at + 1, draft.children + at, (draft.count - at) * sizeof(Node)
        )
        draft.children[at] = child[0]
    draft.count += 1


cdef inline void remove_child(Draft* draft, int index) noexcept:
    cdef int after = draft.count - index - 1
    memmove(draft.keys + index, draft.keys + index + 1, after)
    if not draft.alike:
        memmove(
            draft.children + index, draft.children + index + 1, after * sizeof(Node)
        )
    draft.count -= 1


cdef inline void join(Draft* draft, Node* child) noexcept:
    """Make one of a draft and its only child, of which ``child`` becomes a copy."""
    cdef const uint8_t* head = draft.head
    cdef size_t head_size = draft.head_size
    cdef uint8_t key = draft.keys[0]
    child[0] = draft.children[0]
    spread_out(draft, child)
    draft.tail = draft.head
    draft.tail_size = draft.head_size
    draft.between = key
    draft.head = head
    draft.head_size = head_size


cdef inline bint all_equal(const Node* children, int count) noexcept:
    """Whether several children are the same, and so can be kept as one."""
    cdef int index
    if children[0].form & HAS_BLOCK:
        return False
    for index in range(count - 1, 0, -1):  # the last are the ones to change
        if not are_equal(&children[index], &children[0]):
            return False
    return True


cdef inline uint8_t form_of(Draft* draft) noexcept:
    """The form of a draft's children."""
    cdef int index
    cdef uint8_t form = HAS_CHILDREN | PLAIN
    if draft.count == 0:
        return 0
    for index in range(1 if draft.alike else draft.count):
        if not is_plain(&draft.children[index]):
            form = HAS_CHILDREN
            break
    if draft.alike or ((draft.count > 1 or form & PLAIN) and all_equal(draft.children, draft.count)):
        form |= ALIKE
    if draft.keys[draft.count - 1] - draft.keys[0] != draft.count - 1:
        form |= SPARSE
    return form


cdef inline void write_text(Draft* draft, uint8_t form, uint8_t* text) noexcept:
    if form & SPARSE:
        memcpy(text, draft.keys, draft.count)
        text += draft.count
    memcpy(text, draft.head, draft.head_size)
    text += draft.head_size
    if draft.between >= 0:
        text[0] = <uint8_t> draft.between
        memcpy(text + 1, draft.tail, draft.tail_size)


cdef inline bint write_block(Draft* draft, Node* node, size_t text_size, size_t label_size) noexcept:
    cdef int index, kept = 0
    cdef size_t before
    cdef uint8_t* block
    if draft.count:
        kept = 1 if node.form & ALIKE else draft.count
    before = kept * (sizeof(int32_t) if node.form & PLAIN else sizeof(Node))
    if label_size >= LONG:
        before += sizeof(uint32_t)
    block = <uint8_t*> PyMem_Malloc(
        before + (KEYS_READ if node.form & SPARSE and text_size < KEYS_READ else text_size)
    )
    if block == NULL:
        return False
    if node.form & PLAIN:
        for index in range(kept):
            (<int32_t*> block)[index] = draft.children[index].holding
    else:
        memcpy(block, draft.children, kept * sizeof(Node))
    if label_size >= LONG:
        (<uint32_t*> (block + before))[-1] = <uint32_t> label_size
    write_text(draft, node.form, block + before)
    node.form |= HAS_BLOCK
    node.body.block = block
    return True


cdef inline bint build(Draft* draft, Node* node) noexcept:
    """Make the node that a draft stands for, of which nothing is freed; or say that it cannot be."""
    cdef size_t label_size = draft.head_size, text_size
    if draft.between >= 0:
        label_size += 1 + draft.tail_size
    memset(node, 0, sizeof(Node))
    node.holding = draft.holding
    node.form = form_of(draft)
    node.label_size = <uint8_t> (label_size if label_size < LONG else LONG)
    text_size = label_size + (draft.count if node.form & SPARSE else 0)
    if draft.count:
        node.first = 0 if node.form & SPARSE else draft.keys[0]
        node.last = <uint8_t> (node.first + draft.count - 1)
    elif text_size <= LEAF_ROOM:
        write_text(draft, 0, &node.first)
        return True
    if node.form & PLAIN and node.form & ALIKE and text_size <= FEW_ROOM:
        node.body.few.below = draft.children[0].holding
        write_text(draft, node.form, node.body.few.text)
        return True
    return write_block(draft, node, text_size, label_size)


cdef inline bint build_end(
    const uint8_t* label, size_t label_size, int32_t holding, Draft* draft, Node* node
) noexcept:
    """Make what stands for the end of a prefix."""
    begin_draft(draft, label, label_size, holding)
    return build(draft, node)
