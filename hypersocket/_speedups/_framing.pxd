# The types of framing.py, for its compiled form.

cimport cython


cdef class FrameDecoder:
    cdef object _max_message_size, _max_frames, _max_command_size, _max_topic_message
    cdef bint _topics_only
    cdef Py_ssize_t _always_fits
    cdef object _body
    cdef Py_ssize_t _body_flags, _missing
    cdef bytes _data
    cdef Py_ssize_t _pos
    cdef object _later
    cdef list _parts
    cdef Py_ssize_t _parts_size
    @cython.locals(data=bytes, pos=Py_ssize_t, end=Py_ssize_t, plain=bint, size=Py_ssize_t,
                   start=Py_ssize_t, stop=Py_ssize_t, always_fits=Py_ssize_t, parts=list)
    cpdef object decode(self, list out, Py_ssize_t limit)
