/* The event engine over io_uring (core, engine part; one ring per worker).
 * With v2_ring_bufs.c the only files that know liburing.
 *
 * Invariants
 *  1. user_data is the op's address, or 0 for a cancel, whose own result
 *     says nothing that the op's completion does not.
 *  2. A receive that found no buffer waits in its group's list, and as many
 *     are armed again before a wait as the kernel then has buffers.
 *  3. Buffers are lent just before the kernel is entered, when all that the
 *     turn put back is there (v2_ring_bufs.c).
 *  4. What the kernel reads at submission only (iovec arrays) lies in an
 *     arena that starts anew when the submission queue is empty.
 *  5. A receive is armed with POLL_FIRST, so that an idle one takes no
 *     buffer, unless the last one said that more data is there. */

#include "v2_config.h"
#if V2_HAVE_IO_URING
#include "v2_core.h"
#include "v2_ring.h"
#include "v2_ring_bufs.h"
#include "v2_log.h"
#include "v2_time.h"

#include <poll.h>

#define V2_URING_ENTRIES    4096
#define V2_URING_CQ         4           /* completions an entry of the SQ */
#define V2_URING_ARENA      65536
#define V2_URING_LOOK_MS    200

#define v2_uring_of(r)      v2_containerof(r, v2_uring_t, ring)


typedef struct {
    v2_ring_t                  ring;
    struct io_uring            uring;
    v2_ring_bufs_t             bufs[V2_BUF_GROUPS];
    uint8_t                   *arena;
    size_t                     arena_used;
    v2_op_list_t               uncanceled;  /* no room for the cancel yet */
    uint64_t                   look_ms;
} v2_uring_t;


static const char *v2_uring_probe(v2_uring_t *u);
static const char *v2_uring_refused(int err);
static void v2_uring_destroy(v2_ring_t *r);

static void v2_uring_arm(v2_ring_t *r, v2_op_t *op);
static struct io_uring_sqe *v2_uring_sqe(v2_uring_t *u);
static void v2_uring_prep(v2_op_t *op, struct io_uring_sqe *sqe);
static void v2_uring_prep_recv(v2_op_t *op, struct io_uring_sqe *sqe);
static void v2_uring_sendv(v2_ring_t *r, v2_op_t *op, const struct iovec *iov,
    unsigned n);
static void v2_uring_cancel(v2_ring_t *r, v2_op_t *op);
static void v2_uring_cancel_again(v2_uring_t *u);

static v2_int_t v2_uring_wait(v2_ring_t *r, uint64_t timeout_ms,
    const v2_ring_hooks_t *hooks);
static v2_int_t v2_uring_enter(v2_uring_t *u, uint64_t timeout_ms);
static void v2_uring_lend(v2_uring_t *u);
static void v2_uring_cqe(v2_uring_t *u, v2_op_t *op, int res,
    unsigned cqe_flags);
static void v2_uring_on_accept(v2_uring_t *u, v2_op_t *op, int res,
    unsigned cqe_flags);
static void v2_uring_on_recv(v2_uring_t *u, v2_op_t *op, int res,
    unsigned cqe_flags);
static void v2_uring_on_write(v2_uring_t *u, v2_op_t *op, int res);


static const v2_engine_t  v2_engine_uring = {
    .name = "io_uring",
    .arm = v2_uring_arm,
    .sendv = v2_uring_sendv,
    .cancel = v2_uring_cancel,
    .wait = v2_uring_wait,
    .destroy = v2_uring_destroy
};

static const uint8_t  v2_uring_ops[] = {
    IORING_OP_ACCEPT, IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE,
    IORING_OP_CONNECT, IORING_OP_POLL_ADD, IORING_OP_RECV, IORING_OP_RECVMSG,
    IORING_OP_SEND, IORING_OP_SENDMSG, IORING_OP_WRITE
};


v2_ring_t *
v2_ring_uring_create(const v2_ring_conf_t *conf, const char **why)
{
    int                     rc;
    unsigned                i;
    v2_uring_t             *u;
    struct io_uring_params  p;

    u = calloc(1, sizeof(v2_uring_t));
    if (u == NULL) {
        *why = "no memory";
        return NULL;
    }

    u->ring.engine = &v2_engine_uring;

    memset(&p, 0, sizeof(struct io_uring_params));
    p.flags = IORING_SETUP_SINGLE_ISSUER|IORING_SETUP_DEFER_TASKRUN
              |IORING_SETUP_SUBMIT_ALL|IORING_SETUP_CLAMP
              |IORING_SETUP_CQSIZE;

    i = conf->entries == 0 ? V2_URING_ENTRIES : conf->entries;
    p.cq_entries = i * V2_URING_CQ;

    rc = io_uring_queue_init_params(i, &u->uring, &p);
    if (rc != 0) {
        *why = v2_uring_refused(-rc);
        free(u);
        errno = -rc;
        return NULL;
    }

    u->arena = malloc(V2_URING_ARENA);

    *why = u->arena == NULL ? "no memory" : v2_uring_probe(u);
    if (*why != NULL) {
        goto failed;
    }

    for (i = 0; i < V2_BUF_GROUPS; i++) {
        rc = v2_ring_bufs_init(&u->bufs[i], &u->uring, i);

        if (rc != 0) {
            *why = "the kernel refused a buffer ring";
            errno = -rc;
            goto failed;
        }
    }

    /* an optimisation only: the kernel then need not look up the ring's fd */
    (void) io_uring_register_ring_fd(&u->uring);

    return &u->ring;

failed:

    rc = errno;
    v2_uring_destroy(&u->ring);
    errno = rc;

    return NULL;
}


static const char *
v2_uring_probe(v2_uring_t *u)
{
    unsigned                i;
    const char             *why;
    struct io_uring_probe  *probe;

    errno = ENOSYS;

    if (!(u->uring.features & IORING_FEAT_SUBMIT_STABLE)
        || !(u->uring.features & IORING_FEAT_EXT_ARG)
        || !(u->uring.features & IORING_FEAT_NODROP))
    {
        return "the kernel's io_uring is too old";
    }

    probe = io_uring_get_probe_ring(&u->uring);
    if (probe == NULL) {
        return "the kernel's io_uring cannot be probed";
    }

    why = NULL;

    for (i = 0; i < v2_nelems(v2_uring_ops); i++) {
        if (!io_uring_opcode_supported(probe, v2_uring_ops[i])) {
            why = "the kernel's io_uring lacks an operation";
        }
    }

    io_uring_free_probe(probe);

    return why;
}


static const char *
v2_uring_refused(int err)
{
    switch (err) {

    case ENOSYS:
        return "the kernel has no io_uring";

    case EPERM:
    case EACCES:
        return "io_uring is not permitted here "
               "(kernel.io_uring_disabled or a container's profile)";

    case ENOMEM:
        return "no memory for io_uring (RLIMIT_MEMLOCK)";

    case EINVAL:
        return "the kernel is older than 6.1";

    default:
        return "io_uring_setup() failed";
    }
}


/* The ring goes first: after it nothing of ours is the kernel's any more. */

static void
v2_uring_destroy(v2_ring_t *r)
{
    unsigned     i;
    v2_uring_t  *u;

    u = v2_uring_of(r);

    io_uring_queue_exit(&u->uring);

    for (i = 0; i < V2_BUF_GROUPS; i++) {
        v2_ring_bufs_done(&u->bufs[i]);
    }

    v2_ring_msg_done(r);
    free(u->arena);
    free(u);
}


static void
v2_uring_arm(v2_ring_t *r, v2_op_t *op)
{
    v2_uring_t           *u;
    struct io_uring_sqe  *sqe;

    u = v2_uring_of(r);
    sqe = v2_uring_sqe(u);

    if (sqe == NULL) {
        if (op->flags & V2_OPF_MSG) {
            v2_ring_msg_put(r, op);
        }

        v2_ring_ready(r, op, -ENOMEM);
        return;
    }

    v2_uring_prep(op, sqe);
    io_uring_sqe_set_data(sqe, op);
}


/* A full queue is submitted: what completes by it is found at the next wait.
 * NULL only when the kernel takes nothing, for want of memory. */

static struct io_uring_sqe *
v2_uring_sqe(v2_uring_t *u)
{
    struct io_uring_sqe  *sqe;

    sqe = io_uring_get_sqe(&u->uring);

    if (sqe == NULL) {
        (void) io_uring_submit(&u->uring);
        sqe = io_uring_get_sqe(&u->uring);
    }

    return sqe;
}


static void
v2_uring_prep(v2_op_t *op, struct io_uring_sqe *sqe)
{
    switch (op->kind) {

    case V2_OPK_ACCEPT:
        if (op->flags & V2_OPF_SINGLE) {
            io_uring_prep_accept(sqe, op->fd, NULL, NULL,
                                 SOCK_NONBLOCK|SOCK_CLOEXEC);
        } else {
            io_uring_prep_multishot_accept(sqe, op->fd, NULL, NULL,
                                           SOCK_NONBLOCK|SOCK_CLOEXEC);
        }

        break;

    case V2_OPK_CONNECT:
        io_uring_prep_connect(sqe, op->fd, op->u.sa.sa, op->u.sa.len);
        break;

    case V2_OPK_RECV:
    case V2_OPK_RECVMSG:
        v2_uring_prep_recv(op, sqe);
        break;

    case V2_OPK_SEND:
        io_uring_prep_send(sqe, op->fd, op->u.io.data, op->u.io.len,
                           MSG_NOSIGNAL);
        break;

    case V2_OPK_SENDMSG:
        io_uring_prep_sendmsg(sqe, op->fd, op->u.msg.hdr, MSG_NOSIGNAL);
        break;

    case V2_OPK_POLL:
        io_uring_prep_poll_add(sqe, op->fd, op->u.poll.mask);
        break;

    case V2_OPK_WRITE:
        if (op->flags & V2_OPF_POLLING) {
            io_uring_prep_poll_add(sqe, op->fd, POLLOUT);

        } else {
            io_uring_prep_write(sqe, op->fd, op->u.io.data, op->u.io.len,
                                (uint64_t) -1);
        }

        break;

    default:
        v2_assert(op->kind == V2_OPK_CLOSE);
        io_uring_prep_close(sqe, op->fd);
        break;
    }
}


static void
v2_uring_prep_recv(v2_op_t *op, struct io_uring_sqe *sqe)
{
    v2_ring_msg_t  *m;

    if (op->kind == V2_OPK_RECV) {
        io_uring_prep_recv(sqe, op->fd, NULL, v2_buf_size(op->group), 0);

    } else {
        m = v2_ring_msg_of(op);

        memset(&m->hdr, 0, sizeof(struct msghdr));
        m->iov[0].iov_base = NULL;
        m->iov[0].iov_len = v2_buf_size(op->group);
        m->hdr.msg_iov = m->iov;
        m->hdr.msg_iovlen = 1;
        m->hdr.msg_name = &m->ss;
        m->hdr.msg_namelen = sizeof(struct sockaddr_storage);

        io_uring_prep_recvmsg(sqe, op->fd, &m->hdr, 0);
    }

    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = v2_ring_bgid(op->group);

    if (!(op->flags & V2_OPF_MORE_DATA)) {
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    }
}


static void
v2_uring_sendv(v2_ring_t *r, v2_op_t *op, const struct iovec *iov, unsigned n)
{
    size_t                size;
    v2_uring_t           *u;
    struct msghdr        *hdr;
    struct iovec         *copy;
    struct io_uring_sqe  *sqe;

    u = v2_uring_of(r);
    size = sizeof(struct msghdr) + n * sizeof(struct iovec);

    if (io_uring_sq_ready(&u->uring) == 0) {
        u->arena_used = 0;

    } else if (u->arena_used + size > V2_URING_ARENA) {
        (void) io_uring_submit(&u->uring);

        if (io_uring_sq_ready(&u->uring) == 0) {
            u->arena_used = 0;
        }
    }

    sqe = u->arena_used + size > V2_URING_ARENA ? NULL : v2_uring_sqe(u);

    if (sqe == NULL) {
        v2_ring_ready(r, op, -ENOMEM);
        return;
    }

    hdr = (struct msghdr *) (void *) (u->arena + u->arena_used);
    copy = (struct iovec *) (void *) (hdr + 1);
    u->arena_used += size;

    memcpy(copy, iov, n * sizeof(struct iovec));
    memset(hdr, 0, sizeof(struct msghdr));
    hdr->msg_iov = copy;
    hdr->msg_iovlen = n;

    io_uring_prep_sendmsg(sqe, op->fd, hdr, MSG_NOSIGNAL);
    io_uring_sqe_set_data(sqe, op);
}


/* An op in `ready` has its result already. One that waits for a buffer is
 * ours; all others are the kernel's. Requests are taken in order, so this
 * cancel cannot meet the op's next life. */

static void
v2_uring_cancel(v2_ring_t *r, v2_op_t *op)
{
    v2_uring_t           *u;
    struct io_uring_sqe  *sqe;

    u = v2_uring_of(r);

    if (op->flags & V2_OPF_LISTED) {

        if ((op->kind == V2_OPK_RECV || op->kind == V2_OPK_RECVMSG)
            && v2_op_list_del(&u->bufs[op->group].waiting, op))
        {
            if (op->flags & V2_OPF_MSG) {
                v2_ring_msg_put(r, op);
            }

            v2_ring_ready(r, op, -ECANCELED);
        }

        return;
    }

    sqe = v2_uring_sqe(u);

    if (sqe == NULL) {
        v2_op_list_add(&u->uncanceled, op);
        return;
    }

    io_uring_prep_cancel64(sqe, (uintptr_t) op, 0);
    io_uring_sqe_set_data64(sqe, 0);
}


static void
v2_uring_cancel_again(v2_uring_t *u)
{
    uint32_t  n;

    for (n = u->uncanceled.n; n != 0; n--) {
        v2_uring_cancel(&u->ring, v2_op_list_shift(&u->uncanceled));
    }
}


static v2_int_t
v2_uring_wait(v2_ring_t *r, uint64_t timeout_ms, const v2_ring_hooks_t *hooks)
{
    int                   res;
    unsigned              n, flags;
    v2_op_t              *op;
    v2_int_t              rc;
    v2_uring_t           *u;
    struct io_uring_cqe  *cqe;

    u = v2_uring_of(r);

    if (u->uncanceled.n != 0) {
        v2_uring_cancel_again(u);
    }

    v2_uring_lend(u);

    if (r->ready.n != 0 || io_uring_cq_ready(&u->uring) != 0) {
        timeout_ms = 0;
    }

    if (timeout_ms != 0 && hooks != NULL && hooks->before_sleep != NULL) {
        hooks->before_sleep(hooks->arg);
    }

    rc = v2_uring_enter(u, timeout_ms);

    if (timeout_ms != 0 && hooks != NULL && hooks->after_sleep != NULL) {
        hooks->after_sleep(hooks->arg);
    }

    v2_ring_deliver(r);

    for (n = io_uring_cq_ready(&u->uring); n != 0; n--) {
        (void) io_uring_peek_cqe(&u->uring, &cqe);
        op = io_uring_cqe_get_data(cqe);
        res = cqe->res;
        flags = cqe->flags;
        io_uring_cqe_seen(&u->uring, cqe);

        if (op != NULL) {
            v2_uring_cqe(u, op, res, flags);
        }
    }

    return rc;
}


static v2_int_t
v2_uring_enter(v2_uring_t *u, uint64_t timeout_ms)
{
    int                       rc;
    struct io_uring_cqe      *cqe;
    struct __kernel_timespec  ts;

    if (timeout_ms == 0) {
        rc = io_uring_submit_and_get_events(&u->uring);

    } else {
        ts.tv_sec = (int64_t) (timeout_ms / 1000);
        ts.tv_nsec = (long long) (timeout_ms % 1000) * 1000000;
        rc = io_uring_submit_and_wait_timeout(&u->uring, &cqe, 1, &ts, NULL);
    }

    switch (rc) {

    case -ETIME:
    case -EINTR:
    case -EAGAIN:
    case -EBUSY:
        return V2_OK;

    default:
        if (rc < 0) {
            v2_log(V2_LOG_ALERT, NULL, -rc, "io_uring_enter() failed");
            return V2_ERROR;
        }

        return V2_OK;
    }
}


static void
v2_uring_lend(v2_uring_t *u)
{
    int              look;
    uint32_t         n;
    unsigned         i;
    v2_ring_bufs_t  *g;

    look = v2_now_ms() - u->look_ms >= V2_URING_LOOK_MS;

    for (i = 0; i < V2_BUF_GROUPS; i++) {
        g = &u->bufs[i];

        if (look) {
            v2_ring_bufs_look(g);
        }

        for (n = v2_ring_bufs_refill(g); n != 0; n--) {
            v2_uring_arm(&u->ring, v2_op_list_shift(&g->waiting));
        }
    }

    if (look) {
        u->look_ms = v2_now_ms();
    }
}


static void
v2_uring_cqe(v2_uring_t *u, v2_op_t *op, int res, unsigned cqe_flags)
{
    v2_assert(op->state != V2_OP_IDLE);

    if (op->flags & V2_OPF_LISTED) {
        (void) v2_op_list_del(&u->uncanceled, op);
    }

    switch (op->kind) {

    case V2_OPK_ACCEPT:
        v2_uring_on_accept(u, op, res, cqe_flags);
        break;

    case V2_OPK_RECV:
    case V2_OPK_RECVMSG:
        v2_uring_on_recv(u, op, res, cqe_flags);
        break;

    case V2_OPK_WRITE:
        v2_uring_on_write(u, op, res);
        break;

    case V2_OPK_SENDMSG:
        v2_ring_msg_put(&u->ring, op);
        v2_op_complete(op, res, 0);
        break;

    default:
        v2_op_complete(op, res, 0);
        break;
    }
}


/* The kernel may end a multishot at any time; as long as it is not by an
 * error of ours the op is armed again, unseen. */

static void
v2_uring_on_accept(v2_uring_t *u, v2_op_t *op, int res, unsigned cqe_flags)
{
    int  again;

    if (cqe_flags & IORING_CQE_F_MORE) {
        if (res >= 0) {
            v2_op_complete(op, res, V2_CQE_MORE);
        }

        return;
    }

    if (res == -EINVAL && !(op->flags & V2_OPF_SINGLE)) {
        op->flags |= V2_OPF_SINGLE;
        again = 1;

    } else {
        again = res >= 0 || res == -ECONNABORTED || res == -EAGAIN
                || res == -EINTR;
    }

    if (again && op->state == V2_OP_ARMED) {
        v2_uring_arm(&u->ring, op);

        if (res >= 0) {
            v2_op_complete(op, res, V2_CQE_MORE);
        }

        return;
    }

    if (res >= 0) {
        v2_op_complete(op, res, V2_CQE_MORE);
        v2_ring_ready(&u->ring, op, -ECANCELED);
        return;
    }

    v2_op_complete(op, again ? -ECANCELED : res, 0);
}


static void
v2_uring_on_recv(v2_uring_t *u, v2_op_t *op, int res, unsigned cqe_flags)
{
    unsigned        flags;
    v2_buf_t       *b;
    v2_ring_msg_t  *m;

    b = v2_ring_bufs_take(&u->bufs[op->group], cqe_flags);

    if (res == -ENOBUFS || res == -EAGAIN || res == -EINTR) {
        if (b != NULL) {
            v2_buf_put(b);
        }

        op->flags &= (uint8_t) ~V2_OPF_MORE_DATA;

        if (op->state == V2_OP_ARMED) {
            u->bufs[op->group].missed += res == -ENOBUFS;
            v2_op_list_add(&u->bufs[op->group].waiting, op);
            return;
        }

        res = -ECANCELED;
        b = NULL;
    }

    if (cqe_flags & IORING_CQE_F_SOCK_NONEMPTY) {
        op->flags |= V2_OPF_MORE_DATA;

    } else {
        op->flags &= (uint8_t) ~V2_OPF_MORE_DATA;
    }

    flags = 0;

    if (op->kind == V2_OPK_RECVMSG) {
        m = v2_ring_msg_of(op);

        if (res >= 0) {
            flags = V2_CQE_DATAGRAM;

            if (m->hdr.msg_flags & MSG_TRUNC) {
                flags |= V2_CQE_TRUNC;
            }
        }

        if (b != NULL) {
            v2_ring_from(&b->addr, &m->hdr);
        }

        v2_ring_msg_put(&u->ring, op);
    }

    if (res <= 0 && b != NULL) {
        v2_buf_put(b);
        b = NULL;
    }

    op->buf = b;
    v2_op_complete(op, res, flags);
}


/* A non-blocking pipe that is full says EAGAIN at once: then the op polls
 * first, and writes when it may. */

static void
v2_uring_on_write(v2_uring_t *u, v2_op_t *op, int res)
{
    int  polled;

    polled = op->flags & V2_OPF_POLLING;
    op->flags &= (uint8_t) ~V2_OPF_POLLING;

    if (op->state == V2_OP_ARMED) {

        if (polled && res > 0) {
            v2_uring_arm(&u->ring, op);
            return;
        }

        if (!polled && res == -EAGAIN) {
            op->flags |= V2_OPF_POLLING;
            v2_uring_arm(&u->ring, op);
            return;
        }
    }

    v2_op_complete(op, polled && res >= 0 ? -ECANCELED : res, 0);
}

#endif
