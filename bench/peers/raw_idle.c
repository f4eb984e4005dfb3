/* Many connections that do nothing until told; then each asks once. */
#include "zmtp.h"

static struct job job;
static long served;

static void replied(struct connection *c, int flags, unsigned char *body, size_t size)
{
    if (flags & COMMAND || (flags & MORE && !size))
        return;
    check_stamp(body, size, (uint64_t)(c - connections), job.size);
    served++;
}

int main(int argc, char **argv)
{
    job = parse_job(argc, argv);
    if (job.size > 255)
        fail("size: expected at most 255");
    open_connections(&job, "REQ", replied);
    printf("{\"event\": \"ready\"}\n");
    fflush(stdout);
    wait_told();
    unsigned char frames[300] = {MORE, 0, 0, (unsigned char)job.size};
    double start = now();
    for (long i = 0; i < job.peers; i++) {
        stamp(frames + 4, RUN, (uint64_t)i);
        write_bytes(&connections[i], frames, 4 + job.size);
    }
    while (served < job.peers && serve(replied, 5000))
        ;
    printf("{\"event\": \"result\", \"served\": %ld, \"seconds\": %.9f}\n", served, now() - start);
    fflush(stdout);
    wait_told();
    return 0;
}
