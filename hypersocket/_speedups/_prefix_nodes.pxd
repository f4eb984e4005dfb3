"""What the tree of ``_prefix_tree.pyx`` is made of: nodes of 16 bytes each.

A radix tree, of which each node has a label, the bytes between its parent's key and itself. A node
does not point to its children: it points to one block of memory in which they are, side by side.
What a node stands for is its parent's bytes, the key under which it is there, and its label.

The less there is to say, the less is written:

- Keys that follow one another are a first and a last. Others are *sparse*, and are written out.
- Most prefixes end where their last byte tells them from others. Children that are all such leaves
  are *plain*, and of each there is only the number of who holds it.
- Children that are all the same, and have no block, are *alike*, and one of them is kept.
- A short label, and what is to be known of children that are plain and alike, has room in the node.

So the last digits of a thousand numbers, all held by the same, are a node and nothing else. A block
has children first, then the label's size if it is long, then keys if they are sparse, then the label.

Nothing in here calls Python, so that nobody can change a tree while it is being looked at.
"""

from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcmp

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

cdef enum:
    NOBODY = -1

cdef enum:  # a node's form
    HAS_BLOCK = 1
    HAS_CHILDREN = 2
    SPARSE = 4
    PLAIN = 8
    ALIKE = 16

cdef enum:
    LONG = 255  # in place of the size of a label that is written in the block
    KEYS_READ = 16  # bytes of a block that there are from the beginning of its keys
    LEAF_ROOM = 10  # bytes of a label in a node without children, from the key range on
    FEW_ROOM = 4  # bytes of keys and label in a node whose children are plain and alike

cdef struct Few:
    int32_t below  # who holds each of the children
    uint8_t text[4]

cdef union Body:
    uint8_t* block
    Few few

cdef struct Node:  # what is unused is 0, so that nodes can be compared
    int32_t holding  # a number, or NOBODY
    uint8_t form
    uint8_t label_size
    uint8_t first, last  # keys; if they are sparse, 0 and one less than their number
    Body body


cdef inline int count_of(const Node* node) noexcept:
    return node.last - node.first + 1 if node.form & HAS_CHILDREN else 0


cdef inline int kept_of(const Node* node) noexcept:
    """How many children are written down."""
    return 1 if node.form & ALIKE else count_of(node)


cdef inline uint8_t* block_text(const Node* node) noexcept:
    cdef size_t each = sizeof(int32_t) if node.form & PLAIN else sizeof(Node)
    return node.body.block + kept_of(node) * each


cdef inline const uint8_t* text_of(const Node* node) noexcept:
    """Keys that are sparse, and then the label."""
    if node.form & HAS_BLOCK:
        return block_text(node) + (sizeof(uint32_t) if node.label_size == LONG else 0)
    if node.form & HAS_CHILDREN:
        return node.body.few.text
    return &node.first


cdef inline const uint8_t* label_of(const Node* node) noexcept:
    return text_of(node) + (count_of(node) if node.form & SPARSE else 0)


cdef inline size_t label_size_of(const Node* node) noexcept:
    return node.label_size if node.label_size != LONG else (<uint32_t*> block_text(node))[0]


cdef inline int32_t* plain_of(Node* node) noexcept:
    """Who holds each of its plain children."""
    return <int32_t*> node.body.block if node.form & HAS_BLOCK else &node.body.few.below


cdef inline Node plain(int32_t holding) noexcept:
    cdef Node node
    node.holding = holding
    node.form = node.label_size = node.first = node.last = 0
    node.body.few.below = 0
    node.body.few.text[0] = node.body.few.text[1] = node.body.few.text[2] = node.body.few.text[3] = 0
    return node


cdef inline bint is_plain(const Node* node) noexcept:
    return not (node.form or node.label_size)


cdef inline bint are_equal(const Node* one, const Node* other) noexcept:
    return memcmp(one, other, sizeof(Node)) == 0


cdef inline int index_of(const Node* node, uint8_t key) noexcept:
    """Which child a key stands for, -1 if there is none."""
    cdef int index
    cdef const uint8_t* keys
    if not node.form & HAS_CHILDREN:
        return -1
    if not node.form & SPARSE:
        return key - node.first if node.first <= key <= node.last else -1
    keys = text_of(node)
    if node.form & HAS_BLOCK:
        return find_key(keys, node.last + 1, key)
    for index in range(node.last + 1):
        if keys[index] == key:
            return index
    return -1


cdef inline uint8_t key_at(const Node* node, int index) noexcept:
    return text_of(node)[index] if node.form & SPARSE else <uint8_t> (node.first + index)


cdef inline Node* child_at(Node* node, int index, Node* spare) noexcept:
    """A child; if it is plain, it is made up in ``spare``."""
    if node.form & ALIKE:
        index = 0
    if node.form & PLAIN:
        spare[0] = plain(plain_of(node)[index])
        return spare
    return <Node*> node.body.block + index


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


cdef inline void release(const Node* node) noexcept:
    """Free the block of a node, and nothing of its children."""
    if node.form & HAS_BLOCK:
        PyMem_Free(node.body.block)


cdef inline int children_in_block(const Node* node) noexcept:
    """How many of them may have blocks of their own."""
    return 0 if node.form & PLAIN or not node.form & HAS_BLOCK else kept_of(node)


cdef inline void free_all(const Node* root) noexcept:
    """Free what a tree of any depth has, in no more memory than that."""
    cdef Node now = root[0], here
    cdef Node* children
    cdef Node* slot
    cdef Node* above = NULL  # where the node was whose block is being freed
    cdef int left = children_in_block(&now)
    if not now.form & HAS_BLOCK:
        return
    while True:
        children = <Node*> now.body.block
        while left and not children[left - 1].form & HAS_BLOCK:
            left -= 1
        if left:
            # How many are left, and the way back, stand in the place of the one to be freed.
            slot = children + left - 1
            now = slot[0]
            slot.holding = left
            slot.body.block = <uint8_t*> above
            above = slot
            left = children_in_block(&now)
            continue
        PyMem_Free(children)
        if above == NULL:
            return
        here = above[0]
        left = here.holding - 1
        now.body.block = <uint8_t*> (above - left)
        above = <Node*> here.body.block
