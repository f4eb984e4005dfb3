/* Many REQ clients in one epoll loop, each with one request outstanding. */
#include "zmtp.h"

static struct job job;
static long counted;
static int measuring;
static unsigned char *frames; /* an empty frame, and the request's frame */
static size_t frames_size, head;

static void ask(struct connection *c)
{
    stamp(frames + head, RUN, (uint64_t)c->received);
    write_bytes(c, frames, frames_size);
}

static void replied(struct connection *c, int flags, unsigned char *body, size_t size)
{
    if (flags & COMMAND || (flags & MORE && !size))
        return;
    check_stamp(body, size, (uint64_t)c->received, job.size);
    c->received++;
    counted += measuring;
    ask(c);
}

int main(int argc, char **argv)
{
    job = parse_job(argc, argv);
    head = job.size < 256 ? 4 : 11;
    frames_size = head + job.size;
    frames = malloc(frames_size);
    if (!frames)
        fail("no memory");
    memset(frames, '.', frames_size);
    frames[0] = MORE;
    frames[1] = 0;
    frames[2] = head == 4 ? 0 : LONG;
    if (head == 4)
        frames[3] = (unsigned char)job.size;
    else
        for (int i = 0; i < 8; i++)
            frames[3 + i] = (unsigned char)((uint64_t)job.size >> (56 - 8 * i));
    open_connections(&job, "REQ", replied);
    for (long i = 0; i < job.peers; i++)
        ask(&connections[i]);
    double start = now() + job.warmup;
    while (now() < start)
        serve(replied, 100);
    measuring = 1;
    start = now();
    double end = start + job.seconds;
    while (now() < end)
        if (!serve(replied, 5000))
            fail("no reply for 5 seconds");
    double seconds = now() - start;
    for (long i = 0; i < job.peers; i++)
        if (!connections[i].received)
            fail("a client had no reply at all");
    printf("{\"event\": \"result\", \"count\": %ld, \"rate\": %.3f}\n", counted,
           (double)counted / seconds);
    fflush(stdout);
    wait_told();
    return 0;
}
