# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled form of wire.py, with memory of its own to read into and to write from."""

from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.exc cimport PyErr_SetFromErrno
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memset

from hypersocket._speedups._framing cimport FrameDecoder
from hypersocket._speedups._queues cimport Outlet, PipeQueues, Queue, size_of

from hypersocket._reasons import Reason
from hypersocket._speedups._framing import LARGE, encode_messages, keep_freed, wire_size

cdef extern from *:
    """
    #if defined(_WIN32)
    /* Nothing there is read or written by this module; it has only to compile. */
    #include <errno.h>
    typedef ptrdiff_t hs_ssize_t;
    struct iovec { void *iov_base; size_t iov_len; };
    static hs_ssize_t hs_send(int fd, struct iovec *iov, int n) { errno = ENOSYS; return -1; }
    static hs_ssize_t hs_recv(int fd, struct iovec *iov, int n) { errno = ENOSYS; return -1; }
    #else
    #include <sys/socket.h>
    #include <sys/uio.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    /* One piece has calls of its own, in which the system does less. */
    static ssize_t hs_send(int fd, struct iovec *iov, int n) {
        struct msghdr message;
        if (n == 1)
            return send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        memset(&message, 0, sizeof message);
        message.msg_iov = iov;
        message.msg_iovlen = n;
        return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    static ssize_t hs_recv(int fd, struct iovec *iov, int n) {
        return n == 1 ? recv(fd, iov->iov_base, iov->iov_len, 0) : readv(fd, iov, n);
    }
    #endif
    #if defined(__linux__)
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    static void hs_hold_unsent(int fd, int size) {
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &size, sizeof size);
    }
    static void hs_wake_at(int fd, int size) {
        setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &size, sizeof size);
    }
    #else
    static void hs_hold_unsent(int fd, int size) { }
    static void hs_wake_at(int fd, int size) { }
    #endif
    /* With room for three more, such as a ROUTER's prefix, before its memory has to be moved. */
    static PyObject *hs_begin_list(PyObject *first) {
        PyObject *list = PyList_New(4);
        if (list) {
            Py_INCREF(first);
            PyList_SET_ITEM(list, 0, first);
            Py_SET_SIZE(list, 1);
        }
        return list;
    }
    """
    struct iovec:
        void* iov_base
        size_t iov_len
    Py_ssize_t hs_send(int fd, iovec* iov, int n)
    Py_ssize_t hs_recv(int fd, iovec* iov, int n)
    void hs_hold_unsent(int fd, int size)
    void hs_wake_at(int fd, int size)
    int _PyBytes_Resize(PyObject** body, Py_ssize_t size) except -1
    PyObject* NewBytes "PyBytes_FromStringAndSize"(char* data, Py_ssize_t size) except NULL
    char* BytesData "PyBytes_AS_STRING"(PyObject* body)
    list hs_begin_list(object first)
    int PyGC_Disable()
    int PyGC_Enable()

EPOLLIN = 1
EPOLLOUT = 4
READ_SIZE = 128 * 1024
TURN_BYTES = 4 * 1024 * 1024
MOST_BUFFERS = 1024
BATCH_BYTES = 64 * 1024
BATCH_MESSAGES = 1024
CUT_ALL, NO_ROOM, COMMAND_CAME, ENDED = range(4)
WRITTEN, BLOCKED, TURN_OVER = range(3)

cdef enum:
    C_EPOLLIN = 1
    C_EPOLLOUT = 4
    C_CUT_ALL = 0
    C_NO_ROOM = 1
    C_COMMAND_CAME = 2
    C_ENDED = 3
    C_WRITTEN = 0
    C_BLOCKED = 1
    C_TURN_OVER = 2
    C_GOES_ON = 3
    MORE_FLAG = 1
    LONG_FLAG = 2
    COMMAND_FLAG = 4
    SPACE_IN = 256 * 1024
    # Of a body that long, what has come is kept where it will be; a shorter one is cut when whole.
    GATHER = 8 * 1024
    # What a peer announces is not all set aside at once.
    FIRST_PART = 4 * 1024 * 1024
    # A read that brought less has probably found no more.
    MUCH = 64 * 1024
    # Having read so much, and a message whole, others have their turn; and what has just been
    # read is still in the processor's cache when it is used.
    ENOUGH = 256 * 1024
    # Asked for at once: much where messages are small, and little beyond the end of a large one,
    # since what is asked for beyond it has to be copied to where it belongs.
    MOST_AHEAD = 128 * 1024
    LEAST_AHEAD = 4 * 1024
    LARGE_BODY = 32 * 1024
    SOME_OF_BODY = 256 * 1024
    C_BATCH_BYTES = 64 * 1024
    C_BATCH_MESSAGES = 1024
    # A longer body is written from where it lies.
    COPIED = 4 * 1024
    MOST_VECTORS = 64
    # What the system may hold of what is not on its way yet: little, as trio has set it, keeps
    # small messages in the processor's cache; bodies so long would go out in pieces.
    HUGE_BODY = 128 * 1024
    HELD = 16 * 1024
    HELD_OF_HUGE = 1024 * 1024
    SMALL_BATCHES = 64
    # A batch that is as large as may be and takes one more; and all their headers, or some of them.
    SPACE_OUT = C_BATCH_BYTES + COPIED + 2048

# Used within one call, and never while anything else runs.
cdef unsigned char* space_in = <unsigned char*> malloc(SPACE_IN)
cdef unsigned char* space_out = <unsigned char*> malloc(SPACE_OUT)
cdef iovec vectors[MOST_VECTORS]
# The longest body yet; what is shorter than LARGE tells nothing.
cdef Py_ssize_t longest = LARGE - 1
if space_in == NULL or space_out == NULL:
    raise MemoryError


# What a publisher has last encoded, which is in space_out still: others of its subscribers may
# have the very same messages to come.
cdef list shared_batch = None
cdef Py_ssize_t shared_sizes[C_BATCH_MESSAGES]
cdef Py_ssize_t shared_total = 0, shared_payload = 0


def forget_shared():
    """Hold nothing of what was encoded: what comes next is something else."""
    global shared_batch
    shared_batch = None


cdef bint is_shared(list items, Py_ssize_t place) except -1:
    """Whether the messages from a place on begin with those that were last encoded."""
    cdef Py_ssize_t count, each
    if shared_batch is None:
        return False
    count = PyList_GET_SIZE(shared_batch)
    if PyList_GET_SIZE(items) - place < count:
        return False
    for each in range(count):
        if <PyObject*> PyList_GET_ITEM(items, place + each) != <PyObject*> PyList_GET_ITEM(
            shared_batch, each
        ):
            return False
    return True


cdef inline Py_ssize_t write_header(unsigned char* at, int flags, Py_ssize_t size) noexcept:
    cdef int place
    if size < 256:
        at[0] = <unsigned char> flags
        at[1] = <unsigned char> size
        return 2
    at[0] = <unsigned char> (flags | LONG_FLAG)
    for place in range(8):
        at[8 - place] = <unsigned char> ((<unsigned long long> size >> (8 * place)) & 0xFF)
    return 9


cdef inline unsigned long long read_size(const unsigned char* at) noexcept:
    cdef unsigned long long size = 0
    cdef int place
    for place in range(8):
        size = size << 8 | at[place]
    return size


cdef class Wire(Outlet):
    """One connection's messages, from the system to the pipe and back: see wire.py."""

    def __cinit__(self):
        self._body = NULL

    def __dealloc__(self):
        Py_XDECREF(self._body)

    def __init__(
        self, int fd, PipeQueues pipe not None, FrameDecoder decoder, owner, list dirty not None,
        ring,
    ):
        self.fd = fd
        self.reads = decoder is not None
        self.command = b""
        self.turn_bytes = TURN_BYTES
        self._pipe = pipe
        self._decoder = decoder
        self._owner = owner
        self._dirty_list = dirty
        self._ring = ring
        if decoder is not None:
            self._fits = decoder._always_fits
            self._most_frames = decoder._max_frames
            self._stored = decoder.give_rest()
        self._pos = 0
        self._ahead = MOST_AHEAD
        self._wakes_at = 1
        self._uncut = True

    # In the poller's set

    def ready(self, int events):
        self._ready(events)

    cdef int _ready(self, int events) except -1:
        cdef int found
        if events & ~C_EPOLLIN and self.blocked:
            self.blocked = False
            self._flush()
            if not self.blocked:
                self._owner.write_blocked()
        if events & ~C_EPOLLOUT and self.fd >= 0:
            if not self.reads or self._pipe._room_in() == 0:
                self._owner.read_slowly()
                return 0
            try:
                found = self._read_once()
            except Exception as error:
                self._owner.failed(error)
                return 0
            if found != C_CUT_ALL:
                self._owner.found(found)
        return 0

    cpdef object outgoing(self):
        if self.flushing or self._dirty or self.blocked or not self.writes:
            return
        if self.eager:
            self._flush()
            return
        self._dirty = True
        self._dirty_list.append(self)
        if PyList_GET_SIZE(self._dirty_list) == 1:
            self._ring()

    cpdef object flush(self):
        self._flush()

    cdef int _flush(self) except -1:
        cdef int found = C_WRITTEN
        self._dirty = False
        if self.flushing or self.blocked or not self.writes:
            return 0
        self.flushing = True
        try:
            while True:
                if self.has_control:
                    self.has_control = False
                    self._owner.add_control()
                found = self._write()
                if found != C_WRITTEN or not self.has_control:
                    break
        except OSError:
            self._owner.write_failed()
            return 0
        except Exception as error:
            self._owner.failed(error)
            return 0
        finally:
            self.flushing = False
        if found != C_WRITTEN:
            self.blocked = True
            self._owner.write_blocked()
        return 0

    # In

    def read_no_more(self):
        self.reads = False
        if self._wakes_at > 1 and self.fd >= 0:
            self._wakes_at = 1
            hs_wake_at(self.fd, 1)

    def read(self):
        return self._read_once()

    @property
    def between_messages(self):
        if self._decoder is None:
            return True
        if self._body != NULL or self._decoder._parts is not None:
            return False
        return self._stored is None or self._pos >= PyBytes_GET_SIZE(self._stored)

    cdef int _read_once(self) except -1:
        if self._reading:
            return C_CUT_ALL
        self._reading = True
        try:
            return self._read()
        finally:
            self._reading = False

    cdef int _read(self) except -1:
        cdef int found = self._read_all()
        cdef Py_ssize_t missing
        # While a large body is coming, be woken for a good part of it, or its end.
        if found == C_CUT_ALL and self._body != NULL and self.fd >= 0:
            missing = self._body_size - self._body_have
            missing = missing if missing < SOME_OF_BODY else SOME_OF_BODY
            if missing != self._wakes_at:
                self._wakes_at = missing
                hs_wake_at(self.fd, <int> missing)
        elif self._wakes_at > 1 and self.fd >= 0:
            self._wakes_at = 1
            hs_wake_at(self.fd, 1)
        return found

    cdef int _read_all(self) except -1:
        cdef Py_ssize_t room
        # What is read after a command is for the next turn: a peer may write them without end.
        cdef Py_ssize_t left = 0 if self._goes_on else self.turn_bytes
        cdef Py_ssize_t came
        self._goes_on = False
        self._drained = False
        self._count = 0
        while self.fd >= 0:
            room = self._pipe._room_in()
            if room == 0:
                return C_NO_ROOM
            if self._uncut:
                self._cut_stored(room)
                if self._commanded:
                    self._commanded = False
                    self._goes_on = True
                    return C_COMMAND_CAME
                continue
            if self._drained or left <= 0:
                return C_CUT_ALL
            if self._count > 0 and self.turn_bytes - left >= ENOUGH:
                return C_CUT_ALL
            self._count = 0
            came = self._receive(room)
            if came < 0:
                return C_CUT_ALL
            if came == 0:
                return C_ENDED
            left -= came
            if self._commanded:
                self._commanded = False
                self._goes_on = True
                return C_COMMAND_CAME
        return C_CUT_ALL

    cdef int _cut_stored(self, Py_ssize_t room) except -1:
        cdef bytes stored = self._stored
        if stored is None:
            self._uncut = False
            return 0
        return self._cut(
            <const unsigned char*> PyBytes_AS_STRING(stored), self._pos,
            PyBytes_GET_SIZE(stored), room, stored,
        )

    cdef Py_ssize_t _receive(self, Py_ssize_t room) except -2:
        """Read once, and cut; returns how many bytes came, or -1 for none now."""
        cdef iovec vector[2]
        cdef int used = 1
        cdef Py_ssize_t kept = 0
        cdef Py_ssize_t wanted
        cdef Py_ssize_t came
        cdef Py_ssize_t missing = 0
        if self._body != NULL:
            if self._body_have == self._body_space:
                self._grow()
            missing = self._body_space - self._body_have
            vector[0].iov_base = BytesData(self._body) + self._body_have
            vector[0].iov_len = missing
            wanted = missing
            if self._body_space == self._body_size:
                vector[1].iov_base = space_in
                vector[1].iov_len = self._ahead
                wanted += self._ahead
                used = 2
        else:
            if self._stored is not None:
                kept = PyBytes_GET_SIZE(self._stored) - self._pos
                if kept > SPACE_IN // 2:
                    return self._receive_more(room)
                memcpy(space_in, PyBytes_AS_STRING(self._stored) + self._pos, kept)
            vector[0].iov_base = space_in + kept
            wanted = self._ahead
            vector[0].iov_len = wanted
        while True:
            came = hs_recv(self.fd, vector, used)
            if came >= 0:
                break
            if errno == EINTR:
                continue
            if errno == EAGAIN:
                return -1
            PyErr_SetFromErrno(OSError)
        if came == 0:
            return 0
        self.heard = True
        self._drained = came < wanted and came < MUCH
        if self._body == NULL:
            if came == wanted and self._ahead < MOST_AHEAD:
                self._ahead *= 2
            self._stored = None
            self._cut(space_in, 0, kept + came, room, None)
        elif came < missing or self._body_space < self._body_size:
            self._body_have += came
            return came
        else:
            self._body_have = self._body_size
            self._cut(space_in, 0, came - missing, room, None)
        return came

    cdef Py_ssize_t _receive_more(self, Py_ssize_t room) except -2:
        """As _receive, where more is kept than there is space for: a long command, perhaps."""
        cdef iovec vector
        cdef Py_ssize_t came
        vector.iov_base = space_in
        vector.iov_len = SPACE_IN
        came = hs_recv(self.fd, &vector, 1)
        if came < 0:
            if errno == EAGAIN or errno == EINTR:
                return -1
            PyErr_SetFromErrno(OSError)
        if came > 0:
            self.heard = True
            self._drained = came < MUCH
            self._stored = self._stored[self._pos:] + PyBytes_FromStringAndSize(
                <char*> space_in, came
            )
            self._pos = 0
            self._uncut = True
        return came

    cdef int _grow(self) except -1:
        cdef Py_ssize_t space = min(self._body_size, 2 * self._body_space)
        _PyBytes_Resize(&self._body, space)
        self._body_space = space
        return 0

    cdef int _cut(
        self, const unsigned char* data, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t room,
        bytes stored,
    ) except -1:
        """Cut messages out of ``data`` into the pipe.

        What is left is kept before anybody is told, for ``data`` may be space_in. Till then no
        other code may run: nothing that is written in Python, where another thread may have its
        turn, and not the garbage collector, which calls what it finds.
        """
        cdef PipeQueues pipe = self._pipe
        cdef bint was_empty = pipe._count_incoming() == 0
        cdef list news = None
        cdef object error = None
        cdef int collects = PyGC_Disable()
        try:
            try:
                if pipe._conflate:
                    news = []
                self._cut_frames(data, &pos, end, room, news)
            except BaseException as raised:
                error = raised
            if pos >= end:
                self._stored = None
                self._pos = 0
            elif stored is not None:
                self._pos = pos
            else:
                self._stored = PyBytes_FromStringAndSize(<const char*> data + pos, end - pos)
                self._pos = 0
        finally:
            if collects:
                PyGC_Enable()
        self._uncut = self._commanded or self._count >= room
        if news is not None:
            if news:
                pipe.deliver(news)
        elif self._count > 0:
            pipe._arrived(self._count, self._bytes, was_empty)
        if error is not None:
            raise error
        return 0

    cdef int _cut_frames(
        self, const unsigned char* data, Py_ssize_t* at, Py_ssize_t end, Py_ssize_t room, list news
    ) except -1:
        cdef Queue inbox = self._pipe._inbox
        cdef FrameDecoder decoder = self._decoder
        cdef Py_ssize_t pos = at[0]
        cdef Py_ssize_t start, count = 0, size_in = 0
        cdef unsigned long long announced
        cdef Py_ssize_t size
        cdef int flags
        cdef object body
        cdef object message
        global longest
        try:
            if self._body != NULL and self._body_have == self._body_size:
                if self._body_size > longest:
                    longest = self._body_size
                    keep_freed(longest)
                body = <object> self._body
                Py_DECREF(body)
                self._body = NULL
                message = self._finished(self._body_flags, body)
                if message is not None:
                    count = 1
                    size_in += self._whole_size
                    self._put(inbox, news, message)
            while count < room:
                if pos == end:
                    break
                flags = data[pos]
                if flags & ~(MORE_FLAG | LONG_FLAG):
                    self._unusual(data + pos, end - pos, &pos)
                    break
                start = pos + (9 if flags & LONG_FLAG else 2)
                if start > end:
                    break
                announced = read_size(data + pos + 1) if flags & LONG_FLAG else data[pos + 1]
                if (
                    self._fits < 0
                    or announced > <unsigned long long> (self._fits - decoder._parts_size)
                    or decoder._parts is not None
                    and PyList_GET_SIZE(decoder._parts) >= self._most_frames
                ):
                    self._unusual(data + pos, end - pos, &pos)
                    break
                size = <Py_ssize_t> announced
                if size > end - start:
                    if size >= GATHER:
                        self._begin_body(data + start, end - start, size, flags)
                        pos = end
                    break
                body = PyBytes_FromStringAndSize(<const char*> data + start, size)
                pos = start + size
                if flags & MORE_FLAG or decoder._parts is not None:
                    message = self._finished(flags, body)
                    if message is None:
                        continue
                    size_in += self._whole_size
                    self._put(inbox, news, message)
                elif news is None:
                    inbox._items.append(body)
                    size_in += size
                else:
                    news.append(body)
                count += 1
        finally:
            at[0] = pos
            self._count = count
            self._bytes = size_in
        return 0

    cdef int _put(self, Queue inbox, list news, object message) except -1:
        if news is not None:
            news.append(message)
        else:
            inbox._items.append(message)
        return 0

    cdef object _finished(self, int flags, object body):
        """A frame is whole; returns the message, if that is, and leaves its size in _whole_size."""
        cdef FrameDecoder decoder = self._decoder
        cdef list parts = decoder._parts
        if flags & MORE_FLAG:
            if parts is None:
                decoder._parts = hs_begin_list(body)
            else:
                parts.append(body)
            decoder._parts_size += PyBytes_GET_SIZE(body)
            return None
        self._whole_size = decoder._parts_size + PyBytes_GET_SIZE(body)
        if parts is None:
            return body
        parts.append(body)
        decoder._parts = None
        decoder._parts_size = 0
        return parts

    cdef int _begin_body(
        self, const unsigned char* data, Py_ssize_t have, Py_ssize_t size, int flags
    ) except -1:
        cdef Py_ssize_t space = size if size < FIRST_PART else FIRST_PART
        if size >= LARGE_BODY:
            self._ahead = LEAST_AHEAD
        self._body = NewBytes(NULL, space)
        self._body_size = size
        self._body_space = space
        self._body_have = have
        self._body_flags = flags
        memcpy(BytesData(self._body), data, have)
        return 0

    cdef int _unusual(self, const unsigned char* data, Py_ssize_t have, Py_ssize_t* pos) except -1:
        """A command, or a mistake, which the decoder explains."""
        cdef FrameDecoder decoder = self._decoder
        cdef Py_ssize_t left
        cdef Py_ssize_t header = 9 if data[0] & LONG_FLAG else 2
        cdef unsigned long long announced
        if have > header:
            # This frame alone; and where it is not whole, no more than tells whether it may come.
            announced = read_size(data + 1) if header == 9 else data[1]
            if announced <= <unsigned long long> (have - header):
                have = header + <Py_ssize_t> announced
            else:
                have = header + 1
        decoder.feed(PyBytes_FromStringAndSize(<const char*> data, have))
        frame = decoder.next_frame(-1, Reason.BAD_FRAME)
        left = len(decoder.give_rest())
        if frame is None:
            decoder._body = None
            decoder._missing = 0
        else:
            self.command = frame[1]
            self._commanded = True
            pos[0] += have - left
        return 0

    # Out

    @property
    def has_outgoing(self):
        some = self.has_control or self._buffers is not None or self._control is not None
        return some or self._pipe.has_outgoing

    def add_control(self, bytes data not None):
        if self._control is None:
            self._control = []
        self._control.append(data)

    def write(self):
        return self._write()

    cdef int _write(self) except -1:
        """Write until there is an answer.

        Between looking at what is next and noting what the system took of it no other code may
        run, so not the garbage collector either: it might send, or write by another connection.
        """
        cdef PipeQueues pipe = self._pipe
        cdef Py_ssize_t written = 0
        cdef int found, collects
        while self.fd >= 0:
            if self._buffers is None and self._control is None and pipe._outbox._count() == 0:
                return C_WRITTEN
            collects = PyGC_Disable()
            try:
                found = self._write_once(&written)
            finally:
                if collects:
                    PyGC_Enable()
            if found != C_GOES_ON:
                return found
            if self._whole_begun:
                self._whole_begun = False
                message = self._begun
                self._begun = None
                pipe._written(1, size_of(message))
            elif self._made_room:
                self._made_room = False
                pipe._room_again()
        return C_WRITTEN

    cdef int _write_once(self, Py_ssize_t* written) except -1:
        cdef Py_ssize_t came
        cdef Py_ssize_t count = 0
        cdef Py_ssize_t total = 0
        cdef Py_ssize_t payload = 0
        cdef int used = 0
        cdef Py_ssize_t sizes[C_BATCH_MESSAGES]
        cdef list buffers = self._buffers
        if buffers is None:
            self._skipped = 0
            if self._control is not None:
                self._buffers = buffers = [b"".join(self._control)]
                self._control = None
            else:
                count = self._encode(sizes, &used, &total, &payload)
                if count == 0:
                    return C_WRITTEN
                if self._huge or payload >= HUGE_BODY:
                    self._suit_system(count > 0 and payload >= count * HUGE_BODY)
        if written[0] >= self.turn_bytes:
            return C_TURN_OVER
        if count < 0:
            buffers = []
            encode_messages([self._pipe._outbox.look(0)], buffers)
        if count <= 0:
            used = self._point(buffers)
        came = hs_send(self.fd, vectors, used)
        if came < 0:
            if errno == EINTR:
                return C_GOES_ON
            if errno == EAGAIN:
                return C_BLOCKED
            PyErr_SetFromErrno(OSError)
        written[0] += came
        if count > 0:
            self._wrote(sizes, count, came, total, payload)
        elif count == 0:
            self._skip(came)
        elif came > 0:
            self._begin(buffers, came)
        self._whole_begun = self._buffers is None and self._begun is not None
        return C_GOES_ON

    cdef int _suit_system(self, bint huge) except -1:
        if huge:
            self._small_batches = 0
            if not self._huge:
                self._huge = True
                hs_hold_unsent(self.fd, HELD_OF_HUGE)
        elif self._huge:
            self._small_batches += 1
            if self._small_batches == SMALL_BATCHES:
                self._huge = False
                hs_hold_unsent(self.fd, HELD)
        return 0

    cdef Py_ssize_t _encode(
        self, Py_ssize_t* sizes, int* used, Py_ssize_t* total, Py_ssize_t* payload
    ) except -2:
        """Point ``vectors`` at what carries the next messages; returns how many those are.

        -1: the next one has more frames than fit, and has to be encoded as objects.
        """
        cdef Queue outbox = self._pipe._outbox
        cdef list items = outbox._items
        cdef Py_ssize_t place = outbox._oldest
        cdef Py_ssize_t last = PyList_GET_SIZE(items)
        cdef Py_ssize_t count = 0, bytes_out = 0, bodies = 0, filled = 0, segment = 0, size, before
        cdef int vector = 0
        cdef PyObject* message
        cdef bint is_list
        cdef Py_ssize_t frames, frame
        cdef PyObject* body
        global shared_batch, shared_total, shared_payload
        if self._pipe.shares and is_shared(items, place):
            vectors[0].iov_base = space_out
            vectors[0].iov_len = shared_total
            count = PyList_GET_SIZE(shared_batch)
            memcpy(sizes, shared_sizes, count * sizeof(Py_ssize_t))
            used[0] = 1
            total[0] = shared_total
            payload[0] = shared_payload
            return count
        shared_batch = None
        while (
            place < last and count < C_BATCH_MESSAGES and bodies < C_BATCH_BYTES
            and vector + 2 < MOST_VECTORS and filled + 9 + COPIED <= SPACE_OUT
        ):
            message = <PyObject*> PyList_GET_ITEM(items, place)
            is_list = not PyBytes_CheckExact(<object> message)
            frames = 1
            if is_list:
                if not isinstance(<object> message, list):
                    raise TypeError(f"not a message: {<object> message!r}")
                frames = PyList_GET_SIZE(<list> message)
                if not self._fits_space(<list> message, filled, vector):
                    if count == 0:
                        return -1
                    break
            before = bytes_out
            for frame in range(frames):
                body = message
                if is_list:
                    body = <PyObject*> PyList_GET_ITEM(<list> message, frame)
                size = PyBytes_GET_SIZE(<object> body)
                bytes_out += size
                bodies += size
                size = write_header(
                    space_out + filled, MORE_FLAG if frame + 1 < frames else 0, size
                )
                filled += size
                bytes_out += size
                size = PyBytes_GET_SIZE(<object> body)
                if size <= COPIED:
                    memcpy(space_out + filled, BytesData(body), size)
                    filled += size
                else:
                    vectors[vector].iov_base = space_out + segment
                    vectors[vector].iov_len = filled - segment
                    vectors[vector + 1].iov_base = BytesData(body)
                    vectors[vector + 1].iov_len = size
                    vector += 2
                    segment = filled
            sizes[count] = bytes_out - before
            count += 1
            place += 1
        if filled > segment:
            vectors[vector].iov_base = space_out + segment
            vectors[vector].iov_len = filled - segment
            vector += 1
        used[0] = vector
        total[0] = bytes_out
        payload[0] = bodies
        if self._pipe.shares and vector == 1:
            shared_batch = items[place - count:place]
            memcpy(shared_sizes, sizes, count * sizeof(Py_ssize_t))
            shared_total = bytes_out
            shared_payload = bodies
        return count

    cdef bint _fits_space(self, list message, Py_ssize_t filled, int vector) except -1:
        cdef Py_ssize_t size, needed = 0
        for frame in message:
            if not PyBytes_CheckExact(frame):
                raise TypeError(f"not a frame of a message: {frame!r}")
            size = PyBytes_GET_SIZE(frame)
            needed += 9
            if size <= COPIED:
                needed += size
            else:
                vector += 2
        return filled + needed <= SPACE_OUT and vector + 1 < MOST_VECTORS

    cdef int _wrote(
        self, Py_ssize_t* sizes, Py_ssize_t count, Py_ssize_t came, Py_ssize_t total,
        Py_ssize_t payload,
    ) except -1:
        cdef PipeQueues pipe = self._pipe
        cdef Py_ssize_t whole = 0
        cdef list buffers
        self._made_room = True
        if came == total:
            pipe._went_out(count, payload)
            return 0
        payload = 0
        while whole < count and sizes[whole] <= came:
            came -= sizes[whole]
            payload += size_of(pipe._outbox.look(whole))
            whole += 1
        pipe._went_out(whole, payload)
        self._made_room = whole > 0
        if came:
            buffers = []
            encode_messages([pipe._outbox.look(0)], buffers)
            self._begin(buffers, came)
        return 0

    cdef int _begin(self, list buffers, Py_ssize_t written) except -1:
        """Take the next message, of whose buffers so many bytes were written."""
        self._begun = self._pipe.take_outgoing(1, 1)[0]
        self._buffers = buffers
        self._skip(written)
        return 0

    cdef int _point(self, list buffers) except -1:
        """Point ``vectors`` at buffers, past what was written of the first."""
        cdef int used = 0
        for buffer in buffers:
            if used == MOST_VECTORS:
                break
            vectors[used].iov_base = PyBytes_AS_STRING(buffer)
            vectors[used].iov_len = PyBytes_GET_SIZE(buffer)
            used += 1
        vectors[0].iov_base = <char*> vectors[0].iov_base + self._skipped
        vectors[0].iov_len -= self._skipped
        return used

    cdef int _skip(self, Py_ssize_t count) except -1:
        cdef Py_ssize_t done = 0
        count += self._skipped
        for buffer in self._buffers:
            if count < PyBytes_GET_SIZE(buffer):
                break
            count -= PyBytes_GET_SIZE(buffer)
            done += 1
        del self._buffers[:done]
        if not self._buffers:
            self._buffers = None
        self._skipped = count
        return 0

    def close(self):
        self.fd = -1
        self._control = self._buffers = None
        if self._begun is not None:
            message = self._begun
            self._begun = None
            self._pipe.put_back([message], True)
