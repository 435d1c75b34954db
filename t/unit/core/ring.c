/* Every op of the event engine, under both engines. Close and cancel races
 * are in ring_race.c. */
/* needs: src/core/v2_ring.c src/core/v2_ring_op.c src/core/v2_ring_epoll.c */
/* needs: src/core/v2_ring_io.c src/core/v2_ring_bufs.c src/core/v2_buf.c */
/* needs: src/core/v2_time.c src/core/v2_addr.c src/core/v2_log.c */
/* needs: src/core/v2_core.c */
/* libs: -luring */

#include "ring_test.h"


static void
test_stream(void)
{
    int       fds[2];
    probe_t   rd, wr;

    pair(fds, SOCK_STREAM);
    probe_init(&rd);
    probe_init(&wr);

    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_SMALL);
    ok(stays(&rd, 0), "%s: an idle receive does not complete", engine);
    is_int(rd.op.state, V2_OP_ARMED, "%s: it stays armed", engine);

    v2_ring_send(ring, &wr.op, fds[1], "hello", 5);
    is_int(wr.n, 0, "%s: done() is not called by arming", engine);
    ok(run_until(&wr, 1) && run_until(&rd, 1), "%s: both complete", engine);
    is_int(wr.res, 5, "%s: bytes sent", engine);
    is_int(rd.res, 5, "%s: bytes received", engine);
    is_str(probe_text(&rd), "hello", "%s: they stand behind HEAD", engine);
    ok(rd.buf != NULL && rd.buf->refs == 1, "%s: one reference", engine);
    is_int(rd.buf->group, V2_BUF_SMALL, "%s: of the group", engine);
    is_int(rd.op.state, V2_OP_IDLE, "%s: the op is idle again", engine);

    /* data that is there before the receive is armed */

    is_int(write(fds[1], "again", 5), 5, "%s: direct write", engine);
    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);
    ok(run_until(&rd, 2), "%s: a late receive completes", engine);
    is_str(probe_text(&rd), "again", "%s: with the data", engine);
    is_int(rd.buf->group, V2_BUF_HAND, "%s: in another group", engine);

    (void) shutdown(fds[1], SHUT_WR);
    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_SMALL);
    ok(run_until(&rd, 3), "%s: the end of stream completes it", engine);
    is_int(rd.res, 0, "%s: with 0", engine);
    is_int(rd.flags, 0, "%s: and no flags", engine);
    ok(rd.op.buf == NULL, "%s: and no buffer", engine);

    /* the other direction goes on */

    v2_ring_send(ring, &wr.op, fds[0], "answer", 6);
    v2_ring_recv(ring, &rd.op, fds[1], V2_BUF_SMALL);
    ok(run_until(&rd, 4), "%s: half-closed: the answer comes", engine);
    is_str(probe_text(&rd), "answer", "%s: whole", engine);
    ok(run_until(&wr, 2), "%s: its send completes", engine);

    probe_drop(&rd);
    shut(fds[0]);

    v2_ring_send(ring, &wr.op, fds[1], "x", 1);
    ok(run_until(&wr, 3), "%s: a send to nobody completes", engine);
    is_int(wr.res, -EPIPE, "%s: with EPIPE, without a signal", engine);
    shut(fds[1]);
}


static int       accepted[256];
static unsigned  accepted_n;


static void
on_accepted(v2_op_t *op)
{
    probe_t  *p;

    p = v2_containerof(op, probe_t, op);

    if (p->res >= 0) {
        accepted[accepted_n++] = p->res;
    }
}


static void
test_accept(void)
{
    int                      l;
    unsigned                 i, good;
    probe_t                  ac, *cn;
    socklen_t                len;
    struct sockaddr_storage  ss;

    enum { CONNS = 200 };

    cn = calloc(CONNS, sizeof(probe_t));
    l = bound(AF_INET, SOCK_STREAM, &ss, &len);
    (void) listen(l, 512);

    accepted_n = 0;
    probe_init(&ac);
    ac.then = on_accepted;
    v2_ring_accept(ring, &ac.op, l);

    for (i = 0; i < CONNS; i++) {
        probe_init(&cn[i]);
        v2_ring_connect(ring, &cn[i].op,
                        socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0),
                        &ss, len);
    }

    ok(run_until(&ac, CONNS), "%s: a storm of connections", engine);
    is_int(ac.more, CONNS, "%s: MORE with each", engine);
    is_int(ac.op.state, V2_OP_ARMED, "%s: it stays armed", engine);

    good = 0;

    for (i = 0; i < CONNS; i++) {
        good += run_until(&cn[i], 1) && cn[i].res == 0;
    }

    is_int(good, CONNS, "%s: all connects succeeded", engine);

    good = 0;

    for (i = 0; i < accepted_n; i++) {
        good += fcntl(accepted[i], F_GETFL) & O_NONBLOCK
                && fcntl(accepted[i], F_GETFD) & FD_CLOEXEC;
    }

    is_int(good, CONNS, "%s: non-blocking and close on exec", engine);

    /* each connection carries a byte */

    good = 0;

    for (i = 0; i < CONNS; i++) {
        cn[i].n = 0;
        cn[i].then = probe_drop_now;
        v2_ring_recv(ring, &cn[i].op, cn[i].op.fd, V2_BUF_HAND);
        (void) !write(accepted[i], "x", 1);
    }

    for (i = 0; i < CONNS; i++) {
        good += run_until(&cn[i], 1) && cn[i].res == 1;
    }

    is_int(good, CONNS, "%s: and carry bytes", engine);

    v2_ring_cancel(ring, &ac.op);
    ok(run_until(&ac, CONNS + 1), "%s: the cancel ends it", engine);
    is_int(ac.res, -ECANCELED, "%s: with ECANCELED", engine);
    is_int(ac.flags, 0, "%s: without MORE", engine);

    for (i = 0; i < CONNS; i++) {
        shut(cn[i].op.fd);
        shut(accepted[i]);
    }

    shut(l);
    free(cn);
}


static void
test_accept_emfile(void)
{
    int                      l, c1, c2;
    probe_t                  ac;
    socklen_t                len;
    struct rlimit            old, low;
    struct sockaddr_storage  ss;

    l = bound(AF_INET, SOCK_STREAM, &ss, &len);
    (void) listen(l, 8);
    c1 = socket(AF_INET, SOCK_STREAM, 0);
    c2 = socket(AF_INET, SOCK_STREAM, 0);

    accepted_n = 0;
    probe_init(&ac);
    ac.then = on_accepted;

    (void) getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = 3;
    (void) setrlimit(RLIMIT_NOFILE, &low);

    v2_ring_accept(ring, &ac.op, l);
    (void) connect(c1, (struct sockaddr *) &ss, len);
    ok(run_until(&ac, 1), "%s: accept at the limit completes", engine);
    is_int(ac.res, -EMFILE, "%s: with EMFILE", engine);
    is_int(ac.op.state, V2_OP_IDLE, "%s: and is over", engine);

    (void) setrlimit(RLIMIT_NOFILE, &old);
    v2_ring_accept(ring, &ac.op, l);
    ok(run_until(&ac, 2), "%s: armed again it finds the connection", engine);
    ok(ac.res >= 0 && ac.flags == V2_CQE_MORE, "%s: and goes on", engine);

    (void) connect(c2, (struct sockaddr *) &ss, len);
    ok(run_until(&ac, 3), "%s: and takes the next", engine);

    v2_ring_cancel(ring, &ac.op);
    (void) run_until(&ac, 4);
    shut(accepted[0]);
    shut(accepted[1]);
    shut(l);
    shut(c1);
    shut(c2);
}


static void
test_connect(void)
{
    int                      l, fd, fill[8];
    unsigned                 i;
    probe_t                  cn;
    socklen_t                len;
    struct sockaddr_storage  ss;

    l = bound(AF_INET, SOCK_STREAM, &ss, &len);
    probe_init(&cn);

    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);
    v2_ring_connect(ring, &cn.op, fd, &ss, len);
    ok(run_until(&cn, 1), "%s: a connect to a closed port ends", engine);
    is_int(cn.res, -ECONNREFUSED, "%s: with ECONNREFUSED", engine);
    shut(fd);

    /* a listener that is full answers nothing */

    (void) listen(l, 0);

    for (i = 0; i < 8; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);
        (void) connect(fill[i], (struct sockaddr *) &ss, len);
    }

    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);
    v2_ring_connect(ring, &cn.op, fd, &ss, len);
    ok(stays(&cn, 1), "%s: a connect without an answer waits", engine);
    v2_ring_cancel(ring, &cn.op);
    ok(run_until(&cn, 2), "%s: and can be canceled", engine);
    is_int(cn.res, -ECANCELED, "%s: with ECANCELED", engine);
    shut(fd);

    for (i = 0; i < 8; i++) {
        (void) close(fill[i]);
    }

    shut(l);

    fd = bound(AF_INET6, SOCK_STREAM, &ss, &len);
    (void) listen(fd, 8);
    l = socket(AF_INET6, SOCK_STREAM, 0);
    v2_ring_connect(ring, &cn.op, l, &ss, len);
    ok(run_until(&cn, 3) && cn.res == 0, "%s: a connect over IPv6", engine);
    shut(fd);
    shut(l);
}


static void
test_sendv(void)
{
    int            fds[2], got;
    char          *all, *in;
    size_t         i, sent, want, n;
    ssize_t        k;
    probe_t        wr;
    struct iovec   iov[1000];

    enum { STEP = 700 };

    tcp_pair(fds);
    probe_init(&wr);
    want = sizeof(iov) / sizeof(iov[0]) * STEP;
    all = malloc(want);
    in = malloc(want);

    for (i = 0; i < want; i++) {
        all[i] = (char) (i * 7 + i / 251);
    }

    /* nobody reads at first: the rest of it waits in the full socket */

    got = 0;
    sent = 0;

    while (sent < want) {
        n = 0;

        for (i = sent; i < want && n < 1000; i += STEP - i % STEP) {
            iov[n].iov_base = all + i;
            iov[n++].iov_len = STEP - i % STEP;
        }

        v2_ring_sendv(ring, &wr.op, fds[0], iov, (unsigned) n);
        memset(iov, 0xa5, sizeof(iov));

        while (wr.op.state != V2_OP_IDLE) {
            turn(1);

            while (sent != 0
                   && (k = read(fds[1], in + got, want - (size_t) got)) > 0)
            {
                got += (int) k;
            }
        }

        if (wr.res <= 0) {
            break;
        }

        sent += (size_t) wr.res;
    }

    for (i = 0; (size_t) got < want && i < TEST_TURNS; i++) {
        k = read(fds[1], in + got, want - (size_t) got);
        got += k > 0 ? (int) k : 0;
        turn(1);
    }

    is_int(sent, want, "%s: a thousand runs of bytes are sent", engine);
    ok(memcmp(all, in, want) == 0, "%s: in order", engine);

    shut(fds[0]);
    shut(fds[1]);
    free(all);
    free(in);
}


static void
test_segments(void)
{
    int       fds[2];
    unsigned  i, sum, want;
    uint8_t   byte;
    probe_t   rd, wr;

    tcp_pair(fds);
    probe_init(&rd);
    probe_init(&wr);
    sum = want = 0;

    for (i = 0; i < 500; i++) {
        byte = (uint8_t) i;
        want += byte;
        v2_ring_send(ring, &wr.op, fds[0], &byte, 1);

        if (rd.op.state == V2_OP_IDLE) {
            v2_ring_recv(ring, &rd.op, fds[1], V2_BUF_SMALL);
        }

        if (!run_until(&wr, i + 1) || !run_until(&rd, i + 1)
            || rd.res != 1)
        {
            break;
        }

        sum += rd.buf->data[V2_BUF_HEAD];
    }

    is_int(i, 500, "%s: single bytes, one by one", engine);
    is_int(sum, want, "%s: are the right ones", engine);

    probe_drop(&rd);
    shut(fds[0]);
    shut(fds[1]);
}


static uint64_t  relay_left, relay_sum;
static int       relay_to;
static probe_t   relay_wr;
static v2_buf_t *relay_buf;
static uint32_t  relay_at, relay_end;
static probe_t   relay_rd;


static void
relay_next(void)
{
    if (relay_at < relay_end) {
        v2_ring_send(ring, &relay_wr.op, relay_to,
                     relay_buf->data + V2_BUF_HEAD + relay_at,
                     relay_end - relay_at);
        return;
    }

    if (relay_buf != NULL) {
        v2_buf_put(relay_buf);
        relay_buf = NULL;
    }

    v2_ring_recv(ring, &relay_rd.op, relay_rd.op.fd, V2_BUF_LARGE);
}


static void
relay_sent(v2_op_t *op)
{
    (void) op;

    if (relay_wr.res > 0) {
        relay_at += (uint32_t) relay_wr.res;
        relay_next();
    }
}


static void
relay_came(v2_op_t *op)
{
    (void) op;

    relay_buf = relay_rd.buf;
    relay_rd.buf = NULL;

    if (relay_buf == NULL) {
        (void) shutdown(relay_to, SHUT_WR);
        return;
    }

    relay_at = 0;
    relay_end = (uint32_t) relay_rd.res;
    relay_next();
}


static void
test_bulk(void)
{
    int       in[2], out[2], end;
    size_t    i, n;
    uint64_t  want, size;
    ssize_t   k;
    uint8_t   block[65536];

    tcp_pair(in);
    tcp_pair(out);
    size = 24u << 20;
    relay_left = size;
    relay_sum = want = 0;
    relay_to = out[0];
    probe_init(&relay_rd);
    probe_init(&relay_wr);
    relay_rd.then = relay_came;
    relay_wr.then = relay_sent;
    v2_ring_recv(ring, &relay_rd.op, in[1], V2_BUF_LARGE);
    end = 0;

    for (i = 0; !end && i < 1000000; i++) {
        if (relay_left != 0) {
            n = v2_min(relay_left, sizeof(block));
            memset(block, (int) (relay_left >> 12), n);
            k = write(in[0], block, n);

            if (k > 0) {
                want += (uint64_t) block[0] * (uint64_t) k;
                relay_left -= (uint64_t) k;

                if (relay_left == 0) {
                    (void) shutdown(in[0], SHUT_WR);
                }
            }
        }

        turn(0);

        while ((k = read(out[1], block, sizeof(block))) > 0) {
            size -= (uint64_t) k;

            while (k != 0) {
                relay_sum += block[--k];
            }
        }

        end = k == 0;
    }

    ok(end, "%s: a relayed stream ends", engine);
    is_int(size, 0, "%s: has all its bytes", engine);
    is_int(relay_sum, want, "%s: and their sum", engine);

    probe_drop(&relay_rd);
    shut(in[0]);
    shut(in[1]);
    shut(out[0]);
    shut(out[1]);
}


static void
test_udp(int family)
{
    int                      a, b;
    char                     big[3000];
    probe_t                  rd, wr;
    v2_addr_t                to;
    socklen_t                len;
    struct sockaddr_storage  sa, sb;

    a = bound(family, SOCK_DGRAM, &sa, &len);
    b = bound(family, SOCK_DGRAM, &sb, &len);
    probe_init(&rd);
    probe_init(&wr);

    v2_addr_from_sa(&to, (struct sockaddr *) &sb);
    v2_ring_recvfrom(ring, &rd.op, b, V2_BUF_HAND);
    ok(stays(&rd, 0), "%s: an idle recvfrom waits", engine);

    v2_ring_sendto(ring, &wr.op, a, "datagram", 8, &to);
    memset(&to, 0xa5, sizeof(to));
    ok(run_until(&rd, 1) && run_until(&wr, 1), "%s: a datagram", engine);
    is_int(wr.res, 8, "%s: is sent", engine);
    is_str(probe_text(&rd), "datagram", "%s: comes", engine);
    is_int(rd.flags, V2_CQE_DATAGRAM, "%s: with the flag", engine);

    v2_addr_from_sa(&to, (struct sockaddr *) &sa);
    ok(rd.buf != NULL && v2_addr_eq(&rd.buf->addr, &to),
       "%s: and its sender", engine);

    v2_addr_from_sa(&to, (struct sockaddr *) &sb);
    v2_ring_sendto(ring, &wr.op, a, "", 0, &to);
    v2_ring_recvfrom(ring, &rd.op, b, V2_BUF_HAND);
    ok(run_until(&rd, 2) && run_until(&wr, 2), "%s: an empty one", engine);
    is_int(rd.res, 0, "%s: has no bytes", engine);
    is_int(rd.flags, V2_CQE_DATAGRAM, "%s: but the flag", engine);
    ok(rd.op.buf == NULL, "%s: and no buffer", engine);

    memset(big, 'b', sizeof(big));
    v2_ring_sendto(ring, &wr.op, a, big, sizeof(big), &to);
    v2_ring_recvfrom(ring, &rd.op, b, V2_BUF_HAND);
    ok(run_until(&rd, 3) && run_until(&wr, 3), "%s: a long one", engine);
    is_int(rd.res, 2048, "%s: is cut to the buffer", engine);
    is_int(rd.flags, V2_CQE_DATAGRAM|V2_CQE_TRUNC, "%s: and says so", engine);

    /* connected, and nobody there */

    (void) connect(a, (struct sockaddr *) &sb, len);
    v2_ring_sendto(ring, &wr.op, a, "two", 3, NULL);
    v2_ring_recvfrom(ring, &rd.op, b, V2_BUF_LARGE);
    ok(run_until(&rd, 4) && run_until(&wr, 4), "%s: connected", engine);
    is_str(probe_text(&rd), "two", "%s: comes too", engine);
    probe_drop(&rd);

    shut(b);
    v2_ring_recvfrom(ring, &rd.op, a, V2_BUF_HAND);
    v2_ring_sendto(ring, &wr.op, a, "lost", 4, NULL);
    ok(run_until(&rd, 5), "%s: the receive learns of a refusal", engine);
    is_int(rd.res, -ECONNREFUSED, "%s: as ECONNREFUSED", engine);
    (void) run_until(&wr, 5);
    shut(a);
}


static void
test_udp4(void)
{
    test_udp(AF_INET);
}


static void
test_udp6(void)
{
    test_udp(AF_INET6);
}


static void
test_poll(void)
{
    int      fds[2], again[2];
    char     byte;
    probe_t  in, out;

    pair(fds, SOCK_STREAM);
    probe_init(&in);
    probe_init(&out);

    v2_ring_poll(ring, &in.op, fds[0], POLLIN);
    v2_ring_poll(ring, &out.op, fds[0], POLLOUT);
    ok(run_until(&out, 1), "%s: a poll for writing completes", engine);
    is_int(out.res, POLLOUT, "%s: with its mask alone", engine);
    ok(stays(&in, 0), "%s: one for reading waits", engine);

    (void) !write(fds[1], "x", 1);
    ok(run_until(&in, 1), "%s: until data is there", engine);
    is_int(in.res & POLLIN, POLLIN, "%s: with POLLIN", engine);
    ok(stays(&in, 1), "%s: once", engine);

    v2_ring_poll(ring, &in.op, fds[0], POLLIN);
    ok(run_until(&in, 2), "%s: the data is there still", engine);

    is_int(read(fds[0], &byte, 1), 1, "%s: somebody else takes it", engine);
    v2_ring_poll(ring, &in.op, fds[0], POLLIN);
    ok(stays(&in, 2), "%s: then a poll is not fooled", engine);
    v2_ring_cancel(ring, &in.op);
    ok(run_until(&in, 3) && in.res == -ECANCELED, "%s: canceled", engine);

    /* a library closes its socket and opens another of the same number */

    (void) close(fds[0]);
    (void) close(fds[1]);
    pair(again, SOCK_STREAM);
    is_int(again[0], fds[0], "%s: the number is used again", engine);
    v2_ring_poll(ring, &in.op, again[0], POLLIN);
    ok(stays(&in, 3), "%s: nothing there yet", engine);
    (void) !write(again[1], "y", 1);
    ok(run_until(&in, 4), "%s: the new socket is watched", engine);

    v2_ring_recv(ring, &in.op, again[0], V2_BUF_HAND);
    ok(run_until(&in, 5) && in.res == 1, "%s: and can be read", engine);

    (void) close(again[1]);
    v2_ring_poll(ring, &in.op, again[0], POLLIN);
    ok(run_until(&in, 6), "%s: its end wakes the poll", engine);
    ok(in.res & POLLHUP, "%s: with POLLHUP", engine);
    shut(again[0]);
}


static void
test_write(void)
{
    int       fds[2];
    char      path[] = "/tmp/v2_ring_XXXXXX", block[65536];
    ssize_t   n;
    probe_t   wr;
    unsigned  blocking;

    probe_init(&wr);
    memset(block, 'w', sizeof(block));

    for (blocking = 0; blocking < 2; blocking++) {
        if (pipe2(fds, O_CLOEXEC|O_NONBLOCK) == -1) {
            return;
        }

        wr.n = 0;
        v2_ring_write(ring, &wr.op, fds[1], "line", 4);
        ok(run_until(&wr, 1) && wr.res == 4, "%s: a pipe", engine);

        while (write(fds[1], block, sizeof(block)) > 0) { /* void */ }

        if (blocking) {
            (void) fcntl(fds[1], F_SETFL, 0);
        }

        v2_ring_write(ring, &wr.op, fds[1], "more", 4);
        ok(stays(&wr, 1), "%s: a full one waits", engine);

        while ((n = read(fds[0], block, sizeof(block))) > 0) { /* void */ }

        ok(run_until(&wr, 2) && wr.res == 4, "%s: until it is read", engine);
        is_int(read(fds[0], block, sizeof(block)), 4, "%s: and comes",
               engine);

        (void) close(fds[0]);
        v2_ring_write(ring, &wr.op, fds[1], "none", 4);
        ok(run_until(&wr, 3) && wr.res == -EPIPE, "%s: no reader", engine);
        shut(fds[1]);
    }

    fds[0] = mkstemp(path);
    (void) unlink(path);
    wr.n = 0;
    v2_ring_write(ring, &wr.op, fds[0], "file", 4);
    ok(run_until(&wr, 1) && wr.res == 4, "%s: a file takes it", engine);
    v2_ring_write(ring, &wr.op, fds[0], "file", 4);
    ok(run_until(&wr, 2) && wr.res == 4, "%s: twice", engine);
    is_int(lseek(fds[0], 0, SEEK_END), 8, "%s: at its end", engine);
    shut(fds[0]);
}


static void
test_bad_fd(void)
{
    probe_t  p;

    probe_init(&p);

    v2_ring_recv(ring, &p.op, 9999, V2_BUF_HAND);
    ok(run_until(&p, 1) && p.res == -EBADF, "%s: recv: EBADF", engine);
    v2_ring_send(ring, &p.op, 9999, "x", 1);
    ok(run_until(&p, 2) && p.res == -EBADF, "%s: send: EBADF", engine);
    v2_ring_poll(ring, &p.op, 9999, POLLIN);
    ok(run_until(&p, 3) && p.res == -EBADF, "%s: poll: EBADF", engine);
    v2_ring_close(ring, &p.op, 9999);
    ok(run_until(&p, 4) && p.res == -EBADF, "%s: close: EBADF", engine);
    v2_ring_accept(ring, &p.op, 9999);
    ok(run_until(&p, 5) && p.res == -EBADF, "%s: accept: EBADF", engine);
}


static unsigned  slept, woke;


static void
on_sleep(void *arg)
{
    (void) arg;
    slept++;
}


static void
on_wake(void *arg)
{
    (void) arg;
    woke++;
}


static void
test_wait(void)
{
    int                    fds[2];
    probe_t                rd;
    uint64_t               start, ms;
    const v2_ring_hooks_t  hooks = { on_sleep, on_wake, NULL };

    slept = woke = 0;
    pair(fds, SOCK_STREAM);
    probe_init(&rd);
    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);

    v2_time_update();
    start = v2_now_ms();
    (void) v2_ring_wait(ring, 0, &hooks);
    is_int(slept + woke, 0, "%s: a look does not sleep", engine);

    (void) v2_ring_wait(ring, 30, &hooks);
    (void) v2_ring_wait(ring, 30, &hooks);
    v2_time_update();
    ms = v2_now_ms() - start;
    ok(ms >= 29 && ms < 2000, "%s: a wait ends by its time-out", engine);
    ok(slept >= 1 && slept == woke, "%s: the hooks stand around", engine);

    (void) !write(fds[1], "x", 1);
    v2_time_update();
    start = v2_now_ms();
    (void) v2_ring_wait(ring, 5000, &hooks);
    v2_time_update();
    ok(v2_now_ms() - start < 1000 && rd.n == 1, "%s: data ends it", engine);

    probe_drop(&rd);
    shut(fds[0]);
    shut(fds[1]);
}


static void
test_many(void)
{
    int       fds[100][2];
    unsigned  i, good;
    probe_t  *rd, *wr;

    rd = calloc(100, sizeof(probe_t));
    wr = calloc(100, sizeof(probe_t));

    for (i = 0; i < 100; i++) {
        pair(fds[i], SOCK_STREAM);
        probe_init(&rd[i]);
        probe_init(&wr[i]);
        rd[i].then = probe_drop_now;
        v2_ring_recv(ring, &rd[i].op, fds[i][0], V2_BUF_SMALL);
        v2_ring_send(ring, &wr[i].op, fds[i][1], &i, sizeof(i));
    }

    good = 0;

    for (i = 0; i < 100; i++) {
        good += run_until(&wr[i], 1) && wr[i].res == sizeof(i);
        good += run_until(&rd[i], 1) && rd[i].res == sizeof(i);
    }

    is_int(good, 200, "%s: more ops than the queue has entries", engine);

    for (i = 0; i < 100; i++) {
        shut(fds[i][0]);
        shut(fds[i][1]);
    }

    free(rd);
    free(wr);
}


static const ring_test_t  tests[] = {
    { "stream", test_stream, 0, NULL },
    { "accept", test_accept, 0, NULL },
    { "accept at the limit", test_accept_emfile, 0, NULL },
    { "connect", test_connect, 0, NULL },
    { "sendv", test_sendv, 0, NULL },
    { "segments", test_segments, 0, NULL },
    { "bulk", test_bulk, 0, NULL },
    { "udp4", test_udp4, 0, NULL },
    { "udp6", test_udp6, 0, NULL },
    { "poll", test_poll, 0, NULL },
    { "write", test_write, 0, NULL },
    { "bad fd", test_bad_fd, 0, NULL },
    { "wait", test_wait, 0, NULL },
    { "many", test_many, 8, NULL }
};


int
main(void)
{
    ring_run(tests, v2_nelems(tests));

    return done_testing();
}
