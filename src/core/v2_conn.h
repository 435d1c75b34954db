/* A socket of a worker and the three requests that the kernel may hold for
 * it: rd, wr, ctl. The only place where completions of data sockets arrive.
 *
 * Invariants
 *  1. Each op is armed at most once; `pending` counts completions to come.
 *  2. A conn in CLOSING arms nothing but the close; its owner hears no more
 *     of it than on_sent (what the kernel took still counts) and on_dead,
 *     after which the memory is the owner's again.
 *  3. `out` is what the kernel has not taken yet; the first `sending` bytes
 *     are in flight and are neither moved nor dropped before the completion.
 *  4. Payload counts only in v2_conn_sent(), from the bills of the slices
 *     that the kernel took whole (v2_buf.h). */

#ifndef V2_CONN_H
#define V2_CONN_H

#include "v2_buf.h"
#include "v2_ring.h"
#include "v2_queue.h"

typedef struct {
    /* n > 0 bytes came (of UDP: one datagram, perhaps empty); the buffer's
     * reference is the receiver's */
    void  (*on_data)(v2_conn_t *c, v2_buf_t *b, uint32_t n);
    void  (*on_eof)(v2_conn_t *c);
    void  (*on_again)(v2_conn_t *c);    /* a layer that yielded may go on */
    /* the kernel took bytes of c->out, billed as `payload` */
    void  (*on_sent)(v2_conn_t *c, size_t payload);
    /* what: static text "recv() failed", "send() failed" */
    void  (*on_error)(v2_conn_t *c, int err, const char *what);
    void  (*on_dead)(v2_conn_t *c);
} v2_conn_ops_t;

/* Instead of a socket: a child of a mux layer (v2_child.c). */
typedef struct {
    void  (*flush)(v2_conn_t *c);       /* c->out or out.fin changed */
    void  (*close)(v2_conn_t *c);       /* calls on_dead later */
} v2_conn_base_t;

enum { V2_CONN_NONE, V2_CONN_OPEN, V2_CONN_CLOSING, V2_CONN_DEAD };

struct v2_conn_s {
    int                    fd;          /* -1: none */
    uint8_t                state;
    uint8_t                pending;
    uint8_t                group;       /* buffers of the next receive */
    uint8_t                shorts;      /* short reads into large buffers */
    unsigned               udp:1;
    unsigned               eof:1;       /* the peer's FIN came */
    unsigned               shut:1;      /* our FIN went out */
    unsigned               spill:1;     /* the send was cancelled to spill */
    unsigned               slow:1;      /* this peer reads slowly */
    uint32_t               sending;
    uint64_t               since_ms;    /* when wr was armed */
    v2_chain_t             out;
    v2_op_t                rd, wr, ctl;
    v2_ring_t             *ring;
    const v2_conn_ops_t   *ops;
    const v2_conn_base_t  *base;        /* NULL: a socket */
    v2_queue_t             blocked;     /* worker's list of armed sends */
};

/* Takes over fd (non-blocking). */
void  v2_conn_init(v2_conn_t *c, v2_ring_t *ring, int fd, int udp,
    const v2_conn_ops_t *ops);
/* A conn without a socket; fd is -1. */
void  v2_conn_init_base(v2_conn_t *c, const v2_conn_base_t *base,
    const v2_conn_ops_t *ops);
/* Arms a receive unless one is armed, or the stream has ended. */
void  v2_conn_read(v2_conn_t *c);
/* Sends what is in c->out unless a send is in flight; shuts the sending side
 * down when all is out and out.fin is set. */
void  v2_conn_flush(v2_conn_t *c);
/* Idempotent. reset: the peer gets a RST; what is queued is lost either way.
 * on_dead comes in a later completion. Returns 1 when nothing will come: the
 * conn was never opened, or is dead already. */
int   v2_conn_close(v2_conn_t *c, int reset);

/* Every 250 ms: sends that wait longer than that give their ring buffers back
 * by moving what is left into memory cut to size. `low`: buffers are short,
 * every waiting send does so now. */
void  v2_conn_spill_blocked(uint64_t now_ms, int low);
int   v2_conn_blocked(void);        /* are there sends in flight? */
/* The conn whose send waits longest and holds memory, or NULL. */
v2_conn_t  *v2_conn_longest_blocked(void);

/* Options of a TCP socket: no delay, keepalive 60/15/4, user timeout 75 s.
 * Set on a listener they hold for what it accepts. */
void  v2_conn_tcp_options(int fd);

#endif
