"""What the tree of ``_prefix_tree.pyx`` is made of: nodes in memory of their own.

An adaptive radix tree, of which one level is one block of memory: a few bytes of head, then the
key bytes of the children, the label, and the children themselves, each exactly as many as there
are. What a node stands for is its parent's bytes, the key under which it is there, and its label.

A reference is 0 for nothing, odd for a leaf, and otherwise a node's address. A leaf is a number
and no more: most prefixes end where their last byte tells them from others. And most are held by
the same few: children that are all the same leaf are *alike*, and kept as one. So a prefix often
needs nothing but its last byte, and a node with all the leaves that hang on it fits into half a
line of the processor's cache.

Nothing in here calls Python, so that nobody can change a tree while it is being looked at. What
needs memory and gets none has changed nothing, and says so.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport UINT32_MAX, int32_t, uint8_t, uint16_t, uint32_t, uintptr_t
from libc.string cimport memcpy, memmove

cdef extern from *:
    """
    #include <string.h>
    #if defined(__SSE2__) && defined(__GNUC__)
    #include <emmintrin.h>
    #endif

    /* Where among the keys one is, -1 if nowhere. There is memory behind fewer than 16. */
    static CYTHON_INLINE int hs_find_key(const unsigned char *keys, int count, unsigned char key) {
        const unsigned char *found;
    #if defined(__SSE2__) && defined(__GNUC__)
        if (count <= 16) {
            __m128i same = _mm_cmpeq_epi8(
                _mm_loadu_si128((const __m128i *) keys), _mm_set1_epi8((char) key));
            unsigned mask = (unsigned) _mm_movemask_epi8(same) & ((1u << count) - 1);
            return mask ? __builtin_ctz(mask) : -1;
        }
    #endif
        found = (const unsigned char *) memchr(keys, key, (size_t) count);
        return found ? (int) (found - keys) : -1;
    }
    """
    int find_key "hs_find_key"(const uint8_t*, int, uint8_t) noexcept

ctypedef uintptr_t Ref

cdef struct Node:
    uint32_t label_size
    int32_t holding  # a number, or NOBODY
    uint16_t count  # of keys
    uint8_t alike  # whether there is one child for all of them, a leaf
    # Then: keys, label, a gap up to the next multiple of a reference's size, children.

cdef enum:
    NOBODY = -1
    HEAD = 11  # the bytes of a node before its keys
    LEAST = 32  # bytes of a node with children, so that 16 keys can be read of any

ctypedef enum Way:  # where looking for a prefix ended
    AT_IT  # at what stands for it
    AT_NOTHING  # in an empty tree
    AT_LEAF  # at a leaf that stands for its beginning
    AT_NODE  # at a node that stands for its beginning
    IN_LABEL  # within a label

cdef struct Place:
    Way way
    Ref* slot  # where the last reference on the way is kept; for all that are alike it is the same
    Ref* parent  # where that to its parent is; NULL for the root
    int number  # among the parent's children
    Py_ssize_t at  # bytes on the way to the label
    Py_ssize_t shared  # bytes of the label that are the same


cdef inline Ref leaf(int32_t holding) noexcept:
    return (<Ref> holding << 1) | 1


cdef inline int32_t holding_of(Ref ref) noexcept:
    return <int32_t> (ref >> 1) if ref & 1 else (<Node*> ref).holding if ref else NOBODY


cdef inline uint8_t* keys_of(Node* node) noexcept:
    return <uint8_t*> node + HEAD


cdef inline uint8_t* label_of(Node* node) noexcept:
    return keys_of(node) + node.count


cdef inline size_t before_children(size_t count, size_t label_size) noexcept:
    return (HEAD + count + label_size + sizeof(Ref) - 1) & ~(sizeof(Ref) - 1)


cdef inline Ref* children_of(Node* node) noexcept:
    return <Ref*> (<uint8_t*> node + before_children(node.count, node.label_size))


cdef inline size_t count_children(Node* node) noexcept:
    return 1 if node.alike else node.count


cdef inline Ref* child_at(Node* node, int number) noexcept:
    return children_of(node) + (0 if node.alike else number)


cdef inline size_t size_of(size_t count, size_t label_size, size_t children) noexcept:
    cdef size_t size = before_children(count, label_size) + children * sizeof(Ref)
    return LEAST if count and size < LEAST else size


cdef inline bint starts_with(
    const uint8_t* data, Py_ssize_t size, const uint8_t* label, Py_ssize_t label_size
) noexcept:
    cdef Py_ssize_t at
    if size < label_size:
        return False
    for at in range(label_size):
        if data[at] != label[at]:
            return False
    return True


cdef inline Node* make(
    uint16_t count, const uint8_t* label, size_t label_size, int32_t holding
) noexcept:
    """A node, of which keys and children are to be filled in; NULL if there is no memory."""
    cdef Node* node = <Node*> PyMem_Malloc(size_of(count, label_size, count))
    if node != NULL:
        node.label_size = <uint32_t> label_size
        node.holding = holding
        node.count = count
        node.alike = False
        memcpy(label_of(node), label, label_size)
    return node


cdef inline Ref make_end(const uint8_t* label, size_t label_size, int32_t holding) noexcept:
    """What stands for the end of a prefix; 0 if there is no memory."""
    return <Ref> make(0, label, label_size, holding) if label_size else leaf(holding)


cdef inline void free_ref(Ref ref) noexcept:
    if ref and not ref & 1:
        PyMem_Free(<void*> ref)


cdef inline void fit(Ref* slot) noexcept:
    """Give back what a node that became smaller does not need; one child less, or a label."""
    cdef Node* node = <Node*> slot[0]
    cdef void* smaller
    if node.count == 0 and node.label_size == 0:
        slot[0] = leaf(node.holding)
        PyMem_Free(node)
        return
    smaller = PyMem_Realloc(node, size_of(node.count, node.label_size, count_children(node)))
    if smaller != NULL:  # else it stays where it is
        slot[0] = <Ref> smaller


cdef inline void find_alike(Ref* slot) noexcept:
    """Keep the children of a node as one if they are all the same leaf."""
    cdef Node* node = <Node*> slot[0]
    cdef Ref* children = children_of(node)
    cdef size_t number
    if node.alike or not node.count or not children[0] & 1:
        return
    for number in range(node.count - 1, 0, -1):  # the last are the ones to change
        if children[number] != children[0]:
            return
    node.alike = True
    fit(slot)


cdef inline bint tell_apart(Ref* slot) noexcept:
    """Keep each of the children of a node by itself."""
    cdef Node* node = <Node*> slot[0]
    cdef size_t number
    if not node.alike:
        return True
    node = <Node*> PyMem_Realloc(node, size_of(node.count, node.label_size, node.count))
    if node == NULL:
        return False
    slot[0] = <Ref> node
    node.alike = False
    for number in range(1, node.count):
        children_of(node)[number] = children_of(node)[0]
    return True


cdef inline bint add_child(Ref* slot, uint8_t key, Ref child) noexcept:
    cdef Node* node = <Node*> slot[0]
    cdef size_t count = node.count, size = node.label_size, children
    if node.alike and child != children_of(node)[0] and not tell_apart(slot):
        return False
    node = <Node*> slot[0]
    children = count_children(node)
    node = <Node*> PyMem_Realloc(
        node, size_of(count + 1, size, children if node.alike else children + 1)
    )
    if node == NULL:
        return False
    slot[0] = <Ref> node
    memmove(
        <uint8_t*> node + before_children(count + 1, size), children_of(node),
        children * sizeof(Ref),
    )
    memmove(label_of(node) + 1, label_of(node), size)
    node.count += 1
    if not count:
        node.alike = child & 1
    keys_of(node)[count] = key
    child_at(node, <int> count)[0] = child
    return True


cdef inline void remove_child(Ref* slot, size_t number) noexcept:
    cdef Node* node = <Node*> slot[0]
    cdef Ref* before = children_of(node)
    cdef Ref* after
    cdef uint8_t* keys = keys_of(node)
    cdef size_t rest = node.count - number - 1
    memmove(keys + number, keys + number + 1, rest + node.label_size)  # the label follows the keys
    node.count -= 1
    after = children_of(node)
    if node.alike:
        memmove(after, before, sizeof(Ref))
        node.alike = node.count > 0
        return
    memmove(after, before, number * sizeof(Ref))
    memmove(after + number, before + number + 1, rest * sizeof(Ref))


cdef inline void cut_label(Ref* slot, size_t size) noexcept:
    """Take so many bytes from the beginning of a label."""
    cdef Node* node = <Node*> slot[0]
    cdef Ref* before = children_of(node)
    cdef uint8_t* label = label_of(node)
    node.label_size -= <uint32_t> size
    memmove(label, label + size, node.label_size)
    memmove(children_of(node), before, count_children(node) * sizeof(Ref))
    fit(slot)


cdef inline void join(Ref* slot) noexcept:
    """Make one of a node and its only child; without memory for that, let it be."""
    cdef Node* node = <Node*> slot[0]
    cdef Ref child = children_of(node)[0]
    cdef size_t size = node.label_size + 1, children
    cdef uint8_t key = keys_of(node)[0]
    cdef Node* joined
    cdef uint8_t* label
    if child & 1:
        memmove(keys_of(node), label_of(node), size - 1)
        keys_of(node)[size - 1] = key
        node.count = 0
        node.alike = False
        node.label_size = <uint32_t> size
        node.holding = holding_of(child)
        fit(slot)
        return
    joined = <Node*> child
    children = count_children(joined)
    joined = <Node*> PyMem_Realloc(
        joined, size_of(joined.count, joined.label_size + size, children)
    )
    if joined == NULL:
        return
    memmove(
        <uint8_t*> joined + before_children(joined.count, joined.label_size + size),
        children_of(joined), children * sizeof(Ref),
    )
    label = label_of(joined)
    memmove(label + size, label, joined.label_size)
    memcpy(label, label_of(node), size - 1)
    label[size - 1] = key
    joined.label_size += <uint32_t> size
    slot[0] = <Ref> joined
    PyMem_Free(node)


cdef inline void find_place(
    Ref* root, const uint8_t* data, Py_ssize_t size, Place* place
) noexcept:
    """Where a prefix is, or would be put."""
    cdef Ref* slot = root
    cdef Ref* parent = NULL
    cdef Node* node
    cdef int number = 0
    cdef Py_ssize_t at = 0, shared = 0
    cdef const uint8_t* label
    cdef Way way
    while True:
        if slot[0] == 0:
            way = AT_NOTHING
            break
        if slot[0] & 1:
            way = AT_IT if at == size else AT_LEAF
            break
        node = <Node*> slot[0]
        label = label_of(node)
        shared = 0
        while shared < node.label_size and at + shared < size and data[at + shared] == label[shared]:
            shared += 1
        if shared < node.label_size:
            way = IN_LABEL
            break
        if at + shared == size:
            way = AT_IT
            break
        number = find_key(keys_of(node), node.count, data[at + shared]) if node.count else -1
        if number < 0:
            way = AT_NODE
            break
        parent = slot
        slot = child_at(node, number)
        at += shared + 1
        shared = 0
    place.way = way
    place.slot = slot
    place.parent = parent
    place.number = number
    place.at = at
    place.shared = shared


cdef inline int32_t holding_at(Place* place) noexcept:
    return holding_of(place.slot[0]) if place.way == AT_IT else NOBODY


cdef inline bint put(
    Place* place, const uint8_t* data, Py_ssize_t size, int32_t holding
) noexcept:
    """Let a holding be at a place, which is to be looked for anew afterwards."""
    cdef Ref* slot = place.slot
    cdef Py_ssize_t at = place.at + place.shared
    cdef Node* node
    cdef Ref end = 0
    if slot[0] & 1 and place.parent != NULL:  # it is about to differ from its siblings
        if not tell_apart(place.parent):
            return False
        slot = child_at(<Node*> place.parent[0], place.number)
    if place.way == AT_IT:
        if not slot[0] & 1:
            (<Node*> slot[0]).holding = holding
            return True
        slot[0] = leaf(holding)
        if place.parent != NULL:
            find_alike(place.parent)
        return True
    if place.way == AT_NOTHING:
        slot[0] = make_end(data, size, holding)
        return slot[0] != 0
    if at < size:  # else it ends within a label
        end = make_end(data + at + 1, size - at - 1, holding)
        if not end:
            return False
    if place.way == AT_NODE:
        if not add_child(slot, data[at], end):
            free_ref(end)
            return False
        return True
    # A node between: with what is there already below it, and what is new.
    if place.way == AT_LEAF:
        node = make(1, data, 0, holding_of(slot[0]))
    else:
        node = <Node*> slot[0]
        node = make(
            2 if end else 1, label_of(node), place.shared, NOBODY if end else holding
        )
    if node == NULL:
        free_ref(end)
        return False
    if end:
        keys_of(node)[node.count - 1] = data[at]
        children_of(node)[node.count - 1] = end
    if place.way == IN_LABEL:
        keys_of(node)[0] = label_of(<Node*> slot[0])[place.shared]
        children_of(node)[0] = slot[0]
        cut_label(children_of(node), place.shared + 1)
    slot[0] = <Ref> node
    find_alike(slot)
    return True


cdef inline void take_out(Ref* root, const uint8_t* data, Place* place) noexcept:
    """Let nobody be at a place that is found, and what is there for its sake go."""
    cdef Node* node
    if not place.slot[0] & 1:
        node = <Node*> place.slot[0]
        if node.count:
            node.holding = NOBODY
            if node.count == 1:
                join(place.slot)
            return
    while True:
        free_ref(place.slot[0])
        if place.parent == NULL:
            place.slot[0] = 0
            return
        remove_child(place.parent, place.number)
        node = <Node*> place.parent[0]
        if node.count == 1 and node.holding == NOBODY:
            join(place.parent)
            return
        if node.count or node.holding != NOBODY:
            fit(place.parent)
            if not place.parent[0] & 1:
                find_alike(place.parent)
            return
        # It would have been joined with its only child, had there been memory.
        find_place(root, data, place.at - 1, place)


cdef inline void free_all(Ref root) noexcept:
    """Free a tree of any depth in no more memory than it has."""
    cdef Node* node = <Node*> root
    cdef Node* above = NULL
    cdef Node* next
    cdef Ref* children
    if root == 0 or root & 1:
        return
    node.holding = 0 if node.alike else node.count
    while True:
        # `holding` is how many children are left. The way back stands in the place of the one
        # that is being freed.
        children = children_of(node)
        while node.holding and children[node.holding - 1] & 1:
            node.holding -= 1
        if node.holding:
            next = <Node*> children[node.holding - 1]
            children[node.holding - 1] = <Ref> above
            above = node
            node = next
            node.holding = 0 if node.alike else node.count
            continue
        PyMem_Free(node)
        if above == NULL:
            return
        node = above
        node.holding -= 1
        above = <Node*> children_of(node)[node.holding]
