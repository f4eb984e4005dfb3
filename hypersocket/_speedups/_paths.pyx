# cython: language_level=3, binding=False
"""The compiled form of paths.py, in which a call that finishes at once raises nothing.

Of an awaitable that is done, ``__next__`` raises StopIteration with the result, which costs more
than all else that a call does. Since Python 3.10 a type can have a slot besides, am_send, that
returns the result. Cython has no name for it, so it is put in below.
"""

cimport cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from hypersocket._speedups._prefix_tree cimport PrefixTree
from hypersocket._speedups._queues cimport PipeQueues, size_of_singles
from hypersocket._speedups._turns cimport FairQueue, LoadBalancer

from hypersocket._reasons import DropReason
from hypersocket._speedups._wire import forget_shared

cdef extern from *:
    """
    static void hs_set_am_send(PyObject *type, sendfunc function) {
        ((PyTypeObject *) type)->tp_as_async->am_send = function;
        PyType_Modified((PyTypeObject *) type);
    }
    """
    int PyObject_GenericSetAttr(object, object, object) except -1
    Py_UCS4 PyUnicode_READ_CHAR(object, Py_ssize_t)
    ctypedef enum PySendResult:
        PYGEN_RETURN
    ctypedef PySendResult (*sendfunc)(PyObject*, PyObject*, PyObject**) noexcept
    void hs_set_am_send(object, sendfunc)
    Py_ssize_t C_ANY_NUMBER "PY_SSIZE_T_MAX"

PIECE = 12
PASSED_OVER = 256
AT_ONCE = 256
ANY_NUMBER = C_ANY_NUMBER
cdef enum:
    C_PIECE = 12
    C_PASSED_OVER = 256
    C_AT_ONCE = 256


cpdef Py_ssize_t cost_of(Py_ssize_t count, Py_ssize_t size):
    return (count >> 3) + (size >> C_PIECE)


@cython.final
cdef class Budget:
    cdef public Py_ssize_t left

    def __init__(self, Py_ssize_t left):
        self.left = left


@cython.final
cdef class _Finished:
    def __await__(self):
        return self  # for its slot's sake

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration


cdef PySendResult finished_send(PyObject* self, PyObject* value, PyObject** result) noexcept:
    Py_INCREF(None)
    result[0] = <PyObject*> None
    return PYGEN_RETURN


cdef _Finished _FINISHED = _Finished()
hs_set_am_send(_Finished, finished_send)


@cython.final
@cython.freelist(16)
cdef class SendCall:
    cdef SendPath _path
    cdef object _data

    def __init__(self, SendPath path not None, data):
        self._path = path
        self._data = data

    def __await__(self):
        cdef SendPath path = self._path
        if path is None:
            raise RuntimeError("cannot await a call of send() again: it has sent already")
        self._path = None
        if path.accepts(self._data):
            return _FINISHED
        return path.slow(self._data).__await__()

    def send(self, value):
        raise TypeError(f"to be awaited, not sent {value!r}")

    def throw(self, *error):
        raise TypeError(f"to be awaited, not thrown {error!r}")

    def close(self):
        pass


cdef inline SendCall make_call(SendPath path, object data):
    cdef SendCall call = SendCall.__new__(SendCall)
    call._path = path
    call._data = data
    return call


cdef class SendPath:
    cdef public bint is_open
    cdef public object slow
    cdef LoadBalancer _balancer
    cdef object _waiters
    cdef Budget _budget

    def __init__(self, LoadBalancer balancer, waiters, Budget budget not None, slow):
        self.is_open = False
        self._balancer = balancer
        self._waiters = waiters
        self._budget = budget
        self.slow = slow

    def call(self, data):
        return make_call(self, data)

    cpdef bint accepts(self, object data) except -1:
        if not self.is_open or self._budget.left <= 0 or len(self._waiters) > 0:
            return False
        return self._accepts(data)

    cdef bint _accepts(self, object data) except -1:
        if type(data) is not bytes or not self._balancer._send(data):
            return False
        self._budget.left -= 1 + (PyBytes_GET_SIZE(data) >> C_PIECE)
        return True


cdef inline Py_ssize_t size_of_frames(list frames) except -2:
    """Bytes in all frames; -1 where one is not of bytes."""
    cdef Py_ssize_t size = 0
    for frame in frames:
        if type(frame) is not bytes:
            return -1
        size += PyBytes_GET_SIZE(frame)
    return size


cdef class MultipartSendPath(SendPath):
    cdef bint _accepts(self, object data) except -1:
        cdef Py_ssize_t size
        cdef list frames
        if type(data) is not list:
            return False
        frames = <list> data
        size = size_of_frames(frames)
        if size < 0 or len(frames) < 2 or not self._balancer._send(frames[:]):
            return False
        self._budget.left -= 1 + (size >> C_PIECE)
        return True


cdef class RoutedSendPath(SendPath):
    cdef dict _peers

    def __init__(self, dict peers not None, waiters, Budget budget not None, slow):
        SendPath.__init__(self, None, waiters, budget, slow)
        self._peers = peers

    cdef bint _accepts(self, object data) except -1:
        cdef Py_ssize_t size, payload
        cdef list frames
        cdef PipeQueues pipe
        cdef object rest
        if type(data) is not list:
            return False
        frames = <list> data
        size = size_of_frames(frames)
        if size < 0 or len(frames) < 2:
            return False
        pipe = self._peers.get(frames[0])
        if pipe is None or pipe.closing:
            return False
        # Taken before there is asked for room, which may let another thread change the list.
        rest = frames[1] if len(frames) == 2 else frames[1:]
        payload = size - PyBytes_GET_SIZE(frames[0])
        if not pipe._has_room():
            return False
        pipe._send_sized(rest, payload)
        self._budget.left -= 1 + (size >> C_PIECE)
        return True


cdef class PublishPath(SendPath):
    cdef public bint is_plain
    cdef PrefixTree _tree
    cdef bint _multipart

    def __init__(self, PrefixTree tree not None, waiters, Budget budget not None, slow, bint multipart):
        SendPath.__init__(self, None, waiters, budget, slow)
        self.is_plain = True
        self._tree = tree
        self._multipart = multipart

    cdef bint _accepts(self, object data) except -1:
        cdef object topic = data
        cdef Py_ssize_t size
        cdef tuple audience
        cdef PipeQueues pipe
        if not self.is_plain:
            return False
        if self._multipart:
            if type(data) is not list or len(<list> data) < 2:
                return False
            size = size_of_frames(<list> data)
            if size < 0:
                return False
            topic = (<list> data)[0]
            data = (<list> data)[:]
        elif type(data) is bytes:
            size = PyBytes_GET_SIZE(data)
        else:
            return False
        audience = self._tree.find(<bytes?> topic)
        for pipe in audience:
            if pipe._has_room():
                pipe._send(data)
            else:
                pipe.drop(DropReason.HIGH_WATER_MARK)
        self._budget.left -= 1 + (len(audience) * (size + 128) >> C_PIECE)
        if len(audience) > 1:
            forget_shared()
        return True


cdef class ReceivePath:
    cdef public bint is_open
    cdef FairQueue _queue
    cdef list _head
    cdef object _waiters
    cdef Budget _budget
    cdef public object slow
    cdef object _refill
    cdef object _look
    cdef object _result

    def __init__(
        self, FairQueue queue not None, list head not None, waiters, Budget budget not None, slow,
        refill, look=None,
    ):
        self.is_open = False
        self._queue = queue
        self._head = head
        self._waiters = waiters
        self._budget = budget
        self.slow = slow
        self._refill = refill
        self._look = look

    def __await__(self):
        cdef object message
        if self.is_open and self._budget.left > 0 and not self._head and not self._waiters:
            message = self._take()
            if message is None:
                message = self._await_soon()
            if message is not None:
                if self._finish(message):
                    return self
                self._head.append(message)
        return self.slow().__await__()

    cdef object _await_soon(self):
        cdef object message
        self._refill()
        while self.is_open and not self._head and not self._waiters:
            message = self._take()
            if message is not None or self._look is None or not self._look():
                return message
        return None

    cdef object _take(self):
        return self._queue._take()

    cdef bint _finish(self, object message) except -1:
        if type(message) is not bytes:
            return False
        self._budget.left -= 1 + (PyBytes_GET_SIZE(message) >> C_PIECE)
        self._result = message
        return True

    def __iter__(self):
        return self

    def __next__(self):
        cdef object result = self._result
        self._result = None
        raise StopIteration(result)

    def send(self, value):
        raise TypeError(f"to be awaited, not sent {value!r}")

    def throw(self, *error):
        raise TypeError(f"to be awaited, not thrown {error!r}")

    def close(self):
        pass


cdef class MultipartReceivePath(ReceivePath):
    cdef bint _finish(self, object message) except -1:
        if type(message) is bytes:
            message = [message]
        # Checked: a transport from outside may have delivered something else.
        self._budget.left -= 1 + (size_of_frames(<list?> message) >> C_PIECE)
        self._result = message
        return True


cdef class BatchReceivePath(ReceivePath):
    cdef object _take(self):
        cdef list taken = self._queue.take_singles(C_ANY_NUMBER)
        cdef list more
        while 0 < len(taken) < C_AT_ONCE:
            more = self._queue.take_singles(C_ANY_NUMBER)
            if len(more) == 0:
                break
            taken += more
        return taken if len(taken) > 0 else None

    cdef bint _finish(self, object message) except -1:
        cdef list taken = message
        self._budget.left -= 1 + cost_of(len(taken), size_of_singles(taken))
        self._result = message
        return True


cdef class FilteredReceivePath(ReceivePath):
    cdef public bint inverted
    cdef object _covers

    def __init__(
        self, FairQueue queue not None, list head not None, waiters, Budget budget not None, slow,
        refill, covers,
    ):
        ReceivePath.__init__(self, queue, head, waiters, budget, slow, refill)
        self._covers = covers

    cdef object _take(self):
        return take_wanted(self, self._covers, self.inverted)


cdef class FilteredMultipartReceivePath(MultipartReceivePath):
    cdef public bint inverted
    cdef object _covers

    def __init__(
        self, FairQueue queue not None, list head not None, waiters, Budget budget not None, slow,
        refill, covers,
    ):
        MultipartReceivePath.__init__(self, queue, head, waiters, budget, slow, refill)
        self._covers = covers

    cdef object _take(self):
        return take_wanted(self, self._covers, self.inverted)


cdef object take_wanted(ReceivePath path, object covers, bint inverted):
    cdef object message
    cdef int passed = 0
    while passed < C_PASSED_OVER:
        message = path._queue._take()
        if message is None:
            break
        if <bint> covers(message if type(message) is bytes else message[0]) != inverted:
            if passed:
                path._budget.left -= passed >> 3  # as cost_of() says
            return message
        passed += 1
    path._budget.left -= passed >> 3
    return None


cdef class RoutedReceivePath(MultipartReceivePath):
    cdef object _late
    cdef dict _lost

    def __init__(
        self, FairQueue queue not None, list head not None, waiters, Budget budget not None, slow,
        refill, look=None, *, late, dict lost not None,
    ):
        MultipartReceivePath.__init__(self, queue, head, waiters, budget, slow, refill, look)
        self._late = late
        self._lost = lost

    cdef object _take(self):
        cdef object message
        cdef object name
        cdef PipeQueues pipe
        if self._late:
            return self._late.popleft()
        if self._lost:
            self._lost.clear()
        message = self._queue._take()
        if message is None:
            return None
        pipe = self._queue.source
        name = pipe.routing_id
        if self._lost:
            name = self._lost.get(pipe, name)
        if type(message) is bytes:
            return [name, message]
        (<list?> message).insert(0, name)
        return message


cdef PySendResult received_send(PyObject* self, PyObject* value, PyObject** result) noexcept:
    cdef ReceivePath path = <ReceivePath> self
    cdef object message = path._result
    path._result = None
    Py_INCREF(message)
    result[0] = <PyObject*> message
    return PYGEN_RETURN


for kind in (
    ReceivePath, MultipartReceivePath, BatchReceivePath, FilteredReceivePath,
    FilteredMultipartReceivePath, RoutedReceivePath,
):
    hs_set_am_send(kind, received_send)


cdef class ShortWays:
    cdef public SendPath _send_path
    cdef public ReceivePath _receive_path
    cdef public SendPath _send_multipart_path
    cdef public ReceivePath _receive_multipart_path
    cdef public BatchReceivePath _receive_many_path

    def short_send(self, data):
        """Send one single-part message; waits while there is no room for it.

        Raises:
            StateError: it is not the socket's turn to send (REQ, REP).
            TypeError: ``data`` is not bytes-like.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has not sent.
        """
        return make_call(self._send_path, data)

    def short_recv(self):
        """Wait for a single-part message.

        Raises:
            MultipartError: the next message has several parts; it stays where it is.
            StateError: it is not the socket's turn to receive (REQ, REP).
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has lost nothing.
        """
        return self._receive_path

    def short_send_multipart(self, frames):
        """Send one message of several frames, all or none; waits while there is no room for it.

        Raises:
            StateError: it is not the socket's turn to send (REQ, REP).
            TypeError: a frame is not bytes-like.
            ValueError: there are no frames.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has not sent.
        """
        return make_call(self._send_multipart_path, frames)

    def short_recv_multipart(self):
        """Wait for a message of any number of frames.

        Raises:
            StateError: it is not the socket's turn to receive (REQ, REP).
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has lost nothing.
        """
        return self._receive_multipart_path

    def short_recv_many(self, max=None):
        """Wait for at least one single-part message, and take all that are there.

        Args:
            max: take no more than so many.

        Raises:
            MultipartError: the next message has several parts; it stays where it is. Single-part
                messages before it are returned first.
            ValueError: ``max`` is less than one.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has lost nothing.
        """
        cdef BatchReceivePath path = self._receive_many_path
        return path if max is None else path.slow(max)

    def __setattr__(self, name, value):
        if not isinstance(name, str):
            raise TypeError(f"attribute name must be string, not '{type(name).__name__}'")
        # The empty name has an end to be read as well.
        if PyUnicode_READ_CHAR(name, 0) == 0x5F:  # an underscore
            PyObject_GenericSetAttr(self, name, value)
        else:
            self._set_public(name, value)

    def _set_plainly(self, name, value):
        PyObject_GenericSetAttr(self, name, value)
