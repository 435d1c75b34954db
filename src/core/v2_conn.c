/* Sockets of a worker: arming, completions, sending in order, closing.
 *
 * A send goes out as one sendmsg of up to V2_CONN_IOV slices. What the kernel
 * does not take at once waits in the ring with its buffers; a send that waits
 * longer than V2_CONN_PATIENCE is cancelled, its bytes are moved into memory
 * cut to size, and it is armed again: so a slow reader holds no ring buffer
 * for longer than that, and a fast one costs no copy. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conn.h"
#include "v2_log.h"
#include "v2_time.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define V2_CONN_IOV         64
#define V2_CONN_SEND_MAX    (1u << 20)
#define V2_CONN_PATIENCE    250         /* ms */

static void v2_conn_on_rd(v2_op_t *op, int res, unsigned flags);
static void v2_conn_on_wr(v2_op_t *op, int res, unsigned flags);
static void v2_conn_on_ctl(v2_op_t *op, int res, unsigned flags);
static void v2_conn_resize(v2_conn_t *c, uint32_t n);
static void v2_conn_sent(v2_conn_t *c, uint32_t n);
static void v2_conn_reap(v2_conn_t *c);

static v2_queue_t  v2_conn_waiting = { &v2_conn_waiting, &v2_conn_waiting };


void
v2_conn_init(v2_conn_t *c, v2_ring_t *ring, int fd, int udp,
    const v2_conn_ops_t *ops)
{
    memset(c, 0, sizeof(*c));

    c->fd = fd;
    c->state = V2_CONN_OPEN;
    c->group = V2_BUF_SMALL;
    c->udp = udp ? 1 : 0;
    c->ring = ring;
    c->ops = ops;

    c->rd.done = v2_conn_on_rd;
    c->wr.done = v2_conn_on_wr;
    c->ctl.done = v2_conn_on_ctl;
    c->rd.owner = c->wr.owner = c->ctl.owner = c;

    v2_chain_init(&c->out);
    v2_queue_init(&c->blocked);
}


void
v2_conn_init_base(v2_conn_t *c, const v2_conn_base_t *base,
    const v2_conn_ops_t *ops)
{
    v2_conn_init(c, NULL, -1, 0, ops);
    c->base = base;
}


void
v2_conn_tcp_options(int fd)
{
    static const struct {
        int  level, name, value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, 60 },
        { IPPROTO_TCP, TCP_KEEPINTVL, 15 },
        { IPPROTO_TCP, TCP_KEEPCNT, 4 },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, 75000 },
    };

    size_t  i;

    for (i = 0; i < v2_nelems(options); i++) {
        (void) setsockopt(fd, options[i].level, options[i].name,
                          &options[i].value, sizeof(int));
    }
}


void
v2_conn_read(v2_conn_t *c)
{
    unsigned  group;

    if (c->state != V2_CONN_OPEN || c->eof || c->rd.state != V2_OP_IDLE
        || c->base)
    {
        return;
    }

    c->pending++;

    if (c->udp) {
        v2_ring_recvfrom(c->ring, &c->rd, c->fd, c->group);
        return;
    }

    group = c->group;

    if (group == V2_BUF_LARGE
        && v2_buf_free_n(V2_BUF_LARGE) < v2_buf_count(V2_BUF_LARGE) / 4)
    {
        group = V2_BUF_SMALL;           /* large ones are getting short */
    }

    v2_ring_recv(c->ring, &c->rd, c->fd, group);
}


void
v2_conn_flush(v2_conn_t *c)
{
    uint32_t       n;
    size_t         bytes;
    v2_slice_t    *s;
    struct iovec   iov[V2_CONN_IOV];

    if (c->state != V2_CONN_OPEN || c->wr.state != V2_OP_IDLE) {
        return;
    }

    if (c->base) {
        c->base->flush(c);
        return;
    }

    if (c->out.head == NULL) {
        if (c->out.fin && !c->shut && !c->udp) {
            c->shut = 1;
            (void) shutdown(c->fd, SHUT_WR);
        }

        return;
    }

    s = c->out.head;
    c->pending++;
    c->since_ms = v2_now_ms();
    v2_queue_del(&c->blocked);
    v2_queue_add_tail(&v2_conn_waiting, &c->blocked);

    if (c->udp) {
        c->sending = s->len;
        v2_ring_sendto(c->ring, &c->wr, c->fd, v2_slice_data(s), s->len,
                       s->addr);
        return;
    }

    if (s->next == NULL) {
        c->sending = v2_min(s->len, V2_CONN_SEND_MAX);
        v2_ring_send(c->ring, &c->wr, c->fd, v2_slice_data(s), c->sending);
        return;
    }

    bytes = 0;

    for (n = 0; s && n < V2_CONN_IOV && bytes < V2_CONN_SEND_MAX; n++) {
        iov[n].iov_base = v2_slice_data(s);
        iov[n].iov_len = s->len;
        bytes += s->len;
        s = s->next;
    }

    c->sending = (uint32_t) bytes;
    v2_ring_sendv(c->ring, &c->wr, c->fd, iov, n);
}


int
v2_conn_close(v2_conn_t *c, int reset)
{
    struct linger  l = { 1, 0 };

    if (c->state != V2_CONN_OPEN) {
        return c->state != V2_CONN_CLOSING;
    }

    c->state = V2_CONN_CLOSING;
    v2_queue_del(&c->blocked);

    if (c->base) {
        v2_chain_free(&c->out);
        c->base->close(c);
        return 0;
    }

    if (reset && !c->udp) {
        (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    }

    if (c->rd.state == V2_OP_ARMED) {
        v2_ring_cancel(c->ring, &c->rd);
    }

    if (c->wr.state == V2_OP_ARMED) {
        v2_ring_cancel(c->ring, &c->wr);

    } else if (c->wr.state == V2_OP_IDLE) {
        v2_chain_free(&c->out);
    }

    if (c->pending == 0) {
        v2_conn_reap(c);
    }

    return 0;
}


void
v2_conn_spill_blocked(uint64_t now_ms, int low)
{
    v2_conn_t   *c;
    v2_queue_t  *q, *next;

    for (q = v2_conn_waiting.next; q != &v2_conn_waiting; q = next) {
        next = q->next;
        c = v2_queue_data(q, v2_conn_t, blocked);

        if (!low && c->since_ms + V2_CONN_PATIENCE > now_ms) {
            break;                          /* the list is in arming order */
        }

        if (c->wr.state == V2_OP_ARMED && c->out.head
            && c->out.head->buf->group != V2_BUF_MEM)
        {
            c->spill = 1;
            v2_ring_cancel(c->ring, &c->wr);
        }
    }
}


int
v2_conn_blocked(void)
{
    return !v2_queue_empty(&v2_conn_waiting);
}


v2_conn_t *
v2_conn_longest_blocked(void)
{
    v2_conn_t   *c;
    v2_queue_t  *q;

    for (q = v2_conn_waiting.next; q != &v2_conn_waiting; q = q->next) {
        c = v2_queue_data(q, v2_conn_t, blocked);

        if (c->out.head && c->out.head->buf->group == V2_BUF_MEM) {
            return c;
        }
    }

    return NULL;
}


static void
v2_conn_on_rd(v2_op_t *op, int res, unsigned flags)
{
    v2_buf_t   *b;
    v2_conn_t  *c;

    c = op->owner;
    b = op->buf;
    op->buf = NULL;
    c->pending--;

    if (c->state != V2_CONN_OPEN) {
        if (b) {
            v2_buf_put(b);
        }

        if (c->pending == 0) {
            v2_conn_reap(c);
        }

        return;
    }

    if (res > 0 || (c->udp && (flags & V2_CQE_DATAGRAM))) {
        if (flags & V2_CQE_TRUNC) {
            c->group = V2_BUF_LARGE;        /* the next one will fit */
            v2_buf_put(b);
            v2_conn_read(c);
            return;
        }

        if (!c->udp) {
            v2_conn_resize(c, (uint32_t) res);
        }

        c->ops->on_data(c, b, (uint32_t) res);
        return;
    }

    if (res == 0) {
        c->eof = 1;
        c->ops->on_eof(c);
        return;
    }

    c->ops->on_error(c, -res, "recv() failed");
}


/* The buffer follows the flow: a receive that filled its buffer makes the next
 * one large, a few short ones make it small again. */
static void
v2_conn_resize(v2_conn_t *c, uint32_t n)
{
    if (n >= v2_buf_size(c->rd.group)) {
        c->shorts = 0;

        if (c->group < V2_BUF_LARGE && !(c->slow && c->group == V2_BUF_SMALL))
        {
            c->group++;
        }

        return;
    }

    if (c->group == V2_BUF_LARGE
        && n < v2_buf_size(V2_BUF_SMALL)
        && ++c->shorts >= 4)
    {
        c->shorts = 0;
        c->group = V2_BUF_SMALL;
    }
}


static void
v2_conn_on_wr(v2_op_t *op, int res, unsigned flags)
{
    v2_conn_t  *c;

    (void) flags;

    c = op->owner;
    c->pending--;
    v2_queue_del(&c->blocked);

    if (res > 0 || (c->udp && res == 0)) {
        v2_conn_sent(c, (uint32_t) res);
        return;
    }

    if (c->state != V2_CONN_OPEN) {
        v2_chain_free(&c->out);

        if (c->pending == 0) {
            v2_conn_reap(c);
        }

        return;
    }

    c->sending = 0;

    if (res == -ECANCELED && c->spill) {
        c->spill = 0;
        c->slow = 1;
        (void) v2_chain_spill(&c->out);
        v2_conn_flush(c);
        return;
    }

    if (c->udp) {

        /* a datagram that could not be sent is lost, as on any path */

        v2_chain_take(&c->out, c->out.head ? c->out.head->len : 0);
        c->ops->on_sent(c, 0);
        return;
    }

    c->ops->on_error(c, -res, "send() failed");
}


static void
v2_conn_sent(v2_conn_t *c, uint32_t n)
{
    size_t    payload;
    uint32_t  whole;

    whole = c->sending;
    c->sending = 0;
    payload = v2_chain_take(&c->out, n);
    c->out.taken = 0;

    if (c->state != V2_CONN_OPEN) {

        /* the kernel has these bytes: they count, whoever closed meanwhile */

        c->ops->on_sent(c, payload);
        v2_chain_free(&c->out);

        if (c->pending == 0) {
            v2_conn_reap(c);
        }

        return;
    }

    if (n == whole) {
        c->spill = 0;

        if (v2_now_ms() - c->since_ms < V2_CONN_PATIENCE) {
            c->slow = 0;
        }

    } else if (c->spill) {
        c->spill = 0;
        c->slow = 1;
        (void) v2_chain_spill(&c->out);
    }

    if (c->out.head || c->out.fin) {
        v2_conn_flush(c);
    }

    c->ops->on_sent(c, payload);
}


static void
v2_conn_on_ctl(v2_op_t *op, int res, unsigned flags)
{
    v2_conn_t  *c;

    (void) res;
    (void) flags;

    c = op->owner;
    c->pending--;
    c->fd = -1;
    c->state = V2_CONN_DEAD;
    c->ops->on_dead(c);
}


static void
v2_conn_reap(v2_conn_t *c)
{
    v2_chain_free(&c->out);
    c->pending++;
    v2_ring_close(c->ring, &c->ctl, c->fd);
}
