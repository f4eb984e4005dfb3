/* The job that a program is told, its stamps, its clock and its JSON lines: as in bench/job.py,
 * bench/stamp.py and bench/speak.py. */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

struct job {
    const char *endpoint, *broker;
    size_t size;
    double seconds, warmup;
    long chunk, batch, peers, count, subscriptions, scattered;
};

static UNUSED void fail(const char *format, ...)
{
    va_list arguments;
    printf("{\"event\": \"error\", \"text\": \"");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\"}\n");
    fflush(stdout);
    exit(1);
}

static UNUSED struct job parse_job(int argc, char **argv)
{
    struct job job = {.endpoint = "tcp://127.0.0.1:*", .broker = "", .size = 64, .seconds = 1, .warmup = 0.2,
                      .chunk = 64, .peers = 1};
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            fail("%s: expected key=value", argv[i]);
        *value++ = 0;
        const char *key = argv[i];
        if (!strcmp(key, "endpoint")) job.endpoint = value;
        else if (!strcmp(key, "broker")) job.broker = value;
        else if (!strcmp(key, "size")) job.size = strtoul(value, NULL, 10);
        else if (!strcmp(key, "seconds")) job.seconds = strtod(value, NULL);
        else if (!strcmp(key, "warmup")) job.warmup = strtod(value, NULL);
        else if (!strcmp(key, "chunk")) job.chunk = strtol(value, NULL, 10);
        else if (!strcmp(key, "batch")) job.batch = strtol(value, NULL, 10);
        else if (!strcmp(key, "peers")) job.peers = strtol(value, NULL, 10);
        else if (!strcmp(key, "count")) job.count = strtol(value, NULL, 10);
        else if (!strcmp(key, "subscriptions")) job.subscriptions = strtol(value, NULL, 10);
        else if (!strcmp(key, "scattered")) job.scattered = strtol(value, NULL, 10);
        else fail("no key %s", key);
    }
    if (job.size < 16)
        fail("a message has at least 16 bytes, for its stamp");
    return job;
}

/* One of the topics, of which there are job->subscriptions; as bench/benchmarks/subscriptions.py. */
#define TOPIC_SIZE 9

static UNUSED void format_topic(char topic[TOPIC_SIZE + 1], const struct job *job, long n)
{
    if (job->scattered)
        snprintf(topic, TOPIC_SIZE + 1, "t%08x", (unsigned)((uint64_t)n * 2654435761U & 0xffffffffU));
    else
        snprintf(topic, TOPIC_SIZE + 1, "t%08u", (unsigned)(n % 100000000));
}

static UNUSED double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static UNUSED void pause_for(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds,
                         .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&t, NULL);
}

enum { RUN, START, END, HELLO };

static UNUSED void stamp(unsigned char *message, int kind, uint64_t number)
{
    memset(message, 0, 16);
    message[0] = '#';
    message[1] = (unsigned char)kind;
    for (int i = 0; i < 8; i++)
        message[8 + i] = (unsigned char)(number >> (8 * i));
}

static UNUSED uint64_t stamp_number(const unsigned char *message)
{
    uint64_t number = 0;
    for (int i = 7; i >= 0; i--)
        number = number << 8 | message[8 + i];
    return number;
}

/* The kind of the message that should be this number; ends the program if it is another. */
static UNUSED int check_stamp(const unsigned char *message, size_t size, uint64_t number,
                              size_t expected)
{
    if (size != expected)
        fail("message %llu has %zu bytes in place of %zu", (unsigned long long)number, size,
             expected);
    if (message[0] != '#' || stamp_number(message) != number)
        fail("message %llu is not in its place: lost, repeated or out of order",
             (unsigned long long)number);
    return message[1];
}

/* Whether the parent has written a line, or has gone. */
static UNUSED int told(void)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

static UNUSED void wait_told(void)
{
    char byte;
    while (read(0, &byte, 1) == 1 && byte != '\n')
        ;
}

/* What the sender of a stream knows of the time: which kind the next stamp is. */
struct pace {
    double start, end;
    int started;
};

static UNUSED struct pace make_pace(const struct job *job)
{
    double start = now() + job->warmup;
    return (struct pace){.start = start, .end = start + job->seconds};
}

static UNUSED int next_kind(struct pace *pace)
{
    double time = now();
    if (time < pace->start)
        return RUN;
    if (!pace->started) {
        pace->started = 1;
        return START;
    }
    return time >= pace->end ? END : RUN;
}

/* Round-trip times. */
struct samples {
    double *at;
    size_t have, room;
};

static UNUSED void add_sample(struct samples *samples, double microseconds)
{
    if (samples->have == samples->room) {
        samples->room = samples->room ? 2 * samples->room : 4096;
        samples->at = realloc(samples->at, samples->room * sizeof *samples->at);
        if (!samples->at)
            fail("no memory");
    }
    samples->at[samples->have++] = microseconds;
}

static int compare_samples(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static UNUSED void say_samples(struct samples *samples)
{
    if (!samples->have)
        fail("no round trip was made");
    qsort(samples->at, samples->have, sizeof *samples->at, compare_samples);
    size_t last = samples->have - 1;
    printf("{\"event\": \"result\", \"samples\": %zu, \"quantiles\": [", samples->have);
    for (size_t n = 0; n <= 200; n++)
        printf("%s%.2f", n ? ", " : "", samples->at[last * n / 200]);
    printf("], \"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, \"p99.9\": %.2f}\n",
           samples->at[(size_t)((double)last * 0.5)], samples->at[(size_t)((double)last * 0.9)],
           samples->at[(size_t)((double)last * 0.99)],
           samples->at[(size_t)((double)last * 0.999)]);
    fflush(stdout);
}

#endif
