/* The event engine over readiness, for hosts that refuse io_uring (core,
 * engine part; one ring per worker).
 *
 * Sends, connects and closes are tried when they are armed, and complete at
 * the next wait. Receives, accepts, writes and what found its socket busy are
 * tried in v2_ring_wait(), from the run list.
 *
 * Invariants
 *  1. An fd is registered once, edge-triggered, when something must wait for
 *     it; READABLE and WRITABLE say that a try may succeed. EAGAIN clears
 *     them, and so does a short transfer: the next edge sets them again. HUP
 *     stays, for an end of stream (or an urgent mark, at which a read stops)
 *     may hide behind a short read.
 *  2. A poll op registers its fd anew each time it is armed: the fd may be a
 *     library's that was closed and opened without our knowledge. The entry
 *     is FOREIGN from then on, and not believed by other ops either.
 *  3. An op is in the run list if and only if it should be tried now; the
 *     loop sleeps only when that and `ready` are empty.
 *  4. A buffer is taken only for a try, and given back by it when nothing
 *     came.
 *  5. One wait runs each op that was in the run list at its start once. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_ring.h"
#include "v2_ring_int.h"
#include "v2_log.h"

#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#define V2_EPOLL_EVENTS     256     /* a call of epoll_wait */
#define V2_EPOLL_ACCEPTS    64      /* connections of one listener a wait */
#define V2_EPOLL_FDS        256     /* places of the table at first */
#define V2_EPOLL_SKIPS      3       /* busy turns without epoll_wait */

/* entry->flags */
#define V2_EPF_REGISTERED   0x01
#define V2_EPF_READABLE     0x02
#define V2_EPF_WRITABLE     0x04
#define V2_EPF_HUP          0x08
#define V2_EPF_ALWAYS       0x10    /* epoll refuses it: a regular file */
#define V2_EPF_FOREIGN      0x20    /* others may close it */
#define V2_EPF_SHARED       0x40    /* other processes may have it open */

#define V2_EPOLL_MASK       (EPOLLIN|EPOLLOUT|EPOLLPRI|EPOLLRDHUP|EPOLLET)

#define v2_epoll_of(r)      v2_containerof(r, v2_epoll_t, ring)


typedef struct {
    v2_op_t            *rd;         /* accept, recv, recvfrom */
    v2_op_t            *wr;         /* connect, send, sendto, write */
    v2_op_t            *polls;      /* by op->next */
    unsigned            flags;
} v2_epoll_fd_t;

typedef struct {
    v2_ring_t           ring;
    int                 fd;
    unsigned            skips;
    v2_epoll_fd_t      *fds;
    int                 fds_n;
    v2_op_list_t        run;
    v2_op_list_t        waiting[V2_BUF_GROUPS];     /* for a buffer */
    struct epoll_event  events[V2_EPOLL_EVENTS];
} v2_epoll_t;


static void v2_epoll_destroy(v2_ring_t *r);

static void v2_epoll_arm(v2_ring_t *r, v2_op_t *op);
static void v2_epoll_sendv(v2_ring_t *r, v2_op_t *op, const struct iovec *iov,
    unsigned n);
static void v2_epoll_keep(v2_epoll_t *e, v2_op_t *op, const struct iovec *iov,
    unsigned n);
static void v2_epoll_arm_write(v2_epoll_t *e, v2_op_t *op);
static void v2_epoll_arm_read(v2_epoll_t *e, v2_op_t *op);
static void v2_epoll_arm_connect(v2_epoll_t *e, v2_op_t *op);
static void v2_epoll_arm_poll(v2_epoll_t *e, v2_op_t *op);
static void v2_epoll_arm_close(v2_epoll_t *e, v2_op_t *op);
static v2_int_t v2_epoll_entry(v2_epoll_t *e, int fd);
static int v2_epoll_register(v2_epoll_t *e, int fd);
static void v2_epoll_end(v2_epoll_t *e, v2_op_t *op);
static void v2_epoll_cancel(v2_ring_t *r, v2_op_t *op);

static v2_int_t v2_epoll_wait(v2_ring_t *r, uint64_t timeout_ms,
    const v2_ring_hooks_t *hooks);
static v2_int_t v2_epoll_collect(v2_epoll_t *e, int timeout_ms);
static void v2_epoll_event(v2_epoll_t *e, int fd, unsigned events);
static void v2_epoll_event_polls(v2_epoll_t *e, int fd, unsigned events);
static void v2_epoll_unwait(v2_epoll_t *e);
static void v2_epoll_run(v2_epoll_t *e);
static void v2_epoll_try(v2_epoll_t *e, v2_op_t *op);
static void v2_epoll_try_accept(v2_epoll_t *e, v2_op_t *op);
static void v2_epoll_try_recv(v2_epoll_t *e, v2_op_t *op);
static int v2_epoll_try_write(v2_epoll_fd_t *f, v2_op_t *op);
static int v2_epoll_sendmsg(v2_epoll_fd_t *f, int fd,
    const struct msghdr *hdr);


static const v2_engine_t  v2_engine_epoll = {
    .name = "epoll",
    .arm = v2_epoll_arm,
    .sendv = v2_epoll_sendv,
    .cancel = v2_epoll_cancel,
    .wait = v2_epoll_wait,
    .destroy = v2_epoll_destroy
};


v2_ring_t *
v2_ring_epoll_create(const v2_ring_conf_t *conf, const char **why)
{
    v2_epoll_t  *e;

    (void) conf;

    e = calloc(1, sizeof(v2_epoll_t));
    if (e == NULL) {
        *why = "no memory";
        return NULL;
    }

    e->ring.engine = &v2_engine_epoll;

    e->fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->fd == -1) {
        *why = "epoll_create1() failed";
        free(e);
        return NULL;
    }

    return &e->ring;
}


static void
v2_epoll_destroy(v2_ring_t *r)
{
    v2_epoll_t  *e;

    e = v2_epoll_of(r);

    (void) close(e->fd);
    v2_ring_msg_done(r);
    free(e->fds);
    free(e);
}


static void
v2_epoll_arm(v2_ring_t *r, v2_op_t *op)
{
    v2_epoll_t  *e;

    e = v2_epoll_of(r);

    if (op->fd >= e->fds_n && v2_epoll_entry(e, op->fd) != V2_OK) {
        v2_epoll_end(e, op);
        v2_ring_ready(r, op, -ENOMEM);
        return;
    }

    switch (op->kind) {

    case V2_OPK_ACCEPT:
        v2_io_nonblock(op->fd);
        v2_epoll_arm_read(e, op);
        break;

    case V2_OPK_RECV:
    case V2_OPK_RECVMSG:
        v2_epoll_arm_read(e, op);
        break;

    case V2_OPK_CONNECT:
        v2_epoll_arm_connect(e, op);
        break;

    case V2_OPK_POLL:
        v2_epoll_arm_poll(e, op);
        break;

    case V2_OPK_CLOSE:
        v2_epoll_arm_close(e, op);
        break;

    default:
        v2_epoll_arm_write(e, op);
        break;
    }
}


static void
v2_epoll_sendv(v2_ring_t *r, v2_op_t *op, const struct iovec *iov, unsigned n)
{
    int             res;
    v2_epoll_t     *e;
    struct msghdr   hdr;
    v2_epoll_fd_t  *f;

    e = v2_epoll_of(r);

    if (op->fd >= e->fds_n && v2_epoll_entry(e, op->fd) != V2_OK) {
        v2_ring_ready(r, op, -ENOMEM);
        return;
    }

    f = &e->fds[op->fd];
    v2_assert(f->wr == NULL);

    if (!(f->flags & V2_EPF_REGISTERED) || (f->flags & V2_EPF_WRITABLE)) {
        memset(&hdr, 0, sizeof(struct msghdr));
        hdr.msg_iov = (struct iovec *) (uintptr_t) iov;
        hdr.msg_iovlen = n;

        res = v2_epoll_sendmsg(f, op->fd, &hdr);

        if (res != -EAGAIN) {
            v2_ring_ready(r, op, res);
            return;
        }
    }

    v2_epoll_keep(e, op, iov, n);
}


/* The socket is full: the first few runs of bytes are kept for the try when
 * it is not, and that send is a short one. */

static void
v2_epoll_keep(v2_epoll_t *e, v2_op_t *op, const struct iovec *iov, unsigned n)
{
    v2_ring_msg_t  *m;

    m = v2_ring_msg_get(&e->ring);
    if (m == NULL) {
        v2_ring_ready(&e->ring, op, -ENOMEM);
        return;
    }

    n = v2_min(n, V2_RING_IOV_KEPT);

    memset(&m->hdr, 0, sizeof(struct msghdr));
    memcpy(m->iov, iov, n * sizeof(struct iovec));
    m->hdr.msg_iov = m->iov;
    m->hdr.msg_iovlen = n;

    op->u.msg.hdr = &m->hdr;
    op->flags |= V2_OPF_MSG;

    v2_epoll_arm_write(e, op);
}


/* A socket is tried at once unless it is known to be full. A write goes to an
 * fd that others share, and is tried after a look, see v2_io_write(). */

static void
v2_epoll_arm_write(v2_epoll_t *e, v2_op_t *op)
{
    int             res;
    v2_epoll_fd_t  *f;

    f = &e->fds[op->fd];
    v2_assert(f->wr == NULL);

    if (op->kind == V2_OPK_WRITE) {
        f->flags |= V2_EPF_SHARED;
    }

    if (!(f->flags & V2_EPF_REGISTERED)
        || (f->flags & (V2_EPF_WRITABLE|V2_EPF_FOREIGN)))
    {
        res = v2_epoll_try_write(f, op);

        if (res != -EAGAIN) {
            v2_epoll_end(e, op);
            v2_ring_ready(&e->ring, op, res);
            return;
        }
    }

    f->wr = op;

    res = v2_epoll_register(e, op->fd);

    if (res != 0) {
        v2_epoll_end(e, op);
        v2_ring_ready(&e->ring, op, res);

    } else if (f->flags & V2_EPF_ALWAYS) {
        v2_op_list_add(&e->run, op);

    } else {
        f->flags &= ~(unsigned) V2_EPF_WRITABLE;
    }
}


static void
v2_epoll_arm_read(v2_epoll_t *e, v2_op_t *op)
{
    int             res;
    v2_epoll_fd_t  *f;

    f = &e->fds[op->fd];
    v2_assert(f->rd == NULL);

    if (op->kind != V2_OPK_RECV) {
        f->flags |= V2_EPF_SHARED;
    }

    f->rd = op;

    res = v2_epoll_register(e, op->fd);

    if (res != 0) {
        v2_epoll_end(e, op);
        v2_ring_ready(&e->ring, op, res);

    } else if (f->flags & (V2_EPF_READABLE|V2_EPF_HUP)) {
        v2_op_list_add(&e->run, op);
    }
}


/* The first op in the life of an outbound socket: what the table says about
 * its number is old. It is registered after the call, because a socket that
 * was never connected reports HUP. */

static void
v2_epoll_arm_connect(v2_epoll_t *e, v2_op_t *op)
{
    int             res;
    v2_epoll_fd_t  *f;

    f = &e->fds[op->fd];
    v2_assert(f->rd == NULL && f->wr == NULL);

    v2_io_nonblock(op->fd);
    f->flags = 0;

    if (connect(op->fd, op->u.sa.sa, op->u.sa.len) == 0) {
        v2_ring_ready(&e->ring, op, 0);
        return;
    }

    if (errno != EINPROGRESS && errno != EINTR) {
        v2_ring_ready(&e->ring, op, -errno);
        return;
    }

    f->wr = op;
    res = v2_epoll_register(e, op->fd);

    if (res != 0) {
        v2_epoll_end(e, op);
        v2_ring_ready(&e->ring, op, res);
        return;
    }

    /* unlike a send, a connect does not try before the first event */
    f->flags &= ~(unsigned) V2_EPF_WRITABLE;
}


static void
v2_epoll_arm_poll(v2_epoll_t *e, v2_op_t *op)
{
    int             res;
    v2_epoll_fd_t  *f;

    f = &e->fds[op->fd];
    f->flags |= V2_EPF_FOREIGN;

    res = v2_epoll_register(e, op->fd);

    if (res != 0) {
        v2_ring_ready(&e->ring, op, res);
        return;
    }

    if (f->flags & V2_EPF_ALWAYS) {
        v2_ring_ready(&e->ring, op,
                      (int) (op->u.poll.mask & (POLLIN|POLLOUT)));
        return;
    }

    op->next = f->polls;
    f->polls = op;
}


/* An explicit delete where another process may keep the open file: the
 * registration would outlive our fd and report for its number's next owner. */

static void
v2_epoll_arm_close(v2_epoll_t *e, v2_op_t *op)
{
    v2_epoll_fd_t  *f;

    f = &e->fds[op->fd];
    v2_assert(f->rd == NULL && f->wr == NULL && f->polls == NULL);

    if ((f->flags & V2_EPF_REGISTERED)
        && (f->flags & (V2_EPF_SHARED|V2_EPF_FOREIGN)))
    {
        (void) epoll_ctl(e->fd, EPOLL_CTL_DEL, op->fd, NULL);
    }

    f->flags = 0;

    v2_ring_ready(&e->ring, op, close(op->fd) == -1 ? -errno : 0);
}


static v2_int_t
v2_epoll_entry(v2_epoll_t *e, int fd)
{
    int             n;
    v2_epoll_fd_t  *fds;

    n = v2_max(e->fds_n, V2_EPOLL_FDS);

    while (n <= fd) {
        n *= 2;
    }

    fds = realloc(e->fds, (size_t) n * sizeof(v2_epoll_fd_t));
    if (fds == NULL) {
        return V2_ERROR;
    }

    memset(fds + e->fds_n, 0, (size_t) (n - e->fds_n) * sizeof(v2_epoll_fd_t));

    e->fds = fds;
    e->fds_n = n;

    return V2_OK;
}


/* After a fresh registration the kernel reports what is ready already; until
 * then a read waits, and a write is tried. 0 or -errno. */

static int
v2_epoll_register(v2_epoll_t *e, int fd)
{
    int                 rc;
    v2_epoll_fd_t      *f;
    struct epoll_event  ev;

    f = &e->fds[fd];

    if ((f->flags & (V2_EPF_REGISTERED|V2_EPF_FOREIGN))
        == V2_EPF_REGISTERED)
    {
        return 0;
    }

    ev.events = V2_EPOLL_MASK;
    ev.data.fd = fd;

    rc = epoll_ctl(e->fd, f->flags & V2_EPF_REGISTERED
                          ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);

    if (rc == -1 && (errno == ENOENT || errno == EEXIST)) {
        rc = epoll_ctl(e->fd, errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
                       fd, &ev);
    }

    f->flags &= V2_EPF_FOREIGN|V2_EPF_SHARED;

    if (rc == -1) {
        if (errno != EPERM) {
            return -errno;
        }

        f->flags |= V2_EPF_ALWAYS|V2_EPF_READABLE;
    }

    f->flags |= V2_EPF_REGISTERED|V2_EPF_WRITABLE;

    return 0;
}


/* Takes the op out of the table, and its record back. */

static void
v2_epoll_end(v2_epoll_t *e, v2_op_t *op)
{
    v2_op_t        **p;
    v2_epoll_fd_t   *f;

    if (op->flags & V2_OPF_MSG) {
        v2_ring_msg_put(&e->ring, op);
    }

    if (op->fd >= e->fds_n) {
        return;
    }

    f = &e->fds[op->fd];

    if (f->rd == op) {
        f->rd = NULL;

    } else if (f->wr == op) {
        f->wr = NULL;

    } else if (op->kind == V2_OPK_POLL) {
        for (p = &f->polls; *p != NULL; p = &(*p)->next) {
            if (*p == op) {
                *p = op->next;
                break;
            }
        }
    }
}


static void
v2_epoll_cancel(v2_ring_t *r, v2_op_t *op)
{
    v2_epoll_t     *e;
    v2_epoll_fd_t  *f;

    e = v2_epoll_of(r);

    if (op->flags & V2_OPF_LISTED) {

        if (op->fd >= e->fds_n) {
            return;
        }

        f = &e->fds[op->fd];

        if (f->rd != op && f->wr != op) {
            return;                         /* it has its result */
        }

        if (!v2_op_list_del(&e->run, op)) {
            (void) v2_op_list_del(&e->waiting[op->group], op);
        }
    }

    v2_epoll_end(e, op);
    v2_ring_ready(r, op, -ECANCELED);
}


static v2_int_t
v2_epoll_wait(v2_ring_t *r, uint64_t timeout_ms, const v2_ring_hooks_t *hooks)
{
    int          sleeps, busy;
    v2_int_t     rc;
    v2_epoll_t  *e;

    e = v2_epoll_of(r);
    rc = V2_OK;

    /* what is over first: it gives back the buffers which reads then take */

    busy = r->ready.n != 0;
    v2_ring_deliver(r);
    v2_epoll_unwait(e);

    if (e->run.n != 0 && e->skips < V2_EPOLL_SKIPS) {
        e->skips++;

    } else {
        e->skips = 0;
        sleeps = !busy && e->run.n == 0 && r->ready.n == 0 && timeout_ms != 0;

        if (sleeps && hooks != NULL && hooks->before_sleep != NULL) {
            hooks->before_sleep(hooks->arg);
        }

        rc = v2_epoll_collect(e, sleeps ? (int) v2_min(timeout_ms, INT_MAX)
                                        : 0);

        if (sleeps && hooks != NULL && hooks->after_sleep != NULL) {
            hooks->after_sleep(hooks->arg);
        }
    }

    v2_epoll_run(e);
    v2_ring_deliver(r);

    return rc;
}


static v2_int_t
v2_epoll_collect(v2_epoll_t *e, int timeout_ms)
{
    int  i, n;

    n = epoll_wait(e->fd, e->events, V2_EPOLL_EVENTS, timeout_ms);

    if (n == -1) {
        if (errno == EINTR) {
            return V2_OK;
        }

        v2_log(V2_LOG_ALERT, NULL, errno, "epoll_wait() failed");
        return V2_ERROR;
    }

    for (i = 0; i < n; i++) {
        v2_epoll_event(e, e->events[i].data.fd, e->events[i].events);
    }

    return V2_OK;
}


/* Only notes and queues: no handler runs here, so that no event can be of an
 * fd which one before it closed. */

static void
v2_epoll_event(v2_epoll_t *e, int fd, unsigned events)
{
    v2_epoll_fd_t  *f;

    v2_assert(fd < e->fds_n);

    f = &e->fds[fd];

    if (events & (EPOLLIN|EPOLLPRI|EPOLLRDHUP|EPOLLHUP|EPOLLERR)) {
        f->flags |= V2_EPF_READABLE;

        if (f->rd != NULL && !(f->rd->flags & V2_OPF_LISTED)) {
            v2_op_list_add(&e->run, f->rd);
        }
    }

    if (events & (EPOLLPRI|EPOLLRDHUP|EPOLLHUP)) {
        f->flags |= V2_EPF_HUP;
    }

    if (events & (EPOLLOUT|EPOLLHUP|EPOLLERR)) {
        f->flags |= V2_EPF_WRITABLE;

        if (f->wr != NULL && !(f->wr->flags & V2_OPF_LISTED)) {
            v2_op_list_add(&e->run, f->wr);
        }
    }

    if (f->polls != NULL) {
        v2_epoll_event_polls(e, fd, events);
    }
}


static void
v2_epoll_event_polls(v2_epoll_t *e, int fd, unsigned events)
{
    unsigned    came;
    v2_op_t   **p, *op;

    p = &e->fds[fd].polls;

    while (*p != NULL) {
        op = *p;
        came = events & (op->u.poll.mask|POLLERR|POLLHUP);

        if (came == 0) {
            p = &op->next;
            continue;
        }

        *p = op->next;
        v2_ring_ready(&e->ring, op, (int) came);
    }
}


/* As many of those who wait for a buffer as there are buffers. */

static void
v2_epoll_unwait(v2_epoll_t *e)
{
    uint32_t  n;
    unsigned  i;

    for (i = 0; i < V2_BUF_GROUPS; i++) {

        if (e->waiting[i].n == 0) {
            continue;
        }

        for (n = v2_min(v2_buf_free_n(i), e->waiting[i].n); n != 0; n--) {
            v2_op_list_add(&e->run, v2_op_list_shift(&e->waiting[i]));
        }
    }
}


static void
v2_epoll_run(v2_epoll_t *e)
{
    uint32_t  n;

    /* a handler may cancel what is behind it in the list */

    for (n = e->run.n; n != 0 && e->run.n != 0; n--) {
        v2_epoll_try(e, v2_op_list_shift(&e->run));
    }
}


static void
v2_epoll_try(v2_epoll_t *e, v2_op_t *op)
{
    int  res;

    switch (op->kind) {

    case V2_OPK_ACCEPT:
        v2_epoll_try_accept(e, op);
        return;

    case V2_OPK_RECV:
    case V2_OPK_RECVMSG:
        v2_epoll_try_recv(e, op);
        return;

    case V2_OPK_CONNECT:
        res = v2_io_connected(op->fd);
        break;

    default:
        res = v2_epoll_try_write(&e->fds[op->fd], op);

        if (res == -EAGAIN) {
            return;
        }

        break;
    }

    v2_epoll_end(e, op);
    v2_op_complete(op, res, 0);
}


static void
v2_epoll_try_accept(v2_epoll_t *e, v2_op_t *op)
{
    int       fd, err;
    unsigned  n;

    for (n = 0; n < V2_EPOLL_ACCEPTS; n++) {
        fd = accept4(op->fd, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);

        if (fd == -1) {
            err = errno;

            if (err == EAGAIN) {
                e->fds[op->fd].flags &= ~(unsigned) V2_EPF_READABLE;
                return;
            }

            if (err == ECONNABORTED || err == EINTR || err == EPROTO) {
                continue;
            }

            v2_epoll_end(e, op);
            v2_op_complete(op, -err, 0);
            return;
        }

        if (fd < e->fds_n) {
            e->fds[fd].flags = 0;
        }

        v2_op_complete(op, fd, V2_CQE_MORE);

        if (op->state != V2_OP_ARMED) {
            return;                     /* canceled; the end is in `ready` */
        }
    }

    v2_op_list_add(&e->run, op);
}


static void
v2_epoll_try_recv(v2_epoll_t *e, v2_op_t *op)
{
    int             n;
    unsigned        flags;
    v2_buf_t       *b;
    v2_epoll_fd_t  *f;

    b = v2_buf_get(op->group);
    if (b == NULL) {
        v2_op_list_add(&e->waiting[op->group], op);
        return;
    }

    f = &e->fds[op->fd];
    flags = 0;

    if (op->kind == V2_OPK_RECV) {
        n = v2_io_recv(op->fd, b);

    } else {
        n = v2_io_recvmsg(op->fd, b, v2_ring_msg_of(op), &flags);
    }

    if (n == -EAGAIN) {
        f->flags &= ~(unsigned) V2_EPF_READABLE;
        v2_buf_put(b);
        return;
    }

    if (n > 0) {
        if (op->kind == V2_OPK_RECV
            && (uint32_t) n < v2_buf_size(op->group))
        {
            f->flags &= ~(unsigned) V2_EPF_READABLE;
        }

        op->buf = b;

    } else {
        v2_buf_put(b);
    }

    v2_epoll_end(e, op);
    v2_op_complete(op, n, flags);
}


/* The result, or -errno; with -EAGAIN the op must wait. */

static int
v2_epoll_try_write(v2_epoll_fd_t *f, v2_op_t *op)
{
    int            n;
    struct iovec   iov;
    struct msghdr  hdr;

    if (op->kind == V2_OPK_WRITE) {
        n = v2_io_write(op->fd, op->u.io.data, op->u.io.len);

        if (n == -EAGAIN) {
            f->flags &= ~(unsigned) V2_EPF_WRITABLE;
        }

        return n;
    }

    if (op->flags & V2_OPF_MSG) {
        return v2_epoll_sendmsg(f, op->fd, op->u.msg.hdr);
    }

    memset(&hdr, 0, sizeof(struct msghdr));
    iov.iov_base = (void *) (uintptr_t) op->u.io.data;
    iov.iov_len = op->u.io.len;
    hdr.msg_iov = &iov;
    hdr.msg_iovlen = 1;

    return v2_epoll_sendmsg(f, op->fd, &hdr);
}


/* A short send means a full socket, as EAGAIN does: the kernel has noted it
 * and reports the edge. */

static int
v2_epoll_sendmsg(v2_epoll_fd_t *f, int fd, const struct msghdr *hdr)
{
    int     n;
    size_t  i, len;

    n = v2_io_sendmsg(fd, hdr);
    len = 0;

    for (i = 0; i < hdr->msg_iovlen; i++) {
        len += hdr->msg_iov[i].iov_len;
    }

    if (n == -EAGAIN || (n > 0 && (size_t) n < len)) {
        f->flags &= ~(unsigned) V2_EPF_WRITABLE;
    }

    return n;
}
