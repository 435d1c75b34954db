/* Happy Eyeballs over the ring. Two attempts may run; a third waits for the
 * failure of one. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conn.h"
#include "v2_dial.h"
#include "v2_log.h"
#include "v2_time.h"

#include <unistd.h>

static void v2_dial_on_timer(v2_timer_t *t);
static void v2_dial_on_connect(v2_op_t *op, int res, unsigned flags);
static void v2_dial_on_close(v2_op_t *op, int res, unsigned flags);
static void v2_dial_try(v2_dial_t *d);
static void v2_dial_finish(v2_dial_t *d, int fd, const v2_addr_t *addr);
static int v2_dial_pending(const v2_dial_t *d);


void
v2_dial_start(v2_dial_t *d)
{
    size_t  i;

    d->next = 0;
    d->err = EHOSTUNREACH;
    d->over = 0;
    d->deadline_ms = v2_now_ms() + V2_DIAL_MS;
    d->timer.fire = v2_dial_on_timer;

    for (i = 0; i < v2_nelems(d->attempts); i++) {
        d->attempts[i].fd = -1;
        d->attempts[i].op.done = v2_dial_on_connect;
        d->attempts[i].op.owner = d;
    }

    v2_dial_try(d);
}


int
v2_dial_cancel(v2_dial_t *d)
{
    size_t         i;
    v2_attempt_t  *a;

    d->over = 1;
    v2_timer_del(&d->timer);

    for (i = 0; i < v2_nelems(d->attempts); i++) {
        a = &d->attempts[i];

        if (a->fd != -1 && a->op.kind == V2_OPK_CONNECT
            && a->op.state == V2_OP_ARMED)
        {
            v2_ring_cancel(d->ring, &a->op);
        }
    }

    return !v2_dial_pending(d);
}


int
v2_dial_socket(const v2_addr_t *to, int type, const v2_addr_t *from)
{
    int                      fd, one, err;
    socklen_t                len;
    struct sockaddr_storage  ss;

    fd = socket(to->family == 6 ? AF_INET6 : AF_INET,
                type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }

    if (from && from->family == to->family) {
        one = 1;

        if (type == SOCK_STREAM) {
            (void) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
                              sizeof(one));
        }

        len = v2_addr_to_sa(from, &ss);

        if (bind(fd, (struct sockaddr *) &ss, len) == -1) {
            err = errno;
            (void) close(fd);
            errno = err;
            return -1;
        }
    }

    return fd;
}


int
v2_dial_datagram(const v2_addr_t *to, const v2_addr_t *from, int both)
{
    int  fd, zero;

    if (both && from->family == 0) {
        fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        zero = 0;

        if (fd != -1) {
            if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero))
                == 0)
            {
                return fd;
            }

            (void) close(fd);
        }
    }

    return v2_dial_socket(to, SOCK_DGRAM, from);
}


static void
v2_dial_on_timer(v2_timer_t *t)
{
    v2_dial_t  *d;

    d = v2_containerof(t, v2_dial_t, timer);

    if (v2_now_ms() >= d->deadline_ms) {
        d->err = ETIMEDOUT;
        v2_dial_finish(d, -1, NULL);
        return;
    }

    if (!v2_dial_pending(d) && d->next >= d->n) {
        v2_dial_finish(d, -1, NULL);
        return;
    }

    v2_dial_try(d);
}


/* Starts the next attempt if there is a free slot, and sets the timer: to the
 * attempt after it, or to the deadline. */
static void
v2_dial_try(v2_dial_t *d)
{
    int            fd;
    size_t         i;
    v2_attempt_t  *a;

    a = NULL;

    for (i = 0; i < v2_nelems(d->attempts); i++) {
        if (d->attempts[i].fd == -1) {
            a = &d->attempts[i];
        }
    }

    while (a && d->next < d->n) {
        a->addr = d->addrs[d->next++];

        fd = v2_dial_socket(&a->addr, SOCK_STREAM, &d->from);
        if (fd == -1) {
            d->err = errno;
            continue;
        }

        v2_conn_tcp_options(fd);
        a->fd = fd;
        a->sa_len = v2_addr_to_sa(&a->addr, &a->sa);
        a->op.done = v2_dial_on_connect;
        v2_ring_connect(d->ring, &a->op, fd, &a->sa, a->sa_len);
        break;
    }

    if (!v2_dial_pending(d)) {

        /* all failed at once: told from the loop, not from inside this call */

        (void) v2_timer_add(&d->timer, v2_now_ms());
        return;
    }

    (void) v2_timer_add(&d->timer,
                        d->next < d->n
                        ? v2_min(v2_now_ms() + V2_DIAL_NEXT_MS, d->deadline_ms)
                        : d->deadline_ms);
}


static void
v2_dial_on_connect(v2_op_t *op, int res, unsigned flags)
{
    int            fd;
    v2_dial_t     *d;
    v2_attempt_t  *a;

    (void) flags;

    d = op->owner;
    a = v2_containerof(op, v2_attempt_t, op);

    if (res == 0 && !d->over) {
        fd = a->fd;
        a->fd = -1;
        v2_dial_finish(d, fd, &a->addr);
        return;
    }

    op->done = v2_dial_on_close;
    v2_ring_close(d->ring, op, a->fd);

    if (d->over) {
        return;
    }

    d->err = -res;

    if (d->next < d->n) {
        v2_dial_try(d);
    }
}


static void
v2_dial_on_close(v2_op_t *op, int res, unsigned flags)
{
    v2_dial_t     *d;
    v2_attempt_t  *a;

    (void) res;
    (void) flags;

    d = op->owner;
    a = v2_containerof(op, v2_attempt_t, op);
    a->fd = -1;

    if (v2_dial_pending(d)) {
        return;
    }

    if (d->over) {
        d->idle(d);
        return;
    }

    if (d->next >= d->n) {
        v2_dial_finish(d, -1, NULL);

    } else {
        v2_dial_try(d);
    }
}


static void
v2_dial_finish(v2_dial_t *d, int fd, const v2_addr_t *addr)
{
    int  idle;

    idle = v2_dial_cancel(d);
    d->done(d, fd, addr, d->err);

    if (idle) {
        d->idle(d);
    }
}


static int
v2_dial_pending(const v2_dial_t *d)
{
    return d->attempts[0].fd != -1 || d->attempts[1].fd != -1;
}
