/* Cancels, closes and want of buffers in every state of an op, under both
 * engines. Each race is a test with its own name. */
/* needs: src/core/v2_ring.c src/core/v2_ring_op.c src/core/v2_ring_epoll.c */
/* needs: src/core/v2_ring_io.c src/core/v2_ring_bufs.c src/core/v2_buf.c */
/* needs: src/core/v2_time.c src/core/v2_addr.c src/core/v2_log.c */
/* needs: src/core/v2_core.c */
/* libs: -luring */

#include "ring_test.h"

static const v2_buf_conf_t  tiny_bufs[V2_BUF_GROUPS] = {
    { 64, 2 }, { 128, 1 }, { 4096, 1 }
};


static int
is_canceled(const probe_t *p)
{
    return p->res == -ECANCELED && p->op.state == V2_OP_IDLE
           && p->flags == 0 && p->op.buf == NULL;
}


/* Fills the socket's send buffer. */
static void
fill(int fd)
{
    char  block[65536];

    memset(block, 'f', sizeof(block));

    while (write(fd, block, sizeof(block)) > 0) { /* void */ }
}


static void
test_cancel_idle_recv(void)
{
    int      fds[2];
    probe_t  rd;

    pair(fds, SOCK_STREAM);
    probe_init(&rd);

    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);
    turn(0);
    v2_ring_cancel(ring, &rd.op);
    is_int(rd.n, 0, "%s: a cancel does not call done()", engine);
    ok(run_until(&rd, 1) && is_canceled(&rd), "%s: idle recv", engine);

    /* in the turn in which it was armed */

    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);
    v2_ring_cancel(ring, &rd.op);
    v2_ring_cancel(ring, &rd.op);
    ok(run_until(&rd, 2) && is_canceled(&rd), "%s: fresh recv", engine);
    ok(stays(&rd, 2), "%s: once, though canceled twice", engine);

    v2_ring_cancel(ring, &rd.op);
    ok(stays(&rd, 2), "%s: the cancel of an idle op is nothing", engine);

    /* the data was not eaten */

    (void) !write(fds[1], "data", 4);
    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);
    ok(run_until(&rd, 3), "%s: and later it receives", engine);
    is_str(probe_text(&rd), "data", "%s: what came", engine);

    probe_drop(&rd);
    shut(fds[0]);
    shut(fds[1]);
}


static void
test_cancel_ready_recv(void)
{
    int       fds[2];
    char      rest[16];
    probe_t   rd;
    ssize_t   n;

    pair(fds, SOCK_STREAM);
    probe_init(&rd);

    (void) !write(fds[1], "data", 4);
    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);
    v2_ring_cancel(ring, &rd.op);
    ok(run_until(&rd, 1), "%s: a cancel with data there", engine);
    n = read(fds[0], rest, sizeof(rest));

    ok((is_canceled(&rd) && n == 4) || (rd.res == 4 && n == -1),
       "%s: loses no byte", engine);

    probe_drop(&rd);
    shut(fds[0]);
    shut(fds[1]);
}


static void
test_cancel_send(void)
{
    int       fds[2];
    probe_t   wr;

    tcp_pair(fds);
    probe_init(&wr);

    v2_ring_send(ring, &wr.op, fds[0], "x", 1);
    v2_ring_cancel(ring, &wr.op);
    ok(run_until(&wr, 1), "%s: a fresh send", engine);
    ok(wr.res == 1 || is_canceled(&wr), "%s: is made or canceled", engine);

    fill(fds[0]);
    v2_ring_send(ring, &wr.op, fds[0], "y", 1);
    ok(stays(&wr, 1), "%s: a send to a full socket waits", engine);
    v2_ring_cancel(ring, &wr.op);
    ok(run_until(&wr, 2) && is_canceled(&wr), "%s: is canceled", engine);

    shut(fds[0]);
    shut(fds[1]);
}


static void
test_cancel_sendv(void)
{
    int            fds[2];
    probe_t        wr;
    struct iovec   iov[3] = { { "a", 1 }, { "b", 1 }, { "c", 1 } };

    tcp_pair(fds);
    probe_init(&wr);
    fill(fds[0]);

    v2_ring_sendv(ring, &wr.op, fds[0], iov, 3);
    ok(stays(&wr, 0), "%s: a sendv to a full socket waits", engine);
    v2_ring_cancel(ring, &wr.op);
    ok(run_until(&wr, 1) && is_canceled(&wr), "%s: is canceled", engine);

    shut(fds[0]);
    shut(fds[1]);
}


static void
test_cancel_others(void)
{
    int                      l, u, p[2];
    char                     block[4096];
    probe_t                  ac, from, poll, wr;
    socklen_t                len;
    struct sockaddr_storage  ss;

    l = bound(AF_INET, SOCK_STREAM, &ss, &len);
    (void) listen(l, 8);
    u = bound(AF_INET, SOCK_DGRAM, &ss, &len);
    (void) !pipe2(p, O_CLOEXEC|O_NONBLOCK);
    memset(block, 0, sizeof(block));

    while (write(p[1], block, sizeof(block)) > 0) { /* void */ }

    probe_init(&ac);
    probe_init(&from);
    probe_init(&poll);
    probe_init(&wr);

    v2_ring_accept(ring, &ac.op, l);
    v2_ring_recvfrom(ring, &from.op, u, V2_BUF_HAND);
    v2_ring_poll(ring, &poll.op, u, POLLIN);
    v2_ring_write(ring, &wr.op, p[1], "w", 1);
    turn(5);
    turn(5);
    v2_ring_cancel(ring, &ac.op);
    v2_ring_cancel(ring, &from.op);
    v2_ring_cancel(ring, &poll.op);
    v2_ring_cancel(ring, &wr.op);

    ok(run_until(&ac, 1) && is_canceled(&ac), "%s: accept", engine);
    ok(run_until(&from, 1) && is_canceled(&from), "%s: recvfrom", engine);
    ok(run_until(&poll, 1) && is_canceled(&poll), "%s: poll", engine);
    ok(run_until(&wr, 1) && is_canceled(&wr), "%s: write", engine);

    shut(l);
    shut(u);
    shut(p[0]);
    shut(p[1]);
}


static probe_t  *victim;


static void
cancel_victim(v2_op_t *op)
{
    (void) op;
    v2_ring_cancel(ring, &victim->op);
}


/* Both have data, and the first to complete cancels the other, whose
 * completion stands behind its own. */
static void
test_cancel_from_done(void)
{
    int       a[2], b[2];
    char      rest[16];
    ssize_t   n;
    probe_t   one, two;
    unsigned  i, good;

    pair(a, SOCK_STREAM);
    pair(b, SOCK_STREAM);
    good = 0;

    for (i = 0; i < 20; i++) {
        probe_init(&one);
        probe_init(&two);
        victim = &two;
        one.then = cancel_victim;
        v2_ring_recv(ring, &one.op, a[0], V2_BUF_HAND);
        v2_ring_recv(ring, &two.op, b[0], V2_BUF_HAND);

        if (i % 2) {
            turn(0);
        }

        (void) !write(a[1], "a", 1);
        (void) !write(b[1], "b", 1);

        if (run_until(&one, 1) && run_until(&two, 1) && stays(&two, 1)) {
            n = read(b[0], rest, sizeof(rest));
            good += (is_canceled(&two) && n == 1)
                    || (two.res == 1 && n == -1);
        }

        probe_drop(&one);
        probe_drop(&two);
    }

    is_int(good, 20, "%s: canceled or received, never both", engine);

    shut(a[0]);
    shut(a[1]);
    shut(b[0]);
    shut(b[1]);
}


static int  rearm_fd;


static void
rearm(v2_op_t *op)
{
    probe_t  *p;

    p = v2_containerof(op, probe_t, op);

    if (p->n < 3) {
        v2_ring_recv(ring, op, rearm_fd, V2_BUF_HAND);
    }
}


/* The cancel is for the op's present life, not for the next. */
static void
test_cancel_then_rearm(void)
{
    int      fds[2];
    probe_t  rd;

    pair(fds, SOCK_STREAM);
    probe_init(&rd);
    rd.then = rearm;
    rearm_fd = fds[0];

    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);
    turn(0);
    (void) !write(fds[1], "1", 1);
    v2_ring_cancel(ring, &rd.op);
    ok(run_until(&rd, 1), "%s: a canceled op is armed in done()", engine);

    if (rd.n == 1 && rd.res == 1) {
        (void) !write(fds[1], "2", 1);
    }

    ok(run_until(&rd, 2), "%s: the next receives", engine);
    is_int(rd.res, 1, "%s: and is not canceled", engine);
    ok(stays(&rd, 2), "%s: nor the one after it", engine);
    v2_ring_cancel(ring, &rd.op);
    ok(run_until(&rd, 3) && is_canceled(&rd), "%s: until it is", engine);

    shut(fds[0]);
    shut(fds[1]);
}


/* Ten receives with data, two buffers: all are served, in the end. */
static void
test_no_buffers(void)
{
    int       fds[10][2], round;
    char      c;
    probe_t   rd[10];
    unsigned  i, held, good, most;

    for (i = 0; i < 10; i++) {
        pair(fds[i], SOCK_STREAM);
        probe_init(&rd[i]);
        v2_ring_recv(ring, &rd[i].op, fds[i][0], V2_BUF_HAND);
        c = (char) ('a' + i);
        (void) !write(fds[i][1], &c, 1);
    }

    good = most = 0;

    for (round = 0; good < 10 && round < 200; round++) {
        turn(5);
        held = 0;

        for (i = 0; i < 10; i++) {
            held += rd[i].buf != NULL;
        }

        most = v2_max(most, held);

        /* one buffer goes back in a round */

        for (i = 0; i < 10; i++) {
            if (rd[i].buf != NULL) {
                good += rd[i].res == 1
                        && *probe_text(&rd[i]) == (char) ('a' + i);
                probe_drop(&rd[i]);
                break;
            }
        }
    }

    is_int(good, 10, "%s: all receive", engine);
    ok(most <= 2, "%s: by two buffers at most (%u)", engine, most);

    good = 0;

    for (i = 0; i < 10; i++) {
        good += rd[i].n == 1;
        shut(fds[i][0]);
        shut(fds[i][1]);
    }

    is_int(good, 10, "%s: once each", engine);
}


/* Idle receives take none: a hundred of them, two buffers. */
static void
test_idle_no_buffers(void)
{
    int       fds[100][2];
    unsigned  i, n;
    probe_t   rd[100];

    for (i = 0; i < 100; i++) {
        pair(fds[i], SOCK_STREAM);
        probe_init(&rd[i]);
        v2_ring_recv(ring, &rd[i].op, fds[i][0], V2_BUF_HAND);
    }

    turn(0);
    turn(5);
    (void) !write(fds[77][1], "x", 1);
    ok(run_until(&rd[77], 1) && rd[77].res == 1,
       "%s: the one with data gets a buffer", engine);
    probe_drop(&rd[77]);

    n = 0;

    for (i = 0; i < 100; i++) {
        n += rd[i].n;

        if (i != 77) {
            v2_ring_cancel(ring, &rd[i].op);
        }
    }

    is_int(n, 1, "%s: the others wait", engine);
    n = 0;

    for (i = 0; i < 100; i++) {
        n += run_until(&rd[i], 1) && (i == 77 || is_canceled(&rd[i]));
        shut(fds[i][0]);
        shut(fds[i][1]);
    }

    is_int(n, 100, "%s: and can be canceled", engine);
}


static void
test_cancel_waiting(void)
{
    int                      a[2], b[2], u;
    probe_t                  one, two, from, *first, *second;
    unsigned                 i;
    socklen_t                len;
    struct sockaddr_storage  ss;

    pair(a, SOCK_STREAM);
    pair(b, SOCK_STREAM);
    u = bound(AF_INET, SOCK_DGRAM, &ss, &len);
    probe_init(&one);
    probe_init(&two);
    probe_init(&from);

    (void) !write(a[1], "one", 3);
    v2_ring_recv(ring, &one.op, a[0], V2_BUF_SMALL);
    ok(run_until(&one, 1), "%s: the only buffer is out", engine);

    (void) !write(b[1], "two", 3);
    v2_ring_recv(ring, &two.op, b[0], V2_BUF_SMALL);
    (void) sendto(u, "udp", 3, 0, (struct sockaddr *) &ss, len);
    v2_ring_recvfrom(ring, &from.op, u, V2_BUF_SMALL);
    ok(stays(&two, 0) && stays(&from, 0), "%s: others wait", engine);

    v2_ring_cancel(ring, &two.op);
    v2_ring_cancel(ring, &from.op);
    ok(run_until(&two, 1) && is_canceled(&two), "%s: canceled", engine);
    ok(run_until(&from, 1) && is_canceled(&from), "%s: and UDP", engine);

    v2_ring_recv(ring, &two.op, b[0], V2_BUF_SMALL);
    v2_ring_recvfrom(ring, &from.op, u, V2_BUF_SMALL);
    ok(stays(&two, 1) && stays(&from, 1), "%s: they wait again", engine);
    probe_drop(&one);

    /* whose turn it is first is the kernel's choice */

    for (i = 0; two.n + from.n < 3 && i < TEST_TURNS; i++) {
        turn(20);
    }

    ok(two.n + from.n == 3, "%s: until the buffer is back", engine);
    first = two.n == 2 ? &two : &from;
    second = two.n == 2 ? &from : &two;
    is_str(probe_text(first), first == &two ? "two" : "udp",
           "%s: one gets its data", engine);
    ok(stays(second, 1), "%s: the other goes on waiting", engine);
    probe_drop(first);
    ok(run_until(second, 2), "%s: one after the other", engine);
    is_str(probe_text(second), second == &two ? "two" : "udp",
           "%s: all of them", engine);
    is_int(from.flags, V2_CQE_DATAGRAM, "%s: whole", engine);

    probe_drop(second);
    shut(a[0]);
    shut(a[1]);
    shut(b[0]);
    shut(b[1]);
    shut(u);
}


/* The end of a stream needs no buffer that stays away. */
static void
test_eof_no_buffers(void)
{
    int      a[2], b[2];
    probe_t  one, two;

    pair(a, SOCK_STREAM);
    pair(b, SOCK_STREAM);
    probe_init(&one);
    probe_init(&two);

    (void) !write(a[1], "one", 3);
    v2_ring_recv(ring, &one.op, a[0], V2_BUF_SMALL);
    (void) run_until(&one, 1);
    (void) shutdown(b[1], SHUT_WR);
    v2_ring_recv(ring, &two.op, b[0], V2_BUF_SMALL);
    (void) stays(&two, 0);
    probe_drop(&one);
    ok(run_until(&two, 1) && two.res == 0, "%s: the end comes", engine);
    v2_ring_recv(ring, &one.op, a[0], V2_BUF_SMALL);
    (void) !write(a[1], "two", 3);
    ok(run_until(&one, 2) && one.res == 3, "%s: a buffer is left", engine);

    probe_drop(&one);
    shut(a[0]);
    shut(a[1]);
    shut(b[0]);
    shut(b[1]);
}


/* After a burst the ring keeps only a few buffers to itself, and receives
 * that were armed all the while go on. */
static void
test_burst(void)
{
    int       fds[48][2], round;
    unsigned  i, good;
    uint32_t  free_n;
    uint64_t  now;
    probe_t   rd[48];

    for (i = 0; i < 48; i++) {
        pair(fds[i], SOCK_STREAM);
        probe_init(&rd[i]);
        rd[i].then = probe_drop_now;
    }

    good = 0;
    now = v2_now_ms();

    for (round = 0; round < 20; round++) {
        for (i = 0; i < 48; i++) {
            (void) !write(fds[i][1], "burst", 5);
            v2_ring_recv(ring, &rd[i].op, fds[i][0], V2_BUF_HAND);
        }

        for (i = 0; i < 48; i++) {
            good += run_until(&rd[i], (unsigned) round + 1)
                    && rd[i].res == 5;
        }
    }

    is_int(good, 20 * 48, "%s: all bursts come", engine);

    for (i = 0; i < 48; i++) {
        v2_ring_recv(ring, &rd[i].op, fds[i][0], V2_BUF_HAND);
    }

    for (i = 0; i < 20; i++) {
        now += 300;
        v2_time_set(now);
        turn(0);
    }

    v2_time_set(0);
    free_n = v2_buf_free_n(V2_BUF_HAND);
    ok(free_n >= 64 - 8, "%s: then %u of 64 buffers are free", engine,
       free_n);

    good = 0;

    for (i = 0; i < 48; i++) {
        (void) !write(fds[i][1], "after", 5);
    }

    for (i = 0; i < 48; i++) {
        good += run_until(&rd[i], 21) && rd[i].res == 5;
        shut(fds[i][0]);
        shut(fds[i][1]);
    }

    is_int(good, 48, "%s: and idle receives go on", engine);
}


/* Cancel recv and send, close when both are over, while the peer sends and
 * resets; the fd numbers come again at once. */
static void
test_close_race(void)
{
    int            fds[2];
    unsigned       i, good;
    probe_t        rd, wr;
    struct linger  lg = { 1, 0 };

    good = 0;

    for (i = 0; i < 100; i++) {
        tcp_pair(fds);
        probe_init(&rd);
        probe_init(&wr);
        v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);

        if (i & 1) {
            fill(fds[0]);
        }

        v2_ring_send(ring, &wr.op, fds[0], "bye", 3);

        if (i & 2) {
            turn(0);
        }

        if (i & 4) {
            (void) !write(fds[1], "x", 1);
        }

        if (i & 8) {
            (void) setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
            (void) close(fds[1]);
        }

        v2_ring_cancel(ring, &rd.op);
        v2_ring_cancel(ring, &wr.op);
        good += run_until(&rd, 1) && run_until(&wr, 1);
        probe_drop(&rd);
        shut(fds[0]);

        if (!(i & 8)) {
            shut(fds[1]);
        }
    }

    is_int(good, 100, "%s: a hundred lives of one number", engine);
}


static void
test_reset(void)
{
    int            fds[2];
    probe_t        rd, wr;
    struct linger  lg = { 1, 0 };

    tcp_pair(fds);
    probe_init(&rd);
    probe_init(&wr);
    fill(fds[0]);
    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);
    v2_ring_send(ring, &wr.op, fds[0], "x", 1);
    turn(5);
    (void) setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
    (void) close(fds[1]);

    ok(run_until(&rd, 1) && run_until(&wr, 1), "%s: a reset ends", engine);
    ok(rd.res == -ECONNRESET || wr.res == -ECONNRESET,
       "%s: with ECONNRESET", engine);
    ok(rd.res <= 0 && wr.res < 0, "%s: both", engine);
    shut(fds[0]);
}


static void
test_close_listener(void)
{
    int                      l, c;
    unsigned                 i, good;
    probe_t                  ac;
    socklen_t                len;
    struct sockaddr_storage  ss;

    good = 0;

    for (i = 0; i < 10; i++) {
        l = bound(AF_INET, SOCK_STREAM, &ss, &len);
        (void) listen(l, 8);
        c = socket(AF_INET, SOCK_STREAM, 0);
        probe_init(&ac);
        v2_ring_accept(ring, &ac.op, l);
        turn(0);
        (void) connect(c, (struct sockaddr *) &ss, len);

        victim = &ac;
        ac.then = cancel_victim;

        if (i & 1) {
            v2_ring_cancel(ring, &ac.op);
        }

        good += run_until(&ac, ac.n + 1);

        while (ac.op.state != V2_OP_IDLE && run_until(&ac, ac.n + 1)) {
            if (ac.res >= 0) {
                shut(ac.res);
            }
        }

        shut(l);
        shut(c);
    }

    is_int(good, 10, "%s: canceled by the first connection", engine);
    is_int(ac.op.state, V2_OP_IDLE, "%s: is over before the close", engine);
}


/* A registration must not outlive its fd where another has the file open. */
static void
test_close_shared(void)
{
    int                      u, copy, fds[2];
    probe_t                  from, rd;
    socklen_t                len;
    struct sockaddr_storage  ss;

    u = bound(AF_INET, SOCK_DGRAM, &ss, &len);
    probe_init(&from);
    probe_init(&rd);
    v2_ring_recvfrom(ring, &from.op, u, V2_BUF_HAND);
    turn(0);
    copy = fcntl(u, F_DUPFD_CLOEXEC, 200);
    v2_ring_cancel(ring, &from.op);
    (void) run_until(&from, 1);
    shut(u);

    pair(fds, SOCK_STREAM);
    is_int(fds[0], u, "%s: its number is used again", engine);
    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);
    (void) sendto(copy, "x", 1, 0, (struct sockaddr *) &ss, len);
    ok(stays(&rd, 0), "%s: the old file wakes nobody", engine);
    (void) !write(fds[1], "y", 1);
    ok(run_until(&rd, 1) && rd.res == 1, "%s: the new one does", engine);

    probe_drop(&rd);
    (void) close(copy);
    shut(fds[0]);
    shut(fds[1]);
}


static const ring_test_t  tests[] = {
    { "cancel of an idle recv", test_cancel_idle_recv, 0, NULL },
    { "cancel of a ready recv", test_cancel_ready_recv, 0, NULL },
    { "cancel of a send", test_cancel_send, 0, NULL },
    { "cancel of a sendv", test_cancel_sendv, 0, NULL },
    { "cancel of others", test_cancel_others, 0, NULL },
    { "cancel from done()", test_cancel_from_done, 0, NULL },
    { "cancel and re-arm", test_cancel_then_rearm, 0, NULL },
    { "no buffers", test_no_buffers, 0, tiny_bufs },
    { "no buffers, small queue", test_no_buffers, 8, tiny_bufs },
    { "idle needs no buffers", test_idle_no_buffers, 0, tiny_bufs },
    { "cancel of the waiting", test_cancel_waiting, 0, tiny_bufs },
    { "end without buffers", test_eof_no_buffers, 0, tiny_bufs },
    { "burst", test_burst, 0, NULL },
    { "close race", test_close_race, 0, NULL },
    { "reset", test_reset, 0, NULL },
    { "close of a listener", test_close_listener, 0, NULL },
    { "close of a shared fd", test_close_shared, 0, NULL }
};


int
main(void)
{
    ring_run(tests, v2_nelems(tests));

    return done_testing();
}
