# The types of paths.py, for its compiled form.

from hypersocket._speedups._turns cimport FairQueue, LoadBalancer


cdef class Budget:
    cdef public Py_ssize_t left


cdef class _Finished:
    pass


cdef class SendCall:
    cdef SendPath _path
    cdef object _data
    cdef bint _awaited


cdef class SendPath:
    cdef public bint is_open
    cdef public object slow
    cdef LoadBalancer _balancer
    cdef object _waiters
    cdef Budget _budget
    cpdef bint accepts(self, object data)


cdef class ReceivePath:
    cdef public bint is_open
    cdef FairQueue _queue
    cdef list _head
    cdef object _waiters
    cdef Budget _budget
    cdef object _slow
    cdef object _result
