/* What the programs with libzmq share. */
#ifndef BENCH_ZMQ_SIDE_H
#define BENCH_ZMQ_SIDE_H

#include <zmq.h>

#include "job.h"

static UNUSED void must(int result, const char *what)
{
    if (result < 0)
        fail("%s: %s", what, zmq_strerror(zmq_errno()));
}

static UNUSED void *make_socket(void *context, int type)
{
    void *socket = zmq_socket(context, type);
    if (!socket)
        fail("zmq_socket: %s", zmq_strerror(zmq_errno()));
    int linger = 2000;
    must(zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger), "ZMQ_LINGER");
    return socket;
}

static UNUSED void no_limit(void *socket)
{
    int none = 0;
    must(zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none), "ZMQ_SNDHWM");
    must(zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none), "ZMQ_RCVHWM");
}

static UNUSED void bind_and_say(void *socket, const char *endpoint)
{
    char bound[256];
    size_t length = sizeof bound;
    must(zmq_bind(socket, endpoint), "zmq_bind");
    must(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &length), "ZMQ_LAST_ENDPOINT");
    printf("{\"event\": \"ready\", \"endpoint\": \"%s\"}\n", bound);
    fflush(stdout);
}

static UNUSED void keep(void *data, void *hint)
{
    (void)data;
    (void)hint;
}

/* Sends memory that lives as long as the program: large messages go without a copy. */
static UNUSED void send_static(void *socket, void *data, size_t size)
{
    if (size < 65536) {
        must(zmq_send(socket, data, size, 0), "zmq_send");
        return;
    }
    zmq_msg_t message;
    must(zmq_msg_init_data(&message, data, size, keep, NULL), "zmq_msg_init_data");
    must(zmq_msg_send(&message, socket, 0), "zmq_msg_send");
}

/* Receives a stream of chunks until its last message, and says the rate. */
static UNUSED void receive_stream(void *socket, const struct job *job)
{
    uint64_t received = 0, first = 0;
    double start = 0;
    zmq_msg_t message;
    must(zmq_msg_init(&message), "zmq_msg_init");
    for (;;) {
        must(zmq_msg_recv(&message, socket, 0), "zmq_msg_recv");
        int kind = check_stamp(zmq_msg_data(&message), zmq_msg_size(&message), received,
                               job->size);
        if (kind == END)
            break;
        if (kind == START) {
            start = now();
            first = received;
        }
        for (long i = 1; i < job->chunk; i++)
            must(zmq_msg_recv(&message, socket, 0), "zmq_msg_recv");
        received += (uint64_t)job->chunk;
    }
    double seconds = now() - start;
    zmq_msg_close(&message);
    printf("{\"event\": \"result\", \"count\": %llu, \"seconds\": %.9f, \"rate\": %.3f}\n",
           (unsigned long long)(received - first), seconds, (double)(received - first) / seconds);
    fflush(stdout);
}

/* Sends a stream of chunks for the time that the job gives. */
static UNUSED void send_stream(void *socket, const struct job *job)
{
    unsigned char *plain = malloc(job->size), *first = malloc(job->size);
    if (!plain || !first)
        fail("no memory");
    memset(plain, '-', job->size);
    memset(first, '.', job->size);
    struct pace pace = make_pace(job);
    uint64_t number = 0;
    for (int kind = RUN; kind != END; number += (uint64_t)job->chunk) {
        kind = next_kind(&pace);
        stamp(first, kind, number);
        must(zmq_send(socket, first, job->size, 0), "zmq_send");
        if (kind != END)
            for (long i = 1; i < job->chunk; i++)
                send_static(socket, plain, job->size);
    }
    free(first); /* zmq_send has copied it; what is plain may be on its way still */
}

/* Asks until the time is over, and says how long the replies took. */
static UNUSED void ask_and_say(void *socket, const struct job *job)
{
    unsigned char *request = malloc(job->size), *reply = malloc(job->size);
    if (!request || !reply)
        fail("no memory");
    memset(request, '.', job->size);
    struct samples samples = {0};
    uint64_t number = 0;
    double seconds[] = {job->warmup, job->seconds};
    for (int phase = 0; phase < 2; phase++) {
        samples.have = 0;
        double deadline = now() + seconds[phase];
        do {
            stamp(request, RUN, number++);
            double start = now();
            must(zmq_send(socket, request, job->size, 0), "zmq_send");
            int size = zmq_recv(socket, reply, job->size, 0);
            add_sample(&samples, 1e6 * (now() - start));
            if (size != (int)job->size || memcmp(reply, request, job->size))
                fail("a reply is not that to the request");
        } while (now() < deadline);
    }
    say_samples(&samples);
    free(samples.at);
    free(request);
    free(reply);
}

/* Replies to everything with itself, until an empty request or an error. */
static UNUSED void echo(void *socket)
{
    zmq_msg_t message;
    size_t size;
    do {
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, socket, 0) < 0)
            return;
        size = zmq_msg_size(&message);
        must(zmq_msg_send(&message, socket, 0), "zmq_msg_send");
    } while (size);
}

#endif
