# The types of queues.py, for its compiled form.

cimport cython

cdef class Queue:
    cdef list _items
    cdef Py_ssize_t _oldest
    cpdef void put(self, object message)
    @cython.locals(items=list, oldest=Py_ssize_t)
    cpdef object take(self)
    cpdef void put_first(self, list messages)
    cpdef Py_ssize_t clear(self)


cdef class PipeQueues:
    cdef public object owner, link, drop_at_end
    cdef object _ended_one
    cdef public Py_ssize_t sndhwm, rcvhwm
    cdef public bint connected, closing, gone
    cdef public object messages_in, messages_out, bytes_in, bytes_out
    cdef bint _conflate, _incoming_full, _outgoing_full, _held, _forsaken
    cdef Queue _inbox, _outbox
    cdef Py_ssize_t _outbox_bytes, _in_flight
    @cython.locals(room=Py_ssize_t)
    cpdef Py_ssize_t count_room(self)
    @cython.locals(room=Py_ssize_t)
    cpdef bint has_room(self)
    @cython.locals(outbox=Queue)
    cpdef send(self, object message)
    cpdef object recv(self)
    cpdef Py_ssize_t count_incoming(self)
    cpdef Py_ssize_t clear_outgoing(self)
    @cython.locals(inbox=Queue, was_empty=bint, count=Py_ssize_t, size=Py_ssize_t)
    cpdef deliver(self, object messages)
    @cython.locals(outbox=Queue, taken=list, size=Py_ssize_t, count=Py_ssize_t)
    cpdef list take_outgoing(self, Py_ssize_t max_messages, Py_ssize_t max_bytes)
    cpdef written(self, Py_ssize_t count, object size)
    cpdef room_again(self)
