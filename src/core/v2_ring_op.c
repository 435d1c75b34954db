/* The front of the event engine: arming calls, and what both engines share:
 * lists of ops, message records, the one way in which an op ends (core,
 * engine part).
 *
 * Invariants
 *  1. An op is IDLE when it is armed, ARMED or CANCELING until its last
 *     done(), and IDLE again inside that.
 *  2. What cannot be armed for want of memory completes with -ENOMEM at the
 *     next wait; no arming call fails or calls done().
 *  3. Which engine it is is decided once, in v2_ring_create(). */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_ring.h"
#include "v2_ring_int.h"
#include "v2_log.h"


static void v2_op_start(v2_op_t *op, unsigned kind, int fd);


v2_ring_t *
v2_ring_create(const v2_ring_conf_t *conf, const char **why)
{
    v2_ring_t   *r;
    const char  *reason;

    reason = NULL;

    if (conf->engine != V2_ENGINE_EPOLL) {
#if V2_HAVE_IO_URING
        r = v2_ring_uring_create(conf, &reason);
#else
        r = NULL;
        reason = "this build has none";
#endif

        if (r != NULL) {
            return r;
        }

        if (conf->engine == V2_ENGINE_IO_URING) {
            v2_log(V2_LOG_EMERG, NULL, errno, "no io_uring: %s", reason);
            return NULL;
        }

        if (why != NULL) {
            *why = reason;
        }
    }

    r = v2_ring_epoll_create(conf, &reason);

    if (r == NULL) {
        v2_log(V2_LOG_EMERG, NULL, errno, "no epoll: %s", reason);
    }

    return r;
}


void
v2_ring_destroy(v2_ring_t *r)
{
    r->engine->destroy(r);
}


const char *
v2_ring_name(const v2_ring_t *r)
{
    return r->engine->name;
}


void
v2_ring_accept(v2_ring_t *r, v2_op_t *op, int fd)
{
    v2_op_start(op, V2_OPK_ACCEPT, fd);
    r->engine->arm(r, op);
}


void
v2_ring_connect(v2_ring_t *r, v2_op_t *op, int fd, const void *sa,
    uint32_t len)
{
    v2_op_start(op, V2_OPK_CONNECT, fd);
    op->u.sa.sa = sa;
    op->u.sa.len = len;
    r->engine->arm(r, op);
}


void
v2_ring_recv(v2_ring_t *r, v2_op_t *op, int fd, unsigned group)
{
    v2_assert(group < V2_BUF_GROUPS);

    v2_op_start(op, V2_OPK_RECV, fd);
    op->group = (uint8_t) group;
    r->engine->arm(r, op);
}


void
v2_ring_send(v2_ring_t *r, v2_op_t *op, int fd, const void *data,
    uint32_t len)
{
    v2_op_start(op, V2_OPK_SEND, fd);
    op->u.io.data = data;
    op->u.io.len = len;
    r->engine->arm(r, op);
}


void
v2_ring_sendv(v2_ring_t *r, v2_op_t *op, int fd, const struct iovec *iov,
    unsigned n)
{
    if (n == 1) {
        v2_ring_send(r, op, fd, iov[0].iov_base,
                     (uint32_t) v2_min(iov[0].iov_len, (size_t) INT32_MAX));
        return;
    }

    v2_op_start(op, V2_OPK_SEND, fd);
    r->engine->sendv(r, op, iov, v2_min(n, V2_RING_IOV_MAX));
}


void
v2_ring_recvfrom(v2_ring_t *r, v2_op_t *op, int fd, unsigned group)
{
    v2_ring_msg_t  *m;

    v2_assert(group < V2_BUF_GROUPS);

    v2_op_start(op, V2_OPK_RECVMSG, fd);
    op->group = (uint8_t) group;

    m = v2_ring_msg_get(r);
    if (m == NULL) {
        v2_ring_ready(r, op, -ENOMEM);
        return;
    }

    op->u.msg.hdr = &m->hdr;
    op->flags |= V2_OPF_MSG;
    r->engine->arm(r, op);
}


void
v2_ring_sendto(v2_ring_t *r, v2_op_t *op, int fd, const void *data,
    uint32_t len, const v2_addr_t *to)
{
    v2_ring_msg_t  *m;

    if (to == NULL) {
        v2_ring_send(r, op, fd, data, len);
        return;
    }

    v2_op_start(op, V2_OPK_SENDMSG, fd);

    m = v2_ring_msg_get(r);
    if (m == NULL) {
        v2_ring_ready(r, op, -ENOMEM);
        return;
    }

    memset(&m->hdr, 0, sizeof(struct msghdr));
    m->iov[0].iov_base = (void *) (uintptr_t) data;
    m->iov[0].iov_len = len;
    m->hdr.msg_iov = m->iov;
    m->hdr.msg_iovlen = 1;
    m->hdr.msg_name = &m->ss;
    m->hdr.msg_namelen = v2_addr_to_sa(to, &m->ss);

    op->u.msg.hdr = &m->hdr;
    op->flags |= V2_OPF_MSG;
    r->engine->arm(r, op);
}


void
v2_ring_poll(v2_ring_t *r, v2_op_t *op, int fd, unsigned mask)
{
    v2_op_start(op, V2_OPK_POLL, fd);
    op->u.poll.mask = mask;
    r->engine->arm(r, op);
}


void
v2_ring_write(v2_ring_t *r, v2_op_t *op, int fd, const void *data,
    uint32_t len)
{
    v2_op_start(op, V2_OPK_WRITE, fd);
    op->u.io.data = data;
    op->u.io.len = len;
    r->engine->arm(r, op);
}


void
v2_ring_close(v2_ring_t *r, v2_op_t *op, int fd)
{
    v2_op_start(op, V2_OPK_CLOSE, fd);
    r->engine->arm(r, op);
}


void
v2_ring_cancel(v2_ring_t *r, v2_op_t *op)
{
    if (op->state == V2_OP_ARMED) {
        op->state = V2_OP_CANCELING;
        r->engine->cancel(r, op);
    }
}


v2_int_t
v2_ring_wait(v2_ring_t *r, uint64_t timeout_ms, const v2_ring_hooks_t *hooks)
{
    return r->engine->wait(r, timeout_ms, hooks);
}


static void
v2_op_start(v2_op_t *op, unsigned kind, int fd)
{
    v2_assert(op->state == V2_OP_IDLE);
    v2_assert(op->done != NULL && fd >= 0);

    op->kind = (uint8_t) kind;
    op->state = V2_OP_ARMED;
    op->flags &= op->fd == fd ? V2_OPF_MORE_DATA : 0;
    op->fd = fd;
    op->buf = NULL;
    op->next = NULL;
}


void
v2_op_complete(v2_op_t *op, int res, unsigned flags)
{
    v2_assert(op->state != V2_OP_IDLE);
    v2_assert((res > 0) == (op->buf != NULL)
              || (op->kind != V2_OPK_RECV && op->kind != V2_OPK_RECVMSG));

    if (!(flags & V2_CQE_MORE)) {
        op->state = V2_OP_IDLE;
    }

    op->done(op, res, flags);
}


void
v2_ring_deliver(v2_ring_t *r)
{
    uint32_t   n;
    v2_op_t   *op;

    for (n = r->ready.n; n != 0; n--) {
        op = v2_op_list_shift(&r->ready);
        v2_op_complete(op, (int) op->u.poll.mask, 0);
    }
}


v2_ring_msg_t *
v2_ring_msg_get(v2_ring_t *r)
{
    unsigned           i;
    v2_ring_msg_t     *m;
    v2_ring_msgs_t    *block;

    if (r->msgs == NULL) {
        block = calloc(1, sizeof(v2_ring_msgs_t));
        if (block == NULL) {
            return NULL;
        }

        block->next = r->blocks;
        r->blocks = block;

        for (i = 0; i < V2_RING_MSGS; i++) {
            block->msgs[i].next = r->msgs;
            r->msgs = &block->msgs[i];
        }
    }

    m = r->msgs;
    r->msgs = m->next;

    return m;
}


void
v2_ring_msg_put(v2_ring_t *r, v2_op_t *op)
{
    v2_ring_msg_t  *m;

    v2_assert(op->flags & V2_OPF_MSG);

    m = v2_ring_msg_of(op);
    op->flags &= (uint8_t) ~V2_OPF_MSG;

    m->next = r->msgs;
    r->msgs = m;
}


void
v2_ring_msg_done(v2_ring_t *r)
{
    v2_ring_msgs_t  *block;

    while (r->blocks != NULL) {
        block = r->blocks;
        r->blocks = block->next;
        free(block);
    }
}


void
v2_ring_from(v2_addr_t *a, const struct msghdr *h)
{
    const struct sockaddr  *sa;

    sa = h->msg_name;

    if (h->msg_namelen >= sizeof(struct sockaddr_in)
        && (sa->sa_family == AF_INET || sa->sa_family == AF_INET6))
    {
        v2_addr_from_sa(a, sa);

    } else {
        a->family = 0;
    }
}


void
v2_op_list_add(v2_op_list_t *l, v2_op_t *op)
{
    v2_assert(!(op->flags & V2_OPF_LISTED));

    op->flags |= V2_OPF_LISTED;
    op->next = NULL;

    if (l->head == NULL) {
        l->head = op;

    } else {
        l->last->next = op;
    }

    l->last = op;
    l->n++;
}


v2_op_t *
v2_op_list_shift(v2_op_list_t *l)
{
    v2_op_t  *op;

    op = l->head;
    v2_assert(op != NULL && (op->flags & V2_OPF_LISTED));

    l->head = op->next;
    l->n--;
    op->flags &= (uint8_t) ~V2_OPF_LISTED;
    op->next = NULL;

    return op;
}


int
v2_op_list_del(v2_op_list_t *l, v2_op_t *op)
{
    v2_op_t  *prev, *at;

    prev = NULL;

    for (at = l->head; at != op; at = at->next) {
        if (at == NULL) {
            return 0;
        }

        prev = at;
    }

    if (prev == NULL) {
        l->head = op->next;

    } else {
        prev->next = op->next;
    }

    if (l->last == op) {
        l->last = prev;
    }

    l->n--;
    op->flags &= (uint8_t) ~V2_OPF_LISTED;
    op->next = NULL;

    return 1;
}
