# The types of prefix_tree.py, for its compiled form.

cimport cython


cdef class _Node:
    cdef public bytes label
    cdef public dict children
    cdef public dict holders
    cpdef object add_child(self, _Node child)


cdef class PrefixTree:
    cdef _Node _root
    cdef Py_ssize_t _size
    @cython.locals(node=_Node, child=_Node, at=Py_ssize_t, found=dict, holders=dict)
    cpdef object matches(self, bytes data)
    @cython.locals(node=_Node, child=_Node, at=Py_ssize_t)
    cpdef bint covers(self, bytes data) except -1
    @cython.locals(node=_Node, child=_Node, path=list, at=Py_ssize_t)
    cdef list _path(self, bytes prefix)
    @cython.locals(node=_Node, child=_Node, between=_Node, at=Py_ssize_t, shared=Py_ssize_t)
    cdef _Node _make(self, bytes prefix)
    @cython.locals(node=_Node, parent=_Node, child=_Node)
    cdef object _tidy(self, list path)
