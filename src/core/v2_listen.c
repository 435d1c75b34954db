/* Accepting. The sockets were opened by the master; the copies here are the
 * worker's, to be closed when it stops serving them. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conn.h"
#include "v2_listen.h"
#include "v2_live.h"
#include "v2_log.h"
#include "v2_sess.h"
#include "v2_time.h"

#include <unistd.h>

#define V2_LISTEN_RETRY_MS      500

static void v2_listen_on_accept(v2_op_t *op, int res, unsigned flags);
static void v2_listen_on_close(v2_op_t *op, int res, unsigned flags);
static void v2_listen_pause(v2_listen_t *ls, int err);
static void v2_listen_on_retry(v2_timer_t *t);
static void v2_listen_close(v2_listen_t *ls);


void
v2_listen_add(v2_worker_t *w, uint32_t node, uint32_t j, int fd, int udp)
{
    v2_listen_t  *ls;

    ls = calloc(1, sizeof(*ls));
    if (ls == NULL) {
        v2_log(V2_LOG_ALERT, NULL, ENOMEM, "cannot serve a listener");
        (void) close(fd);
        return;
    }

    ls->worker = w;
    ls->node = node;
    ls->j = j;
    ls->fd = fd;
    ls->udp = udp ? 1 : 0;
    ls->op.done = v2_listen_on_accept;
    ls->op.owner = ls;

    if (!udp) {
        v2_conn_tcp_options(fd);        /* what it accepts inherits them */
    }

    v2_queue_add_tail(&w->listens, &ls->queue);

    if (w->live) {
        v2_listen_start(w);
    }
}


void
v2_listen_del(v2_worker_t *w, uint32_t node, uint32_t j)
{
    v2_queue_t   *q, *next;
    v2_listen_t  *ls;

    for (q = w->listens.next; q != &w->listens; q = next) {
        next = q->next;
        ls = v2_queue_data(q, v2_listen_t, queue);

        if (ls->node == node && ls->j == j && !ls->closing) {
            v2_listen_close(ls);
        }
    }
}


void
v2_listen_start(v2_worker_t *w)
{
    v2_queue_t   *q;
    v2_listen_t  *ls;

    w->accept_retry.fire = v2_listen_on_retry;

    for (q = w->listens.next; q != &w->listens; q = q->next) {
        ls = v2_queue_data(q, v2_listen_t, queue);

        if (ls->closing || ls->paused || ls->udp
            || ls->op.state != V2_OP_IDLE
            || v2_live_node(w->live, ls->node) == NULL)
        {
            continue;
        }

        v2_ring_accept(w->ring, &ls->op, ls->fd);
    }
}


void
v2_listen_resume(v2_worker_t *w)
{
    int           some;
    v2_queue_t   *q;
    v2_listen_t  *ls;

    some = 0;

    for (q = w->listens.next; q != &w->listens; q = q->next) {
        ls = v2_queue_data(q, v2_listen_t, queue);
        some |= ls->paused;
        ls->paused = 0;
    }

    if (some) {
        v2_listen_start(w);
    }
}


void
v2_listen_close_all(v2_worker_t *w)
{
    v2_queue_t   *q, *next;
    v2_listen_t  *ls;

    v2_timer_del(&w->accept_retry);

    for (q = w->listens.next; q != &w->listens; q = next) {
        next = q->next;
        ls = v2_queue_data(q, v2_listen_t, queue);

        if (!ls->closing) {
            v2_listen_close(ls);
        }
    }
}


static void
v2_listen_on_accept(v2_op_t *op, int res, unsigned flags)
{
    v2_listen_t     *ls;
    v2_worker_t     *w;
    v2_live_node_t  *n;

    ls = op->owner;
    w = ls->worker;

    if (res >= 0) {
        n = v2_live_node(w->live, ls->node);

        if (n == NULL) {
            (void) close(res);

        } else {
            v2_sess_accept(w, w->live, n, res);
        }
    }

    if (flags & V2_CQE_MORE) {
        return;
    }

    if (ls->closing) {
        op->done = v2_listen_on_close;
        v2_ring_close(w->ring, op, ls->fd);
        return;
    }

    switch (-res) {

    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        v2_listen_pause(ls, -res);
        return;

    default:
        if (v2_live_node(w->live, ls->node)) {
            v2_ring_accept(w->ring, op, ls->fd);
        }
    }
}


static void
v2_listen_on_close(v2_op_t *op, int res, unsigned flags)
{
    v2_listen_t  *ls;

    (void) res;
    (void) flags;

    ls = op->owner;
    v2_queue_del(&ls->queue);
    free(ls);
}


static void
v2_listen_pause(v2_listen_t *ls, int err)
{
    v2_worker_t  *w;

    w = ls->worker;
    ls->paused = 1;

    if (!w->fd_warned) {
        w->fd_warned = 1;
        v2_log(V2_LOG_WARN, NULL, err,
               "accept() failed with %" PRIu32 " connections open, new ones "
               "wait: raise LimitNOFILE or \"ulimit -n\"", w->sessions_n);
    }

    (void) v2_timer_add(&w->accept_retry, v2_now_ms() + V2_LISTEN_RETRY_MS);
}


static void
v2_listen_on_retry(v2_timer_t *t)
{
    v2_listen_resume(v2_containerof(t, v2_worker_t, accept_retry));
}


static void
v2_listen_close(v2_listen_t *ls)
{
    ls->closing = 1;

    if (ls->op.state == V2_OP_ARMED) {
        v2_ring_cancel(ls->worker->ring, &ls->op);
        return;
    }

    if (ls->op.state == V2_OP_IDLE) {
        ls->op.done = v2_listen_on_close;
        v2_ring_close(ls->worker->ring, &ls->op, ls->fd);
    }
}
