/* What the tests of the event engine share: a ring, probes that note their
 * completions, and sockets on the loopback. Each test runs under each engine
 * that the machine has.
 *
 *   1. A probe is one op; its notes are of the last completion, `n` counts
 *      them, and `more` those that left it armed.
 *   2. run_until() turns the loop until a probe has completed n times, and
 *      fails after some seconds instead of hanging. */

#ifndef RING_TEST_H
#define RING_TEST_H

#include "v2_config.h"
#include "v2_core.h"
#include "v2_ring.h"
#include "v2_buf.h"
#include "v2_log.h"
#include "v2_time.h"

#include "../tap.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEST_TURNS      400         /* of 20 ms, then a wait has failed */

typedef struct {
    v2_op_t      op;
    int          res;
    unsigned     flags;
    unsigned     n, more;
    v2_buf_t    *buf;
    void       (*then)(v2_op_t *op);        /* called by each completion */
} probe_t;

static v2_ring_t   *ring;
static const char  *engine;

static const v2_buf_conf_t  test_bufs[V2_BUF_GROUPS] = {
    { 2048, 64 }, { 16384 + 512, 64 }, { 262144, 16 }
};


static void
probe_done(v2_op_t *op, int res, unsigned flags)
{
    probe_t  *p;

    p = v2_containerof(op, probe_t, op);

    p->res = res;
    p->flags = flags;
    p->n++;
    p->more += (flags & V2_CQE_MORE) != 0;

    if (p->buf != NULL) {
        v2_buf_put(p->buf);
    }

    p->buf = op->kind == V2_OPK_RECV || op->kind == V2_OPK_RECVMSG
             ? op->buf : NULL;

    if (p->then != NULL) {
        p->then(op);
    }
}


__attribute__((unused)) static void
probe_init(probe_t *p)
{
    memset(p, 0, sizeof(probe_t));
    p->op.done = probe_done;
}


__attribute__((unused)) static void
probe_drop(probe_t *p)
{
    if (p->buf != NULL) {
        v2_buf_put(p->buf);
        p->buf = NULL;
    }
}


/* As `then`: for tests with more receives than buffers. */
__attribute__((unused)) static void
probe_drop_now(v2_op_t *op)
{
    probe_drop(v2_containerof(op, probe_t, op));
}


__attribute__((unused)) static const char *
probe_text(const probe_t *p)
{
    static char  text[256];
    size_t       n;

    if (p->buf == NULL) {
        return "";
    }

    n = v2_min((size_t) p->res, sizeof(text) - 1);
    memcpy(text, p->buf->data + V2_BUF_HEAD, n);
    text[n] = '\0';

    return text;
}


__attribute__((unused)) static void
turn(uint64_t ms)
{
    v2_time_update();

    if (v2_ring_wait(ring, ms, NULL) != V2_OK) {
        fail("%s: v2_ring_wait() failed", engine);
    }
}


__attribute__((unused)) static int
run_until(const probe_t *p, unsigned n)
{
    unsigned  i;

    for (i = 0; p->n < n && i < TEST_TURNS; i++) {
        turn(20);
    }

    return p->n >= n;
}


/* Nothing more is to come: a few turns must not change the probe. */
__attribute__((unused)) static int
stays(const probe_t *p, unsigned n)
{
    turn(5);
    turn(5);
    turn(0);

    return p->n == n;
}


/* Closes fds through the ring, as the worker does. */
__attribute__((unused)) static void
shut(int fd)
{
    probe_t  p;

    probe_init(&p);
    v2_ring_close(ring, &p.op, fd);
    (void) run_until(&p, 1);

    if (p.res != 0) {
        fail("%s: close(%d) says %d", engine, fd, p.res);
    }
}


__attribute__((unused)) static void
pair(int fds[2], int type)
{
    if (socketpair(AF_UNIX, type|SOCK_NONBLOCK|SOCK_CLOEXEC, 0, fds) == -1) {
        perror("socketpair");
        exit(2);
    }
}


/* A socket bound to a free loopback port; the address in sa. */
__attribute__((unused)) static int
bound(int family, int type, struct sockaddr_storage *ss, socklen_t *len)
{
    int                   fd;
    struct sockaddr_in   *in;
    struct sockaddr_in6  *in6;

    memset(ss, 0, sizeof(struct sockaddr_storage));
    ss->ss_family = (sa_family_t) family;

    if (family == AF_INET) {
        in = (struct sockaddr_in *) (void *) ss;
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *len = sizeof(struct sockaddr_in);

    } else {
        in6 = (struct sockaddr_in6 *) (void *) ss;
        in6->sin6_addr = in6addr_loopback;
        *len = sizeof(struct sockaddr_in6);
    }

    fd = socket(family, type|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (fd == -1 || bind(fd, (struct sockaddr *) ss, *len) == -1
        || getsockname(fd, (struct sockaddr *) ss, len) == -1)
    {
        perror("bind");
        exit(2);
    }

    return fd;
}


/* Two ends of one TCP connection, made without the ring. */
__attribute__((unused)) static void
tcp_pair(int fds[2])
{
    int                      l, one;
    socklen_t                len;
    struct sockaddr_storage  ss;

    l = bound(AF_INET, SOCK_STREAM, &ss, &len);
    one = 1;

    if (listen(l, 8) == -1) {
        perror("listen");
        exit(2);
    }

    fds[0] = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (connect(fds[0], (struct sockaddr *) &ss, len) == -1) {
        perror("connect");
        exit(2);
    }

    (void) fcntl(fds[0], F_SETFL, O_NONBLOCK);
    (void) setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    do {
        fds[1] = accept4(l, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);
    } while (fds[1] == -1 && errno == EAGAIN);

    (void) close(l);
}


__attribute__((unused)) static void
ring_start(unsigned which, unsigned entries, const v2_buf_conf_t *bufs)
{
    const char      *why;
    v2_ring_conf_t   conf;

    if (v2_buf_init(bufs) != V2_OK) {
        exit(2);
    }

    conf.engine = which;
    conf.entries = entries;
    why = NULL;
    ring = v2_ring_create(&conf, &why);

    if (ring == NULL) {
        exit(2);
    }

    engine = v2_ring_name(ring);
}


/* All buffers must have come home. */
__attribute__((unused)) static void
ring_stop(const char *what)
{
    unsigned  i, out;

    v2_ring_destroy(ring);
    out = 0;

    for (i = 0; i < V2_BUF_GROUPS; i++) {
        out += v2_buf_count(i) - v2_buf_free_n(i);
    }

    is_int(out, 0, "%s: %s: all buffers are back", engine, what);
    v2_buf_done();
}


typedef struct {
    const char           *name;
    void                (*run)(void);
    unsigned              entries;
    const v2_buf_conf_t  *bufs;
} ring_test_t;


/* Runs all tests under epoll, and under io_uring where it is allowed. */
__attribute__((unused)) static void
ring_run(const ring_test_t *tests, unsigned n)
{
    int              uring;
    unsigned         i, which;
    const char      *why;
    v2_ring_conf_t   conf = { V2_ENGINE_AUTO, 8 };

    (void) signal(SIGPIPE, SIG_IGN);
    v2_log_init(2, V2_LOG_WARN, -1);
    v2_time_update();

    (void) v2_buf_init(test_bufs);
    why = NULL;
    ring = v2_ring_create(&conf, &why);
    uring = ring != NULL && why == NULL;
    v2_ring_destroy(ring);
    v2_buf_done();

    if (!uring) {
        printf("# no io_uring here: %s\n", why);
    }

    for (which = V2_ENGINE_IO_URING; which <= V2_ENGINE_EPOLL; which++) {

        if (which == V2_ENGINE_IO_URING && !uring) {
            continue;
        }

        for (i = 0; i < n; i++) {
            ring_start(which, tests[i].entries ? tests[i].entries : 256,
                       tests[i].bufs ? tests[i].bufs : test_bufs);
            tests[i].run();
            ring_stop(tests[i].name);
        }
    }
}

#endif
