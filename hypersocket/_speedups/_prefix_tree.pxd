# What _paths.pyx uses of the tree.

from libc.stdint cimport int32_t

from hypersocket._speedups._prefix_nodes cimport Node


cdef class Holding:
    cdef dict counts  # None while its number is free
    cdef tuple who  # the same without the counts; None if it is to be made again
    cdef tuple key  # in `_known`; None if it belongs to one prefix and may change
    cdef size_t places  # how many prefixes are held so
    cdef int32_t number, next_free


cdef class PrefixTree:
    cdef Node _root
    cdef Py_ssize_t _size
    cdef size_t _changes
    cdef list _holdings
    cdef dict _known
    cdef int32_t _free, _last_from, _last_to
    cdef void* _last_holder
    cdef tuple find(self, bytes data)
    cdef tuple _find_all(self, bytes data)
    cdef int32_t _number_of(self, bytes prefix) noexcept
    cdef tuple _who(self, int32_t number)
    cdef int32_t _with(self, int32_t before, object holder, bint* is_new) except -2
    cdef Holding _settle(self, dict counts)
    cdef Holding _take_free(self)
    cdef int _let_go(self, int32_t number) except -1
    cdef int _placed(self, int32_t before, int32_t after) except -1
    cdef int _forget_holdings(self) except -1
