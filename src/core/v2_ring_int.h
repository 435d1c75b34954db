/* What the two engines share behind v2_ring.h. Included by v2_ring_op.c
 * (the front), v2_ring.c, v2_ring_epoll.c and v2_ring_io.c only.
 *
 * Invariants
 *  1. An op is in at most one v2_op_list_t, and then has V2_OPF_LISTED.
 *  2. An op in `ready` has its result in u.poll.mask: it is delivered at the
 *     next wait, whatever is done to it meanwhile.
 *  3. A v2_ring_msg_t belongs to one armed op (u.msg.hdr) or to the free list
 *     of its ring. */

#ifndef V2_RING_INT_H
#define V2_RING_INT_H

#include "v2_addr.h"
#include "v2_buf.h"
#include "v2_ring.h"

/* op->flags */
#define V2_OPF_LISTED       0x01    /* in a list of the ring */
#define V2_OPF_MORE_DATA    0x02    /* the last receive left bytes behind */
#define V2_OPF_POLLING      0x04    /* a write waits until it can be made */
#define V2_OPF_MSG          0x08    /* u.msg.hdr is a v2_ring_msg_t */
#define V2_OPF_SINGLE       0x10    /* no multishot for this accept */

#define V2_RING_IOV_MAX     1024    /* of one v2_ring_sendv */
#define V2_RING_IOV_KEPT    8       /* of those, what a record keeps */
#define V2_RING_MSGS        16      /* records a malloc */

typedef struct v2_ring_msg_s  v2_ring_msg_t;

struct v2_ring_msg_s {
    struct msghdr            hdr;
    struct iovec             iov[V2_RING_IOV_KEPT];
    struct sockaddr_storage  ss;
    v2_ring_msg_t           *next;
};

typedef struct v2_ring_msgs_s {
    struct v2_ring_msgs_s   *next;
    v2_ring_msg_t            msgs[V2_RING_MSGS];
} v2_ring_msgs_t;

#define v2_ring_msg_of(op) \
    v2_containerof((op)->u.msg.hdr, v2_ring_msg_t, hdr)

typedef struct {
    v2_op_t    *head, *last;
    uint32_t    n;
} v2_op_list_t;

typedef struct {
    const char  *name;
    /* kind, fd and u are set; sendv and sendto bring their own */
    void       (*arm)(v2_ring_t *r, v2_op_t *op);
    void       (*sendv)(v2_ring_t *r, v2_op_t *op, const struct iovec *iov,
                   unsigned n);
    void       (*cancel)(v2_ring_t *r, v2_op_t *op);
    v2_int_t   (*wait)(v2_ring_t *r, uint64_t timeout_ms,
                   const v2_ring_hooks_t *hooks);
    void       (*destroy)(v2_ring_t *r);
} v2_engine_t;

struct v2_ring_s {
    const v2_engine_t  *engine;
    v2_op_list_t        ready;      /* completions to deliver */
    v2_ring_msg_t      *msgs;       /* free */
    v2_ring_msgs_t     *blocks;     /* all */
};

/* NULL with errno set and a static reason in *why. */
v2_ring_t      *v2_ring_uring_create(const v2_ring_conf_t *conf,
    const char **why);
v2_ring_t      *v2_ring_epoll_create(const v2_ring_conf_t *conf,
    const char **why);

/* Records are made by the dozen and kept until the ring ends. */
v2_ring_msg_t  *v2_ring_msg_get(v2_ring_t *r);
void            v2_ring_msg_put(v2_ring_t *r, v2_op_t *op);
void            v2_ring_msg_done(v2_ring_t *r);

/* Ends the op: IDLE (unless MORE), then done(). */
void            v2_op_complete(v2_op_t *op, int res, unsigned flags);
/* Calls done() of all that is ready now, not of what becomes so meanwhile. */
void            v2_ring_deliver(v2_ring_t *r);
/* The sender's address of a datagram, for op->buf->addr. */
void            v2_ring_from(v2_addr_t *a, const struct msghdr *h);

void            v2_op_list_add(v2_op_list_t *l, v2_op_t *op);
v2_op_t        *v2_op_list_shift(v2_op_list_t *l);
/* 1 if it was there. Walks the list: for cancels only. */
int             v2_op_list_del(v2_op_list_t *l, v2_op_t *op);

/* --- system calls that do not block (v2_ring_io.c): result or -errno --- */

void            v2_io_nonblock(int fd);
int             v2_io_connected(int fd);
int             v2_io_recv(int fd, v2_buf_t *b);
int             v2_io_recvmsg(int fd, v2_buf_t *b, v2_ring_msg_t *m,
    unsigned *flags);
int             v2_io_sendmsg(int fd, const struct msghdr *hdr);
int             v2_io_write(int fd, const void *data, uint32_t len);


/* The op is over; its done() comes with the next wait. */
static inline void
v2_ring_ready(v2_ring_t *r, v2_op_t *op, int res)
{
    op->u.poll.mask = (uint32_t) res;
    v2_op_list_add(&r->ready, op);
}

#endif
