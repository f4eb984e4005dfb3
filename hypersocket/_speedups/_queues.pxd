# The types of queues.py, for its compiled form.

cimport cython


@cython.locals(size=Py_ssize_t, body=bytes)
cpdef Py_ssize_t size_of(object message) except -1
@cython.locals(size=Py_ssize_t, body=bytes)
cpdef Py_ssize_t size_of_singles(list items) except -2


@cython.final
cdef class Queue:
    cdef list _items
    cdef Py_ssize_t _oldest
    cdef Py_ssize_t _count(self) noexcept
    cpdef object put(self, object message)
    cpdef object put_all(self, list messages)
    @cython.locals(items=list, oldest=Py_ssize_t)
    cpdef object take(self)
    @cython.locals(items=list, place=Py_ssize_t, end=Py_ssize_t)
    cpdef Py_ssize_t count_singles(self, Py_ssize_t most) except -1
    @cython.locals(items=list, taken=list, oldest=Py_ssize_t)
    cpdef list take_some(self, Py_ssize_t count)
    cpdef object look(self, Py_ssize_t place)
    @cython.locals(items=list, oldest=Py_ssize_t, place=Py_ssize_t)
    cpdef object drop(self, Py_ssize_t count)
    cpdef object put_first(self, list messages)
    cpdef Py_ssize_t clear(self) except -1


cdef class PipeQueues


cdef class Inlet:
    cpdef bint incoming(self, PipeQueues pipe) except -1


cdef class Outlet:
    cpdef object outgoing(self)
    cpdef object flush(self)


cdef class PipeQueues:
    cdef public object owner, link, drop_at_end
    cdef public Outlet outlet
    cdef public Inlet inlet
    cdef public bytes routing_id
    cdef public PipeQueues next_ready
    cdef object _ended_one
    cdef public Py_ssize_t sndhwm, rcvhwm
    cdef public bint connected, closing, gone, in_turn, shares
    cdef public long long messages_in, messages_out, bytes_in, bytes_out
    cdef bint _conflate, _incoming_full, _outgoing_full, _held, _forsaken, _flush_awaited
    cdef Queue _inbox, _outbox
    cdef Py_ssize_t _outbox_bytes, _in_flight
    @cython.locals(room=Py_ssize_t)
    cdef Py_ssize_t _count_room(self) except -1
    cdef bint _has_room(self) except -1
    cdef object _send(self, object message)
    @cython.locals(outbox=Queue)
    cdef object _send_sized(self, object message, Py_ssize_t size)
    @cython.locals(outbox=Queue, was_empty=bint, size=Py_ssize_t)
    cdef object _send_batch(self, list messages)
    cdef object _tell_outgoing(self)
    cdef object _flush(self)
    cdef bint _is_flushed(self) noexcept
    cdef object _recv(self)
    cdef Py_ssize_t _count_incoming(self) noexcept
    cdef Py_ssize_t _count_singles(self, Py_ssize_t most) except -1
    cdef list _recv_some(self, Py_ssize_t count)
    cdef object _tell_room_in(self)
    @cython.locals(room=Py_ssize_t)
    cdef Py_ssize_t _room_in(self) except -1
    cpdef Py_ssize_t clear_outgoing(self) except -1
    @cython.locals(inbox=Queue, was_empty=bint, count=Py_ssize_t, size=Py_ssize_t)
    cpdef deliver(self, object messages)
    cdef object _arrived(self, Py_ssize_t count, Py_ssize_t size, bint was_empty)
    @cython.locals(outbox=Queue, taken=list, size=Py_ssize_t, count=Py_ssize_t)
    cpdef list take_outgoing(self, Py_ssize_t max_messages, Py_ssize_t max_bytes)
    cdef object _went_out(self, Py_ssize_t count, Py_ssize_t size)
    cdef object _written(self, Py_ssize_t count, Py_ssize_t size)
    cpdef object put_back(self, list messages, bint begun)
    cdef object _room_again(self)
