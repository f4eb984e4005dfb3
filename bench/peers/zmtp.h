/* As much of ZMTP 3.0 as a raw program needs: one epoll, many connections, NULL mechanism. */
#ifndef BENCH_ZMTP_H
#define BENCH_ZMTP_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "job.h"

enum { MORE = 1, LONG = 2, COMMAND = 4 };

struct connection {
    int fd;
    int greeted, shaken;     /* has the peer's greeting, its READY */
    size_t have, room;       /* bytes read and not yet understood */
    unsigned char *bytes;
    size_t write_have, write_room; /* bytes to be written when there is room */
    unsigned char *to_write;
    long received;           /* messages, for the program */
    void *more;              /* the program's own */
};

/* A frame has come. */
typedef void on_frame(struct connection *c, int flags, unsigned char *body, size_t size);

static int epoll_fd = -1;
static struct connection *connections;
static int peers_may_leave; /* whether the end of a connection is no failure */

static UNUSED void want_writing(struct connection *c, int wanted)
{
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

static UNUSED void flush_bytes(struct connection *c)
{
    size_t done = 0;
    while (done < c->write_have) {
        ssize_t count = send(c->fd, c->to_write + done, c->write_have - done, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno == EAGAIN)
                break;
            fail("send: %s", strerror(errno));
        }
        done += (size_t)count;
    }
    memmove(c->to_write, c->to_write + done, c->write_have - done);
    c->write_have -= done;
    want_writing(c, c->write_have > 0);
}

static UNUSED void write_bytes(struct connection *c, const void *bytes, size_t size)
{
    if (!c->write_have) {
        ssize_t count = send(c->fd, bytes, size, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN)
            fail("send: %s", strerror(errno));
        if (count == (ssize_t)size)
            return;
        if (count > 0) {
            bytes = (const unsigned char *)bytes + count;
            size -= (size_t)count;
        }
        want_writing(c, 1);
    }
    if (c->write_have + size > c->write_room) {
        c->write_room = 2 * (c->write_have + size);
        c->to_write = realloc(c->to_write, c->write_room);
        if (!c->to_write)
            fail("no memory");
    }
    memcpy(c->to_write + c->write_have, bytes, size);
    c->write_have += size;
}

static UNUSED void shake_hands(struct connection *c, const char *type)
{
    unsigned char text[128] = {0xff, [9] = 0x7f, [10] = 3};
    memcpy(text + 12, "NULL", 4);
    unsigned char *at = text + 64, *start = at;
    size_t length = strlen(type);
    *at++ = COMMAND;
    at++;
    memcpy(at, "\5READY\13Socket-Type\0\0\0", 21);
    at += 21;
    *at++ = (unsigned char)length;
    memcpy(at, type, length);
    at += length;
    start[1] = (unsigned char)(at - start - 2);
    write_bytes(c, text, (size_t)(at - text));
}

/* Read what is there, and hand out whole frames. */
static UNUSED void read_frames(struct connection *c, on_frame *handle)
{
    if (c->room - c->have < 4096) {
        c->room = c->room ? 2 * c->room : 4096;
        c->bytes = realloc(c->bytes, c->room);
        if (!c->bytes)
            fail("no memory");
    }
    ssize_t count = recv(c->fd, c->bytes + c->have, c->room - c->have, 0);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0 && peers_may_leave) {
        close(c->fd);
        c->fd = -1;
        return;
    }
    if (count <= 0)
        fail("the peer ended a connection%s%s", count ? ": " : "", count ? strerror(errno) : "");
    c->have += (size_t)count;
    size_t at = 0;
    if (!c->greeted) {
        if (c->have < 64)
            return;
        c->greeted = 1;
        at = 64;
    }
    while (c->have - at >= 2) {
        int flags = c->bytes[at];
        size_t size = c->bytes[at + 1], head = 2;
        if (flags & LONG) {
            if (c->have - at < 9)
                break;
            size = 0;
            for (int i = 1; i < 9; i++)
                size = size << 8 | c->bytes[at + (size_t)i];
            head = 9;
        }
        if (c->have - at < head + size)
            break;
        unsigned char *body = c->bytes + at + head;
        if (flags & COMMAND) {
            if (size >= 6 && !memcmp(body, "\5READY", 6))
                c->shaken = 1;
            else if (size >= 6 && !memcmp(body, "\5ERROR", 6))
                fail("the peer refuses the connection");
        }
        handle(c, flags, body, size);
        at += head + size;
    }
    memmove(c->bytes, c->bytes + at, c->have - at);
    c->have -= at;
}

static UNUSED void serve_one(struct connection *c, uint32_t events, on_frame *handle)
{
    if (events & EPOLLOUT)
        flush_bytes(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_frames(c, handle);
}

/* Serve what is ready; returns how many connections were. */
static UNUSED int serve(on_frame *handle, int milliseconds)
{
    struct epoll_event events[256];
    int count = epoll_wait(epoll_fd, events, 256, milliseconds);
    if (count < 0 && errno != EINTR)
        fail("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        serve_one(events[i].data.ptr, events[i].events, handle);
    return count;
}

static UNUSED struct sockaddr_in address_of(const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    int port;
    if (sscanf(endpoint, "tcp://%63[^:]:%d", host, &port) != 2
        || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        fail("%s: expected tcp://address:port", endpoint);
    address.sin_port = htons((uint16_t)port);
    return address;
}

/* Open the job's connections and shake hands on all; few at a time are under way, so that none
 * has to wait for room in the listener's queue. */
static UNUSED void open_connections(const struct job *job, const char *type, on_frame *handle)
{
    struct sockaddr_in address = address_of(job->endpoint);
    epoll_fd = epoll_create1(0);
    connections = calloc((size_t)job->peers, sizeof *connections);
    if (!connections)
        fail("no memory");
    long shaken = 0, looked = 0;
    for (long i = 0; i < job->peers || shaken < job->peers;) {
        if (i < job->peers && i - shaken < 32) {
            struct connection *c = &connections[i++];
            int one = 1;
            c->fd = socket(AF_INET, SOCK_STREAM, 0);
            if (c->fd < 0)
                fail("socket: %s", strerror(errno));
            if (connect(c->fd, (struct sockaddr *)&address, sizeof address))
                fail("connect: %s", strerror(errno));
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            fcntl(c->fd, F_SETFL, O_NONBLOCK);
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
            if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event))
                fail("epoll_ctl: %s", strerror(errno));
            shake_hands(c, type);
            continue;
        }
        if (!serve(handle, 10000))
            fail("%ld of %ld connections were not accepted", job->peers - shaken, job->peers);
        for (looked = shaken; looked < i; looked++)
            if (connections[looked].shaken)
                shaken += looked == shaken;
    }
}

#endif
