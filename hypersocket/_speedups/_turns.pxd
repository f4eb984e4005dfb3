# The types of turns.py, for its compiled form.

cimport cython

from hypersocket._speedups._queues cimport PipeQueues


cdef class FairQueue:
    cdef object _ready
    cdef public PipeQueues source
    @cython.locals(pipe=PipeQueues, left=Py_ssize_t)
    cpdef object take(self)


cdef class LoadBalancer:
    cdef public bint immediate
    cdef object _turns
    @cython.locals(pipe=PipeQueues)
    cpdef object next(self)
    @cython.locals(pipe=PipeQueues)
    cpdef bint send(self, object message)
