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

from hypersocket._speedups._turns cimport FairQueue, LoadBalancer

cdef extern from *:
    """
    static void hs_set_am_send(PyObject *type, sendfunc function) {
        ((PyTypeObject *) type)->tp_as_async->am_send = function;
        PyType_Modified((PyTypeObject *) type);
    }
    """
    ctypedef enum PySendResult:
        PYGEN_RETURN
    ctypedef PySendResult (*sendfunc)(PyObject*, PyObject*, PyObject**) noexcept
    void hs_set_am_send(object, sendfunc)

PIECE = 12
cdef enum:
    C_PIECE = 12


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


cdef class SendPath:
    cdef public bint is_open
    cdef public object slow
    cdef LoadBalancer _balancer
    cdef object _waiters
    cdef Budget _budget

    def __init__(
        self, LoadBalancer balancer not None, waiters, Budget budget not None, slow
    ):
        self.is_open = False
        self._balancer = balancer
        self._waiters = waiters
        self._budget = budget
        self.slow = slow

    def call(self, data):
        return make_call(self, data)

    cpdef bint accepts(self, object data) except -1:
        if type(data) is not bytes or not self.is_open or self._budget.left <= 0:
            return False
        if len(self._waiters) > 0 or not self._balancer._send(data):
            return False
        self._budget.left -= 1 + (PyBytes_GET_SIZE(data) >> C_PIECE)
        return True


cdef inline SendCall make_call(SendPath path, object data):
    cdef SendCall call = SendCall.__new__(SendCall)
    call._path = path
    call._data = data
    return call


cdef class ReceivePath:
    cdef public bint is_open
    cdef FairQueue _queue
    cdef list _head
    cdef object _waiters
    cdef Budget _budget
    cdef object _slow
    cdef object _refill
    cdef object _result

    def __init__(
        self, FairQueue queue not None, list head not None, waiters, Budget budget not None, slow,
        refill,
    ):
        self.is_open = False
        self._queue = queue
        self._head = head
        self._waiters = waiters
        self._budget = budget
        self._slow = slow
        self._refill = refill

    def __await__(self):
        cdef object message
        if self.is_open and self._budget.left > 0 and not self._head and not self._waiters:
            message = self._queue._take()
            if message is None:
                self._refill()
                if not self._head and not self._waiters:
                    message = self._queue._take()
            if type(message) is bytes:
                self._budget.left -= 1 + (PyBytes_GET_SIZE(message) >> C_PIECE)
                self._result = message
                return self
            if message is not None:
                self._head.append(message)
        return self._slow().__await__()

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


cdef PySendResult received_send(PyObject* self, PyObject* value, PyObject** result) noexcept:
    cdef ReceivePath path = <ReceivePath> self
    cdef object message = path._result
    path._result = None
    Py_INCREF(message)
    result[0] = <PyObject*> message
    return PYGEN_RETURN


hs_set_am_send(ReceivePath, received_send)


cdef class ShortWays:
    cdef public SendPath _send_path
    cdef public ReceivePath _receive_path

    def short_send(self, data):
        """One call of ``send``, to be awaited."""
        return make_call(self._send_path, data)

    def short_recv(self):
        """One call of ``recv``, to be awaited."""
        return self._receive_path
