# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled form of serving.py, which asks the system itself."""

from cpython.exc cimport PyErr_SetFromErrno
from cpython.mem cimport PyMem_RawRealloc
from cpython.object cimport PyObject
from libc.errno cimport EINTR, errno
from libc.string cimport memset

from hypersocket._speedups._wire cimport Wire

from hypersocket._speedups._wire import forget_shared

cdef extern from *:
    """
    #if defined(_WIN32)
    static int hs_look(int *fds, int n, double seconds) { return -1; }
    #else
    #include <poll.h>
    #include <sched.h>
    #include <time.h>
    #define HS_MOST_LOOKED_AT 8
    static double hs_now(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec + now.tv_nsec * 1e-9;
    }
    static int hs_look(int *fds, int n, double seconds) {
        struct pollfd each[HS_MOST_LOOKED_AT];
        double end = hs_now() + seconds;
        int i, is_over = 0;
        for (i = 0; i < n; i++) {
            each[i].fd = fds[i];
            each[i].events = POLLIN;
            each[i].revents = 0;
        }
        while (poll(each, n, 0) == 0) {
            if (is_over) return -1;
            /* The peer may have run on this very processor, and is to run, that something comes. */
            sched_yield();
            is_over = hs_now() >= end;
        }
        for (i = 0; i < n; i++) if (each[i].revents) return i;
        return 0;
    }
    #endif
    #if defined(__linux__)
    #include <sys/epoll.h>
    #else
    /* Where there is no such set, nobody asks. */
    #include <errno.h>
    struct epoll_event { unsigned events; struct { int fd; } data; };
    static int epoll_wait(int set, struct epoll_event *events, int most, int timeout) {
        errno = ENOSYS;
        return -1;
    }
    #endif
    """
    ctypedef struct epoll_data "epoll_data_t":
        int fd
    struct epoll_event:
        unsigned int events
        epoll_data data
    int epoll_wait(int set, epoll_event* events, int most, int timeout)
    int hs_look(int* fds, int n, double seconds) nogil

MOST_LOOKED_AT = 8
MOST_SERVED = 256
cdef enum:
    C_MOST_SERVED = 256

cdef struct place:
    PyObject* channel
    void* keeper

# The channels of the whole process, each kept by the one of Channels that it is in: a descriptor is
# one connection's alone, and what an event is for is found here sooner than in a dict.
cdef place* places = NULL
cdef Py_ssize_t places_size = 0


cdef int make_place(Py_ssize_t fd) except -1:
    global places, places_size
    cdef Py_ssize_t size = places_size
    cdef place* more
    if fd < size:
        return 0
    size = max(fd + 1, 2 * size, 64)
    more = <place*> PyMem_RawRealloc(places, size * sizeof(place))
    if more == NULL:
        raise MemoryError
    memset(more + places_size, 0, (size - places_size) * sizeof(place))
    places = more
    places_size = size
    return 0


cdef class Channels:
    cdef dict _all

    def __init__(self):
        self._all = {}

    def __dealloc__(self):
        cdef Py_ssize_t fd
        # None, if the garbage collector has taken it: whose places there are is not known then.
        if self._all is None or len(self._all) > 0:
            for fd in range(places_size):
                self._forget(fd)

    cdef void _forget(self, Py_ssize_t fd) noexcept:
        # The number may be another's by now, if who closed it has not said so.
        if places[fd].keeper == <void*> self:
            places[fd].keeper = NULL

    def __len__(self):
        return len(self._all)

    def add(self, int fd, channel):
        if fd < 0:
            raise ValueError(f"fd={fd}: expected a descriptor")
        make_place(fd)
        self._all[fd] = channel
        places[fd].channel = <PyObject*> channel
        places[fd].keeper = <void*> self

    def remove(self, int fd):
        if self._all.pop(fd, None) is None:
            return False
        self._forget(fd)
        return True

    def only(self):
        if len(self._all) != 1:
            return -1
        (fd,) = self._all
        return fd

    def ready(self, int fd, int events):
        channel = self._all.get(fd)
        if type(channel) is Wire:
            (<Wire> channel)._ready(events)
        elif channel is not None:
            channel.ready(events)

    def serve(self, epoll, int most):
        cdef epoll_event[C_MOST_SERVED] ready
        cdef int count, each, fd
        if not 0 < most <= C_MOST_SERVED:
            raise ValueError(f"most={most}: expected 1 to {C_MOST_SERVED}")
        count = epoll_wait(epoll.fileno(), ready, most, 0)
        if count < 0 and errno != EINTR:
            PyErr_SetFromErrno(OSError)
        for each in range(count):
            fd = ready[each].data.fd
            if fd >= places_size or places[fd].keeper != <void*> self:
                continue
            channel = <object> places[fd].channel
            if type(channel) is Wire:
                (<Wire> channel)._ready(<int> ready[each].events)
            else:
                channel.ready(ready[each].events)


def flush_dirty(list dirty not None):
    cdef list some
    while dirty:
        some = dirty[:]
        dirty.clear()
        for channel in some:
            if type(channel) is Wire:
                (<Wire> channel)._flush()
            else:
                channel.flush()
        forget_shared()


def look(descriptors, double seconds):
    cdef int[8] fds
    cdef int count = 0
    cdef int found
    for fd in descriptors:
        if count == MOST_LOOKED_AT:
            raise ValueError(f"expected at most {MOST_LOOKED_AT} descriptors")
        fds[count] = fd
        count += 1
    with nogil:
        found = hs_look(fds, count, seconds)
    return found
