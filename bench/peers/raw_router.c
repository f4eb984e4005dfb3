/* The least that can answer REQ clients: a ROUTER without queues, in one epoll loop, which gives
 * each request back as it came. */
#define _GNU_SOURCE
#include "zmtp.h"

enum { AT_ONCE = 256, LARGEST = 1 << 21 };

static unsigned char reply[2 + 9 + LARGEST] = {MORE, 0}; /* a request has an empty frame first */

static void answer(struct connection *c, int flags, unsigned char *body, size_t size)
{
    if (flags & (COMMAND | MORE))
        return;
    if (size > LARGEST)
        fail("a request of %zu bytes", size);
    size_t head = flags & LONG ? 9 : 2;
    memcpy(reply + 2, body - head, head + size);
    write_bytes(c, reply, 2 + head + size);
}

static int open_listener(const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64], port[8];
    socklen_t size = sizeof address;
    if (sscanf(endpoint, "tcp://%63[^:]:%7s", host, port) != 2
        || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        fail("%s: expected tcp://address:port", endpoint);
    address.sin_port = htons((uint16_t)atoi(port)); /* a * is 0, any */
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address)
        || listen(listener, 1000)
        || getsockname(listener, (struct sockaddr *)&address, &size))
        fail("%s: %s", endpoint, strerror(errno));
    printf("{\"event\": \"ready\", \"endpoint\": \"tcp://%s:%d\"}\n", host,
           ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void watch(int fd, struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

static void accept_all(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        if (!c)
            fail("no memory");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        watch(fd, c);
        shake_hands(c, "ROUTER");
    }
}

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    struct epoll_event events[AT_ONCE];
    peers_may_leave = 1;
    epoll_fd = epoll_create1(0);
    int listener = open_listener(job.endpoint);
    watch(listener, NULL);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, AT_ONCE, -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                accept_all(listener);
            else
                serve_one(c, events[i].events, answer);
        }
    }
}
