/* The event engine: requests (ops) to the kernel, and their completions.
 * Two implementations of one interface: io_uring (v2_ring.c, the only file
 * that knows liburing) and readiness (v2_ring_epoll.c), behind a common front
 * (v2_ring_op.c). Callers cannot tell them apart.
 *
 * Rules
 *  1. An op is armed at most once at a time (asserted); it and all it points
 *     to stay valid until its done() was called.
 *  2. done() is never called from inside an arming call, only from
 *     v2_ring_wait(). It may arm, cancel and re-arm anything.
 *  3. res is the syscall's result or -errno. ENOBUFS is never seen: an op that
 *     found no buffer waits inside the ring until buffers are back.
 *  4. A receive holds no buffer while nothing arrives. With res > 0, op->buf
 *     is a buffer with one reference, owned by the receiver; the bytes are at
 *     buf->data + V2_BUF_HEAD. With res <= 0, op->buf is NULL (an empty
 *     datagram has res 0 and flags V2_CQE_DATAGRAM).
 *  5. After v2_ring_cancel the op still completes, with -ECANCELED or its
 *     result. */

#ifndef V2_RING_H
#define V2_RING_H

#include <sys/uio.h>

enum { V2_OP_IDLE, V2_OP_ARMED, V2_OP_CANCELING };

enum {
    V2_OPK_NONE, V2_OPK_ACCEPT, V2_OPK_CONNECT, V2_OPK_RECV, V2_OPK_SEND,
    V2_OPK_RECVMSG, V2_OPK_SENDMSG, V2_OPK_POLL, V2_OPK_CLOSE, V2_OPK_WRITE
};

#define V2_CQE_MORE       1     /* multishot accept: the op stays armed */
#define V2_CQE_DATAGRAM   2     /* a datagram came, also an empty one */
#define V2_CQE_TRUNC      4     /* the datagram was longer than the buffer */

struct v2_op_s {
    void       (*done)(v2_op_t *op, int res, unsigned flags);
    void        *owner;
    v2_buf_t    *buf;           /* receives: see rule 4 */
    v2_op_t     *next;          /* the ring's lists while armed */
    int          fd;
    uint8_t      kind, state;
    uint8_t      group;         /* receives: buffer group */
    uint8_t      flags;         /* the ring's own */
    union {
        struct { const void *data; uint32_t len; }             io;
        struct { const void *sa; uint32_t len; }               sa;
        struct { void *hdr; }                                  msg;
        struct { uint32_t mask; }                              poll;
    } u;
};

enum { V2_ENGINE_AUTO, V2_ENGINE_IO_URING, V2_ENGINE_EPOLL };

typedef struct {
    unsigned    engine;         /* V2_ENGINE_... */
    unsigned    entries;        /* submission queue size, 4096 */
} v2_ring_conf_t;

/* One ring per process, after v2_buf_init(). AUTO falls back to epoll; *why
 * then holds the reason (static text) for the log. NULL: logged. The process
 * ignores SIGPIPE. */
v2_ring_t   *v2_ring_create(const v2_ring_conf_t *conf, const char **why);
void         v2_ring_destroy(v2_ring_t *r);
const char  *v2_ring_name(const v2_ring_t *r);      /* "io_uring", "epoll" */

/* --- arming; none fails: trouble comes as a completion --- */

/* Multishot: done() once per connection (res = fd, non-blocking, close on
 * exec), flags MORE while it stays armed. EMFILE and the like end it. */
void  v2_ring_accept(v2_ring_t *r, v2_op_t *op, int fd);
/* sa: must stay valid until done(). */
void  v2_ring_connect(v2_ring_t *r, v2_op_t *op, int fd,
    const void *sa, uint32_t len);
/* Up to the size of the group's buffers; res 0 is end of stream. */
void  v2_ring_recv(v2_ring_t *r, v2_op_t *op, int fd, unsigned group);
/* MSG_NOSIGNAL, no MSG_WAITALL: may complete short. */
void  v2_ring_send(v2_ring_t *r, v2_op_t *op, int fd,
    const void *data, uint32_t len);
/* The struct iovec array is copied inside the call when n <= 1024. */
void  v2_ring_sendv(v2_ring_t *r, v2_op_t *op, int fd,
    const struct iovec *iov, unsigned n);
/* One datagram; the sender's address is in op->buf->addr. */
void  v2_ring_recvfrom(v2_ring_t *r, v2_op_t *op, int fd, unsigned group);
/* One datagram; to NULL: connected. All is copied inside the call except the
 * bytes; op needs nothing else. */
void  v2_ring_sendto(v2_ring_t *r, v2_op_t *op, int fd,
    const void *data, uint32_t len, const v2_addr_t *to);
/* One-shot, mask as poll(2); res is the mask that came. */
void  v2_ring_poll(v2_ring_t *r, v2_op_t *op, int fd, unsigned mask);
/* write(2) at the end of a pipe, terminal, socket: for logs. */
void  v2_ring_write(v2_ring_t *r, v2_op_t *op, int fd,
    const void *data, uint32_t len);
/* Closes the fd and completes; for epoll also forgets its readiness. No other
 * op of the fd may be armed. */
void  v2_ring_close(v2_ring_t *r, v2_op_t *op, int fd);
/* Asks to end one armed op; it completes by itself later (rule 5). */
void  v2_ring_cancel(v2_ring_t *r, v2_op_t *op);

/* Submits, waits for at least one completion or timeout_ms (0: only looks),
 * and calls done() for every completion there is. before/after_sleep (may be
 * NULL) are called around a wait that may sleep: the worker's epoch `seen`. */
typedef struct {
    void  (*before_sleep)(void *arg);
    void  (*after_sleep)(void *arg);
    void   *arg;
} v2_ring_hooks_t;

v2_int_t  v2_ring_wait(v2_ring_t *r, uint64_t timeout_ms,
    const v2_ring_hooks_t *hooks);

#endif
