# cython: language_level=3, binding=False
"""The compiled form of prefix_tree.py, of nodes that are no Python objects.

What a message costs is the memory that is looked at and is not in the processor's cache: for each
level of the tree a line, or two where its keys are apart. So the tree is kept small, and a level's
nodes side by side. ``_prefix_nodes.pxd`` has the nodes, ``_prefix_drafts.pxd`` how one is made of
another, ``_prefix_places.pxd`` how a tree changes.

Who holds a prefix is a *holding*, which nodes know by its number alone. Small holdings never
change, and all prefixes that the same ones hold as often share one; of the large ones each belongs
to one prefix, and changes. So nothing of a tree is to be walked by the collector of garbage but
the list of its holdings; and should it empty that list, a number is an index error at worst.

Comparing holders may run anything, and so may making a container, by way of the collector. What
was found in the tree before is looked for again if the tree has changed meanwhile.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport INT32_MAX, UINT32_MAX, int32_t, uint8_t
from libc.string cimport memcpy

from hypersocket._speedups._prefix_nodes cimport (
    HAS_CHILDREN, NOBODY, Node, child_at, count_of, free_all, index_of, key_at, label_of, label_size_of,
    plain, starts_with,
)
from hypersocket._speedups._prefix_places cimport (
    Place, find_place, holding_at, is_empty, put, take_out,
)

cdef extern from *:
    Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    SHARED_MOST = 8  # how many holders a holding has that is shared


@cython.final
@cython.no_gc_clear
cdef class Holding:
    """Who holds a prefix, and how often each."""


cdef struct Way:
    const uint8_t* at
    Py_ssize_t rest
    Node* node  # the next; NULL if there is none
    Node spare


cdef inline void begin(Way* way, Node* root, bytes data) noexcept:
    way.at = <const uint8_t*> PyBytes_AS_STRING(data)
    way.rest = PyBytes_GET_SIZE(data)
    way.node = root


cdef inline int32_t step(Way* way) noexcept:
    """Go past the next node on the way, there being one; returns who holds what it stands for."""
    cdef Node* node = way.node
    cdef int index
    cdef int32_t holding = node.holding
    cdef Py_ssize_t label_size
    way.node = NULL
    if node.label_size:
        label_size = label_size_of(node)
        if not starts_with(way.at, way.rest, label_of(node), label_size):
            return NOBODY
        way.at += label_size
        way.rest -= label_size
    if way.rest:
        index = index_of(node, way.at[0])
        if index >= 0:
            way.node = child_at(node, index, &way.spare)
            way.at += 1
            way.rest -= 1
    return holding


cdef inline tuple answer(bint whole, bint own):
    # Made beforehand: what has been done cannot fail for want of memory any more.
    if whole:
        return (True, True) if own else (True, False)
    return (False, True) if own else (False, False)


cdef struct Level:
    Node* node
    int next
    size_t size


@cython.final
@cython.no_gc_clear
cdef class PrefixTree:
    def __cinit__(self):
        self._root = plain(NOBODY)
        self._holdings = []
        self._known = {}
        self._free = NOBODY

    def __dealloc__(self):
        free_all(&self._root)

    def __len__(self):
        return self._size

    def add(self, bytes prefix not None, holder):
        cdef Place place
        cdef int32_t before, after
        cdef size_t changes
        cdef bint is_new = True
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(prefix)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(prefix)
        if <size_t> size > UINT32_MAX:
            raise OverflowError("a prefix of 4 GiB or more")
        while True:
            find_place(&self._root, data, size, &place)
            before = holding_at(&place)
            if self._last_holder == <void*> holder and self._last_from == before:
                after = self._last_to
                break
            changes = self._changes
            after = self._with(before, holder, &is_new)
            if after == before:
                return answer(False, is_new)
            if self._changes == changes:
                break
            self._let_go(after)
        if not put(&place, data, size, after):
            self._let_go(after)
            raise MemoryError
        self._size += before == NOBODY
        self._placed(before, after)
        return answer(before == NOBODY, is_new)

    def discard(self, bytes prefix not None, holder, times=1):
        cdef Place place
        cdef int32_t before, after
        cdef size_t changes
        cdef bint ends
        cdef Holding holding
        cdef dict counts
        cdef const uint8_t* data = <const uint8_t*> PyBytes_AS_STRING(prefix)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(prefix)
        while True:
            find_place(&self._root, data, size, &place)
            before = holding_at(&place)
            if before == NOBODY:
                return None
            changes = self._changes
            holding = <Holding> self._holdings[before]
            counts = holding.counts
            held = counts.get(holder)
            if held is None:
                return None
            left = held - times
            ends = not left > 0
            if holding.key is not None or len(counts) - ends <= SHARED_MOST // 2:
                counts = counts.copy()
            if ends:
                del counts[holder]
            else:
                counts[holder] = left
            if counts is holding.counts:
                if ends:
                    holding.who = None
                return answer(False, ends)
            after = self._settle(counts).number if counts else NOBODY
            if after == before:
                return False, False
            if self._changes == changes:
                break
            if after != NOBODY:
                self._let_go(after)
        if after == NOBODY:
            if not take_out(&place):
                raise MemoryError
            self._size -= 1
        elif not put(&place, data, size, after):
            self._let_go(after)
            raise MemoryError
        self._placed(before, after)
        if self._size == 0:
            self._forget_holdings()
        return answer(after == NOBODY, ends)

    def matches(self, bytes data not None):
        return self.find(data)

    cdef tuple find(self, bytes data):
        cdef Way way
        cdef int32_t number = NOBODY, here
        begin(&way, &self._root, data)
        while way.node:
            here = step(&way)
            if here != NOBODY and here != number:
                if number != NOBODY:
                    return self._find_all(data)
                number = here
        return self._who(number) if number != NOBODY else ()

    cdef tuple _find_all(self, bytes data):
        cdef Way way
        cdef int32_t here
        cdef list several = []
        cdef dict found
        begin(&way, &self._root, data)  # nothing but lists grow from here on
        while way.node:
            here = step(&way)
            if here != NOBODY:
                several.append((<Holding> self._holdings[here]).counts)
        found = {}
        for counts in several:
            found.update(counts)
        return tuple(found)

    cdef tuple _who(self, int32_t number):
        cdef Holding holding = <Holding> self._holdings[number]
        if holding.who is None:
            holding.who = tuple(holding.counts)
        return holding.who

    def covers(self, bytes data not None):
        cdef Way way
        begin(&way, &self._root, data)
        while way.node:
            if step(&way) != NOBODY:
                return True
        return False

    def holders(self, bytes prefix not None):
        cdef int32_t number = self._number_of(prefix)
        return self._who(number) if number != NOBODY else ()

    def times(self, bytes prefix not None, holder):
        cdef int32_t number = self._number_of(prefix)
        return (<Holding> self._holdings[number]).counts.get(holder, 0) if number != NOBODY else 0

    def __iter__(self):
        return iter(all_prefixes(&self._root, PY_SSIZE_T_MAX, []))

    cdef int32_t _number_of(self, bytes prefix) noexcept:
        cdef Place place
        find_place(
            &self._root, <const uint8_t*> PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix), &place
        )
        return holding_at(&place)

    # Holdings

    cdef int32_t _with(self, int32_t before, object holder, bint* is_new) except -2:
        """The number of those who hold a prefix when one more does, or once more."""
        cdef Holding holding
        cdef dict counts
        cdef object held = 0
        if before == NOBODY:
            counts = {holder: 1}
        else:
            holding = <Holding> self._holdings[before]
            counts = holding.counts
            held = counts.get(holder, 0)
            if holding.key is not None:
                counts = counts.copy()
            counts[holder] = held + 1
        is_new[0] = not held
        if before != NOBODY and holding.key is None:
            if not held:
                holding.who = None
            return before
        holding = self._settle(counts)
        if not held and holding.key is not None and holding.who[-1] is holder:
            # As a rule the same holder goes on, in places of the same kind. A holding without a
            # key belongs to one place, and changes.
            self._last_holder = <void*> holder
            self._last_from = before
            self._last_to = holding.number
        return holding.number

    cdef Holding _settle(self, dict counts):
        """The holding with these counts, which it owns from now on."""
        cdef tuple key = None
        cdef tuple who = tuple(counts)
        cdef Holding holding
        if len(counts) <= SHARED_MOST:
            key = who + tuple(counts.values())
            holding = <Holding> self._known.get(key)
            if holding is not None:
                return holding
        holding = self._take_free()
        holding.counts = counts
        holding.who = who
        holding.key = key
        if key is not None:
            try:
                self._known[key] = holding
            except BaseException:
                self._let_go(holding.number)
                raise
        return holding

    cdef Holding _take_free(self):
        cdef Holding holding
        if self._free == NOBODY:
            if len(self._holdings) == INT32_MAX:
                raise MemoryError
            holding = Holding.__new__(Holding)
            holding.next_free = NOBODY
            holding.number = <int32_t> len(self._holdings)
            self._holdings.append(holding)
            return holding
        holding = <Holding> self._holdings[self._free]
        self._free = holding.next_free
        return holding

    cdef int _placed(self, int32_t before, int32_t after) except -1:
        """Count that one prefix is held in another way than before."""
        self._changes += 1
        if after != NOBODY:
            (<Holding> self._holdings[after]).places += 1
        if before != NOBODY:
            (<Holding> self._holdings[before]).places -= 1
            self._let_go(before)
        return 0

    cdef int _let_go(self, int32_t number) except -1:
        """Let a number be free again if nothing is held so."""
        cdef Holding holding
        cdef dict counts
        cdef tuple who, key
        if number >= len(self._holdings):
            return 0  # the tree was empty meanwhile
        holding = <Holding> self._holdings[number]
        if holding.places or holding.counts is None:
            return 0
        if holding.key is not None and self._known.get(holding.key) is holding:
            del self._known[holding.key]
            if holding.places or holding.counts is None:
                return 0
        # What is forgotten ends with this call, when everything is in order.
        counts, who, key = holding.counts, holding.who, holding.key
        holding.counts = holding.who = holding.key = None
        self._last_holder = NULL
        holding.next_free = self._free
        self._free = number
        return 0

    cdef int _forget_holdings(self) except -1:
        self._changes += 1
        self._last_holder = NULL
        self._free = NOBODY
        self._holdings.clear()
        self._known.clear()
        return 0


@cython.final
cdef class PrefixSet:
    cdef PrefixTree _tree

    def __cinit__(self):
        self._tree = PrefixTree()

    def add(self, bytes prefix not None):
        if self._tree._number_of(prefix) == NOBODY:
            self._tree.add(prefix, None)

    def discard(self, bytes prefix not None):
        return self._tree.discard(prefix, None, INT32_MAX) is not None

    def covers(self, bytes data not None):
        return self._tree.covers(data)

    def __len__(self):
        return self._tree._size

    def __iter__(self):
        return iter(all_prefixes(&self._tree._root, PY_SSIZE_T_MAX, []))

    def take(self, Py_ssize_t most):
        cdef list taken = all_prefixes(&self._tree._root, most, [])
        for prefix in taken:
            self.discard(prefix)
        return taken


cdef list all_prefixes(Node* root, Py_ssize_t most, list found):
    """The first prefixes that are held; the list is made beforehand, and nothing else runs."""
    cdef Level* levels = NULL
    cdef Level* level
    cdef uint8_t* text = NULL
    cdef size_t depth = 0, room = 0, text_room = 0, size = 0, label_size
    cdef Node* node = root
    cdef Node spare
    cdef void* more
    if is_empty(root):
        return found
    try:
        while len(found) < most:
            label_size = label_size_of(node)
            if size + label_size + 1 > text_room:
                text_room = 2 * (size + label_size + 1)
                more = PyMem_Realloc(text, text_room)
                if more == NULL:
                    raise MemoryError
                text = <uint8_t*> more
            memcpy(text + size, label_of(node), label_size)
            size += label_size
            if node.holding != NOBODY:
                found.append(PyBytes_FromStringAndSize(<char*> text, size))
            if node.form & HAS_CHILDREN:
                if depth == room:
                    room = 2 * room + 16
                    more = PyMem_Realloc(levels, room * sizeof(Level))
                    if more == NULL:
                        raise MemoryError
                    levels = <Level*> more
                levels[depth].node = node
                levels[depth].next = 0
                levels[depth].size = size
                depth += 1
            while depth and levels[depth - 1].next == count_of(levels[depth - 1].node):
                depth -= 1
            if depth == 0:
                return found
            level = levels + depth - 1
            size = level.size
            text[size] = key_at(level.node, level.next)
            size += 1
            node = child_at(level.node, level.next, &spare)
            level.next += 1
        return found
    finally:
        PyMem_Free(text)
        PyMem_Free(levels)
