/* The least that can stand between a REQ client and RabbitMQ: a ROUTER and a publisher in one epoll
 * loop, which copies bytes and keeps no more than one request in mind. It has one client, whose
 * requests fit into one frame, and direct reply-to. It publishes with confirms, and reads them;
 * without, if UNCONFIRMED is in its environment. */
#include "zmtp.h"

enum { METHOD = 1, HEADER = 2, BODY = 3, FRAME_END = 0xce };
enum { START_METHOD = 10 << 16 | 10, TUNE = 10 << 16 | 30, OPEN_OK = 10 << 16 | 41,
       CHANNEL_OPEN_OK = 20 << 16 | 11, CONSUME_OK = 60 << 16 | 21, DELIVER = 60 << 16 | 60,
       ACK = 60 << 16 | 80, SELECT_OK = 85 << 16 | 11 };

#define REPLY_TO "amq.rabbitmq.reply-to"
#define QUEUE "source"

static int broker;
static unsigned char in[1 << 18], out[1 << 17];
static size_t have, at_out;
static struct connection client;
static uint64_t asked, answered, confirmed;
static int is_answer; /* what the last header announced is the answer to the last request */

/* What is written next, into `out`. */

static void number(uint64_t value, int bytes)
{
    while (bytes--)
        out[at_out++] = (unsigned char)(value >> (8 * bytes));
}

static void bytes(const void *data, size_t size)
{
    memcpy(out + at_out, data, size);
    at_out += size;
}

static void short_string(const char *text)
{
    number(strlen(text), 1);
    bytes(text, strlen(text));
}

static size_t begin(int kind, int channel)
{
    number((uint64_t)kind, 1);
    number((uint64_t)channel, 2);
    at_out += 4;
    return at_out;
}

static void end(size_t start)
{
    size_t after = at_out;
    at_out = start - 4;
    number(after - start, 4);
    at_out = after;
    out[at_out++] = FRAME_END;
}

static void write_out(void)
{
    for (size_t done = 0; done < at_out;) {
        ssize_t count = send(broker, out + done, at_out - done, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN)
            fail("send to the broker: %s", strerror(errno));
        if (count > 0)
            done += (size_t)count;
    }
    at_out = 0;
}

static size_t method(int channel, uint32_t index)
{
    size_t start = begin(METHOD, channel);
    number(index, 4);
    return start;
}

static uint64_t read_number(const unsigned char *from, int size)
{
    uint64_t value = 0;
    while (size--)
        value = value << 8 | *from++;
    return value;
}

/* The next whole frame in `in`, or 0; its payload and size, its kind. */
static int frame_at(size_t at, unsigned char **payload, size_t *size)
{
    if (have - at < 8)
        return 0;
    *size = read_number(in + at + 3, 4);
    if (*size > sizeof in / 2)
        fail("a frame of %zu bytes", *size);
    if (have - at < *size + 8)
        return 0;
    if (in[at + 7 + *size] != FRAME_END)
        fail("a frame of the broker's has no end");
    *payload = in + at + 7;
    return in[at];
}

static void forget(size_t at)
{
    memmove(in, in + at, have - at);
    have -= at;
}

static int read_in(void)
{
    ssize_t count = recv(broker, in + have, sizeof in - have, 0);
    if (count < 0 && errno == EAGAIN)
        return 0;
    if (count <= 0)
        fail("the broker ended the connection%s%s", count ? ": " : "", count ? strerror(errno) : "");
    have += (size_t)count;
    return 1;
}

/* Blocks until a method comes, which has to be this one. */
static void wait_for(uint32_t index)
{
    unsigned char *payload;
    size_t size;
    int kind;
    write_out();
    while (!(kind = frame_at(0, &payload, &size)))
        read_in();
    if (kind != METHOD || read_number(payload, 4) != index)
        fail("the broker sent %d, method %u.%u", kind, payload[1], payload[3]);
    forget(size + 8);
}

static void log_in(const char *url)
{
    char user[64], password[64], host[64], vhost[256], endpoint[128];
    int port, one = 1;
    if (sscanf(url, "amqp://%63[^:]:%63[^@]@%63[^:]:%d/%255s", user, password, host, &port, vhost)
        != 5)
        fail("%s: expected amqp://user:password@address:port/vhost", url);
    snprintf(endpoint, sizeof endpoint, "tcp://%s:%d", host, port);
    struct sockaddr_in address = address_of(endpoint);
    broker = socket(AF_INET, SOCK_STREAM, 0);
    if (broker < 0 || connect(broker, (struct sockaddr *)&address, sizeof address))
        fail("connect to the broker: %s", strerror(errno));
    setsockopt(broker, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);

    bytes("AMQP\0\0\11\1", 8);
    wait_for(START_METHOD);
    size_t start = method(0, 10 << 16 | 11);
    number(0, 4);
    short_string("PLAIN");
    number(strlen(user) + strlen(password) + 2, 4);
    number(0, 1);
    bytes(user, strlen(user));
    number(0, 1);
    bytes(password, strlen(password));
    short_string("en_US");
    end(start);
    wait_for(TUNE);
    start = method(0, 10 << 16 | 31);
    number(1, 2);
    number(131072, 4);
    number(0, 2);
    end(start);
    start = method(0, 10 << 16 | 40);
    short_string(vhost);
    number(0, 2);
    end(start);
    wait_for(OPEN_OK);
    start = method(1, 20 << 16 | 10);
    number(0, 1);
    end(start);
    wait_for(CHANNEL_OPEN_OK);
    if (!getenv("UNCONFIRMED")) {
        start = method(1, 85 << 16 | 10);
        number(0, 1);
        end(start);
        wait_for(SELECT_OK);
    }
    start = method(1, 60 << 16 | 20);
    number(0, 2);
    short_string(REPLY_TO);
    short_string("relay");
    number(2, 1); /* no-ack */
    number(0, 4);
    end(start);
    wait_for(CONSUME_OK);
    fcntl(broker, F_SETFL, O_NONBLOCK);
}

/* From the client to the broker. */
static void forward(struct connection *c, int flags, unsigned char *body, size_t size)
{
    (void)c;
    if (flags & COMMAND || (flags & MORE && !size))
        return;
    if (flags & MORE || size > 60000)
        fail("a request of several frames, or of %zu bytes", size);
    char token[24];
    snprintf(token, sizeof token, "%llu", (unsigned long long)++asked);
    size_t start = method(1, 60 << 16 | 40);
    number(0, 2);
    short_string("");
    short_string(QUEUE);
    number(1, 1); /* mandatory */
    end(start);
    start = begin(HEADER, 1);
    number(60, 2);
    number(0, 2);
    number(size, 8);
    number(1 << 10 | 1 << 9, 2); /* correlation id, reply to */
    short_string(token);
    short_string(REPLY_TO);
    end(start);
    start = begin(BODY, 1);
    bytes(body, size);
    end(start);
    write_out();
}

static void answer(const unsigned char *body, size_t size)
{
    unsigned char frames[12] = {MORE, 0, size < 256 ? 0 : LONG};
    unsigned char *reply = out + sizeof out / 2;
    size_t head = 3;
    if (size < 256)
        frames[head++] = (unsigned char)size;
    else
        for (int i = 7; i >= 0; i--)
            frames[head++] = (unsigned char)(size >> (8 * i));
    memcpy(reply, frames, head);
    memcpy(reply + head, body, size);
    write_bytes(&client, reply, head + size);
}

/* From the broker to the client. */
static void take_frames(void)
{
    unsigned char *payload;
    size_t at = 0, size;
    int kind;
    if (!read_in())
        return;
    while ((kind = frame_at(at, &payload, &size))) {
        if (kind == HEADER) {
            /* Class, weight, size, flags; the correlation id is all that the service says. */
            char token[24];
            int length = snprintf(token, sizeof token, "%llu", (unsigned long long)asked);
            is_answer = size >= 15 + (size_t)length && payload[14] == length
                      && !memcmp(payload + 15, token, (size_t)length);
        } else if (kind == BODY) {
            if (is_answer && answered < asked) {
                answered = asked;
                answer(payload, size);
            }
        } else if (kind == METHOD) {
            uint64_t index = read_number(payload, 4);
            if (index == ACK)
                confirmed = read_number(payload + 4, 8);
            if (index != DELIVER && (index != ACK || confirmed > asked))
                fail("the broker sent method %u.%u", payload[1], payload[3]);
        }
        at += size + 8;
    }
    forget(at);
}

static void accept_client(const char *endpoint)
{
    char host[64];
    if (sscanf(endpoint, "tcp://%63[^:]:", host) != 1)
        fail("%s: expected tcp://address:*", endpoint);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1
        || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1)
        || getsockname(listener, (struct sockaddr *)&address, &length))
        fail("%s: %s", endpoint, strerror(errno));
    printf("{\"event\": \"ready\", \"endpoint\": \"tcp://%s:%d\"}\n", host, ntohs(address.sin_port));
    fflush(stdout);
    client.fd = accept(listener, NULL, NULL);
    if (client.fd < 0)
        fail("accept: %s", strerror(errno));
    setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(client.fd, F_SETFL, O_NONBLOCK);
}

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    log_in(job.broker);
    accept_client(job.endpoint);
    epoll_fd = epoll_create1(0);
    struct epoll_event events[2] = {{.events = EPOLLIN, .data.ptr = &client},
                                    {.events = EPOLLIN, .data.ptr = &broker}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client.fd, &events[0])
        || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, broker, &events[1]))
        fail("epoll_ctl: %s", strerror(errno));
    shake_hands(&client, "ROUTER");
    for (;;) {
        int count = epoll_wait(epoll_fd, events, 2, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr == &broker)
                take_frames();
            else
                read_frames(&client, forward);
    }
}
