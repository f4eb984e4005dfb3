# The types of _wire.pyx, for others of the compiled core.

cimport cython
from cpython.object cimport PyObject

from hypersocket._speedups._framing cimport FrameDecoder
from hypersocket._speedups._queues cimport Outlet, PipeQueues, Queue


@cython.final
cdef class Wire(Outlet):
    cdef public int fd
    cdef public bint reads, writes, blocked, eager, flushing, has_control, heard
    cdef public bytes command
    cdef public Py_ssize_t turn_bytes
    cdef PipeQueues _pipe
    cdef FrameDecoder _decoder
    cdef object _owner, _ring
    cdef list _dirty_list
    cdef bint _dirty
    cdef Py_ssize_t _fits, _most_frames
    cdef bint _uncut, _reading, _drained, _commanded, _goes_on
    cdef bytes _stored
    cdef Py_ssize_t _pos
    cdef PyObject* _body
    cdef Py_ssize_t _body_size, _body_space, _body_have, _ahead, _wakes_at
    cdef int _body_flags
    cdef list _control, _buffers  # None where there is nothing, as in most connections
    cdef bint _huge
    cdef int _small_batches
    cdef Py_ssize_t _skipped
    cdef object _begun
    cdef bint _whole_begun, _made_room  # what is to be told when nothing is under way
    cdef Py_ssize_t _count, _bytes  # of the messages that were cut
    cdef Py_ssize_t _whole_size  # of the one that was finished last

    cdef int _ready(self, int events) except -1
    cdef int _flush(self) except -1

    # In
    cdef int _read_once(self) except -1
    cdef int _read(self) except -1
    cdef int _read_all(self) except -1
    cdef int _cut_stored(self, Py_ssize_t room) except -1
    cdef Py_ssize_t _receive(self, Py_ssize_t room) except -2
    cdef Py_ssize_t _receive_more(self, Py_ssize_t room) except -2
    cdef int _grow(self) except -1
    cdef int _cut(
        self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t room,
        bytes stored
    ) except -1
    cdef int _cut_frames(
        self, const unsigned char* data, Py_ssize_t* at, Py_ssize_t end, Py_ssize_t room,
        list news
    ) except -1
    cdef int _put(self, Queue inbox, list news, object message) except -1
    cdef object _finished(self, int flags, object body)
    cdef int _begin_body(
        self, const unsigned char* data, Py_ssize_t have, Py_ssize_t size, int flags
    ) except -1
    cdef int _unusual(self, const unsigned char* data, Py_ssize_t have, Py_ssize_t* pos) except -1

    # Out
    cdef int _write(self) except -1
    cdef int _write_once(self, Py_ssize_t* written) except -1
    cdef int _suit_system(self, bint huge) except -1
    cdef Py_ssize_t _encode(
        self, Py_ssize_t* sizes, int* used, Py_ssize_t* total, Py_ssize_t* payload
    ) except -2
    cdef bint _fits_space(self, list message, Py_ssize_t filled, int vector) except -1
    cdef int _wrote(
        self, Py_ssize_t* sizes, Py_ssize_t count, Py_ssize_t came, Py_ssize_t total,
        Py_ssize_t payload
    ) except -1
    cdef int _begin(self, list buffers, Py_ssize_t written) except -1
    cdef int _point(self, list buffers) except -1
    cdef int _skip(self, Py_ssize_t count) except -1
