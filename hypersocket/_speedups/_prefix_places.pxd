"""Where in a tree of ``_prefix_nodes.pxd`` a prefix is, and what comes to be there.

A node that is one of several alike has no place of its own: before it changes, its parent is made
anew with a child for each key. That parent may be one of several alike itself; but the next above
has a block then, and is alone. So a change concerns a node and three above it at most.
"""

from libc.stdint cimport int32_t, uint8_t

from hypersocket._speedups._prefix_drafts cimport (
    Draft, add_child, all_equal, begin_draft, build, build_end, join, remove_child, spread_out,
    tell_apart,
)
from hypersocket._speedups._prefix_nodes cimport (
    ALIKE, HAS_CHILDREN, NOBODY, PLAIN, Node, child_at, count_of, index_of, is_plain, label_of,
    label_size_of, plain, plain_of, release,
)

ctypedef enum Way:  # where looking for a prefix ended
    AT_IT  # at the node that stands for it
    AT_NOTHING  # in an empty tree
    AT_NODE  # at a node that stands for its beginning
    IN_LABEL  # within a node's label

cdef enum:
    LEVELS = 4

cdef struct Place:
    Way way
    Node* nodes[4]  # where it ended, that one's parent, and so on; NULL above the root
    int index[4]  # which of its parent's children each is
    Py_ssize_t at  # bytes on the way to the label
    Py_ssize_t shared  # bytes of the label that are the same
    Node spare  # for a plain node


cdef inline bint is_empty(const Node* root) noexcept:
    return root.holding == NOBODY and not root.form & HAS_CHILDREN


cdef inline void go_down(Place* place, Node* node, int index) noexcept:
    cdef int level
    for level in range(LEVELS - 1, 0, -1):
        place.nodes[level] = place.nodes[level - 1]
        place.index[level] = place.index[level - 1]
    place.nodes[0] = node
    place.index[0] = index


cdef inline void find_place(
    Node* root, const uint8_t* data, Py_ssize_t size, Place* place
) noexcept:
    """Where a prefix is, or would be put."""
    cdef Node* node = root
    cdef int index, level
    cdef Py_ssize_t at = 0, shared = 0, label_size
    cdef const uint8_t* label
    for level in range(LEVELS):
        place.nodes[level] = NULL
        place.index[level] = 0
    place.nodes[0] = root
    if is_empty(root):
        place.way = AT_NOTHING
        return
    while True:
        shared = 0
        if node.label_size:
            label = label_of(node)
            label_size = label_size_of(node)
            while shared < label_size and at + shared < size and data[at + shared] == label[shared]:
                shared += 1
            if shared < label_size:
                place.way = IN_LABEL
                break
        if at + shared == size:
            place.way = AT_IT
            break
        index = index_of(node, data[at + shared])
        if index < 0:
            place.way = AT_NODE
            break
        at += shared + 1
        node = child_at(node, index, &place.spare)
        go_down(place, node, index)
    place.at = at
    place.shared = shared


cdef inline int32_t holding_at(Place* place) noexcept:
    return place.nodes[0].holding if place.way == AT_IT else NOBODY


cdef inline bint settle(Node* node) noexcept:
    """Keep the children of a node as one if they are all the same; whether that was done."""
    cdef Draft draft
    cdef Node settled
    cdef int index
    cdef int32_t* holdings
    if node.form & ALIKE or not node.form & HAS_CHILDREN:
        return False
    if node.form & PLAIN:
        holdings = plain_of(node)
        for index in range(count_of(node) - 1, 0, -1):
            if holdings[index] != holdings[0]:
                return False
    elif count_of(node) == 1 or not all_equal(<Node*> node.body.block, count_of(node)):
        return False
    spread_out(&draft, node)
    if not build(&draft, &settled):
        return False  # it stays as it is
    release(node)
    node[0] = settled
    return True


cdef inline bint replace(Place* place, int level, const Node* node) noexcept:
    """Let a node be where another was, whose block is not freed; False without memory for it."""
    cdef Draft draft
    cdef Node wider, before
    cdef Node* parent = place.nodes[level + 1]
    cdef int index = place.index[level]
    if parent == NULL:
        place.nodes[level][0] = node[0]
        return True
    if not parent.form & ALIKE and (not parent.form & PLAIN or is_plain(node)):
        if parent.form & PLAIN:
            plain_of(parent)[index] = node.holding
        else:
            (<Node*> parent.body.block)[index] = node[0]
        level += 1
        while level < LEVELS and place.nodes[level] != NULL and settle(place.nodes[level]):
            level += 1
        return True
    before = parent[0]
    spread_out(&draft, parent)
    tell_apart(&draft)
    draft.children[index] = node[0]
    if not build(&draft, &wider):
        return False
    if not replace(place, level + 1, &wider):
        release(&wider)
        return False
    release(&before)
    return True


cdef inline bint put_below(
    Place* place, const uint8_t* data, Py_ssize_t size, int32_t holding
) noexcept:
    """Put the end of a prefix below the node that stands for its beginning."""
    cdef Draft draft
    cdef Node end, grown, before = place.nodes[0][0]
    cdef Py_ssize_t at = place.at + place.shared
    if not build_end(data + at + 1, size - at - 1, holding, &draft, &end):
        return False
    spread_out(&draft, &before)
    add_child(&draft, data[at], &end)
    if build(&draft, &grown):
        if replace(place, 0, &grown):
            release(&before)
            return True
        release(&grown)
    release(&end)
    return False


cdef inline bint put_between(
    Place* place, const uint8_t* data, Py_ssize_t size, int32_t holding
) noexcept:
    """Put the end of a prefix into a label, of which the rest goes on below."""
    cdef Draft draft
    cdef Node upper, lower, before = place.nodes[0][0], end = plain(NOBODY)
    cdef Py_ssize_t at = place.at + place.shared
    cdef const uint8_t* label = label_of(&before)
    spread_out(&draft, &before)
    draft.head += place.shared + 1
    draft.head_size -= place.shared + 1
    if not build(&draft, &lower):
        return False
    if at == size or build_end(data + at + 1, size - at - 1, holding, &draft, &end):
        begin_draft(&draft, label, place.shared, holding if at == size else NOBODY)
        add_child(&draft, label[place.shared], &lower)
        if at < size:
            add_child(&draft, data[at], &end)
        if build(&draft, &upper):
            if replace(place, 0, &upper):
                release(&before)
                return True
            release(&upper)
        release(&end)
    release(&lower)
    return False


cdef inline bint put(
    Place* place, const uint8_t* data, Py_ssize_t size, int32_t holding
) noexcept:
    """Let a holding be at a place, which is to be looked for anew afterwards."""
    cdef Draft draft
    cdef Node node
    if place.way == AT_IT:
        node = place.nodes[0][0]
        node.holding = holding
        return replace(place, 0, &node)
    if place.way == AT_NODE:
        return put_below(place, data, size, holding)
    if place.way == IN_LABEL:
        return put_between(place, data, size, holding)
    if not build_end(data, size, holding, &draft, &node):
        return False
    place.nodes[0][0] = node
    return True


cdef inline bint take_leaf(Place* place) noexcept:
    """Take out a node without children."""
    cdef Draft draft
    cdef Node left, leaf = place.nodes[0][0], parent, child = plain(NOBODY)
    if place.nodes[1] == NULL:
        place.nodes[0][0] = plain(NOBODY)
        release(&leaf)
        return True
    parent = place.nodes[1][0]
    spread_out(&draft, &parent)
    remove_child(&draft, place.index[0])
    if draft.count == 1 and draft.holding == NOBODY:
        join(&draft, &child)
    if not build(&draft, &left):
        return False
    if not replace(place, 1, &left):
        release(&left)
        return False
    release(&leaf)
    release(&parent)
    release(&child)
    return True


cdef inline bint take_out(Place* place) noexcept:
    """Let nobody be at a place that is found, and what is there for its sake go."""
    cdef Draft draft
    cdef Node node = place.nodes[0][0], joined, child
    if not node.form & HAS_CHILDREN:
        return take_leaf(place)
    if count_of(&node) > 1:
        node.holding = NOBODY
        return replace(place, 0, &node)
    spread_out(&draft, &node)
    join(&draft, &child)
    if not build(&draft, &joined):
        return False
    if not replace(place, 0, &joined):
        release(&joined)
        return False
    release(&node)
    release(&child)
    return True
