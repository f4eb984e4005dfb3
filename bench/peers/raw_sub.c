/* Many subscribers in one epoll loop, or one with many subscriptions; counts what it gets. */
#include "zmtp.h"

#define PATIENCE 15.0
#define SUBSCRIPTIONS_A_SECOND 40000.0

static struct job job;
static long greeted, ended, received;

/* Subscriptions are written many at once. */
static unsigned char pending[65536];
static size_t pending_size;

static void flush_pending(struct connection *c)
{
    write_bytes(c, pending, pending_size);
    pending_size = 0;
}

static void subscribe(struct connection *c, const char *topic, size_t size)
{
    if (pending_size + size + 3 > sizeof pending)
        flush_pending(c);
    unsigned char *frame = pending + pending_size;
    frame[0] = 0;
    frame[1] = (unsigned char)(size + 1);
    frame[2] = 1;
    memcpy(frame + 3, topic, size);
    pending_size += size + 3;
}

static void published(struct connection *c, int flags, unsigned char *body, size_t size)
{
    if (flags & COMMAND)
        return;
    if (size != job.size)
        fail("a message has %zu bytes in place of %zu", size, job.size);
    if (body[0] == '#' && body[1] == HELLO) {
        greeted += !c->more;
        c->more = c;
        return;
    }
    if (job.subscriptions) {
        /* Messages have topics; the one with a stamp is the last, and tells their number. */
        if (body[0] != '#') {
            c->received++;
            return;
        }
        check_stamp(body, size, (uint64_t)c->received, job.size);
        ended++;
        return;
    }
    int kind = check_stamp(body, size, (uint64_t)c->received, job.size);
    c->received++;
    received++;
    ended += kind == END;
}

int main(int argc, char **argv)
{
    job = parse_job(argc, argv);
    open_connections(&job, "SUB", published);
    for (long i = 0; i < job.peers; i++) {
        for (long n = 0; n < job.subscriptions; n++) {
            char topic[TOPIC_SIZE + 1];
            format_topic(topic, &job, n);
            subscribe(&connections[i], topic, TOPIC_SIZE);
        }
        subscribe(&connections[i], "#", 1);
        flush_pending(&connections[i]);
    }
    double deadline = now() + PATIENCE + (double)job.subscriptions / SUBSCRIPTIONS_A_SECOND;
    while (greeted < job.peers) {
        serve(published, 1000);
        if (now() > deadline)
            fail("%ld of %ld subscribers heard nothing, while messages for all were published",
                 job.peers - greeted, job.peers);
    }
    printf("{\"event\": \"ready\"}\n");
    fflush(stdout);
    while (ended < job.peers)
        if (!serve(published, 4000))
            fail("%ld of %ld messages did not arrive", job.peers * job.count - received,
                 job.peers * job.count);
    printf("{\"event\": \"result\", \"end\": %.9f, \"received\": %ld}\n", now(), received);
    fflush(stdout);
    wait_told();
    return 0;
}
