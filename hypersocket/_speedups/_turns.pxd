# The types of turns.py, for its compiled form.

cimport cython

from hypersocket._speedups._queues cimport Inlet, PipeQueues


cdef class FairQueue(Inlet):
    cdef object _waiters
    cdef PipeQueues _first, _last
    cdef public PipeQueues source
    @cython.locals(count=Py_ssize_t, pipe=PipeQueues)
    cdef Py_ssize_t _count(self) except -1
    cpdef bint incoming(self, PipeQueues pipe) except -1
    cdef object _append(self, PipeQueues pipe)
    cdef object _unlink(self, PipeQueues pipe, PipeQueues before)
    @cython.locals(pipe=PipeQueues, left=Py_ssize_t)
    cdef object _take(self)
    @cython.locals(only=PipeQueues, left=Py_ssize_t, taken=list)
    cpdef list take_singles(self, Py_ssize_t most)
    @cython.locals(count=Py_ssize_t)
    cdef list _take_singles_of(self, PipeQueues pipe, Py_ssize_t most)
    @cython.locals(count=Py_ssize_t, pipe=PipeQueues)
    cdef Py_ssize_t _count_messages(self) except -1


cdef class LoadBalancer:
    cdef public bint immediate
    cdef list _pipes
    cdef Py_ssize_t _turn
    cdef object _wrap(self)
    @cython.locals(pipes=list, pipe=PipeQueues, usable=bint, turn=Py_ssize_t)
    cdef PipeQueues _next(self)
    @cython.locals(pipe=PipeQueues)
    cdef bint _send(self, object message) except -1
    @cython.locals(usable=list, pipe=PipeQueues, only=PipeQueues)
    cpdef bint send_batch(self, list messages) except -1
    @cython.locals(pipe=PipeQueues)
    cdef list _usable(self)


@cython.locals(pipe=PipeQueues, room=Py_ssize_t, here=Py_ssize_t)
cdef bint _fit(list pipes, Py_ssize_t count) except -1
