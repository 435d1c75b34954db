/* The engine part of a worker as its frame sees it: start, the end of each
 * loop turn, the tick, drain and stop. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_child.h"
#include "v2_listen.h"
#include "v2_log.h"
#include "v2_park.h"
#include "v2_sess.h"
#include "v2_time.h"
#include "v2_tls13.h"
#include "v2_worker.h"

#define V2_ENGINE_SPILL_MS      125

static void v2_engine_flush(v2_worker_t *w);
static void v2_engine_on_spill(v2_timer_t *t);
static void v2_engine_memory(v2_worker_t *w);


v2_int_t
v2_engine_init(v2_worker_t *w)
{
    v2_queue_init(&w->lives);
    v2_queue_init(&w->listens);
    v2_queue_init(&w->sessions);
    v2_queue_init(&w->posted);
    v2_queue_init(&w->children);
    v2_queue_init(&w->parks);
    v2_queue_init(&w->dead);

    w->spill.fire = v2_engine_on_spill;
    w->cut_seen = atomic_load(&w->shm->cut);

    return V2_OK;
}


void
v2_engine_turn(v2_worker_t *w)
{
    v2_child_turn(w);
    v2_engine_flush(w);

    if (v2_conn_blocked()) {
        if (v2_buf_free_n(V2_BUF_SMALL) < v2_buf_count(V2_BUF_SMALL) / 8) {
            v2_conn_spill_blocked(v2_now_ms(), 1);
        }

        if (!v2_timer_armed(&w->spill)) {
            (void) v2_timer_add(&w->spill, v2_now_ms() + V2_ENGINE_SPILL_MS);
        }
    }

    if (v2_buf_mem_bytes() > w->memory_limit) {
        v2_engine_memory(w);
    }

    v2_sess_free_dead(w);
}


/* What was posted this turn goes out now: one send per socket. A link that
 * yields is posted again, and runs in the next turn. */
static void
v2_engine_flush(v2_worker_t *w)
{
    int          client;
    v2_int_t     rc;
    v2_link_t   *l;
    v2_sess_t   *s;
    v2_queue_t  *q, work;

    v2_queue_init(&work);

    while (!v2_queue_empty(&w->posted)) {
        q = w->posted.next;
        v2_queue_del(q);
        v2_queue_add_tail(&work, q);
    }

    while (!v2_queue_empty(&work)) {
        q = work.next;
        v2_queue_del(q);
        l = v2_queue_data(q, v2_link_t, posted);
        s = l->sess;
        client = l == &s->client;

        if (s->phase == V2_SESS_CLOSED) {
            continue;
        }

        rc = v2_link_flush(l);

        if (rc == V2_ERROR) {
            v2_sess_close(s, V2_SESS_RST_CLIENT, V2_LOG_INFO, 0,
                          s->view.req.why ? s->view.req.why
                                          : "output failed");
            continue;
        }

        if (client && l->again_in) {
            s->client.conn.ops->on_again(&s->client.conn);
        }

        if (s->phase == V2_SESS_RELAY || s->phase == V2_SESS_MUX) {
            v2_relay_pump(s);
        }
    }
}


void
v2_engine_tick(v2_worker_t *w)
{
    uint32_t     cut;
    v2_sess_t   *s;
    v2_queue_t  *q, *next;

    cut = atomic_load_explicit(&w->shm->cut, memory_order_acquire);

    if (cut != w->cut_seen) {
        w->cut_seen = cut;

        for (q = w->sessions.next; q != &w->sessions; q = next) {
            next = q->next;
            s = v2_queue_data(q, v2_sess_t, all);

            if (s->row != V2_NONE
                && w->meter->stale(w->shm, w->index, s->row))
            {
                v2_sess_close(s, V2_SESS_RST_CLIENT | V2_SESS_RST_REMOTE,
                              V2_LOG_INFO, 0, "user was removed");
            }
        }
    }

    if (w->sessions_n == 0) {
        v2_tls13_trim();
    }

    v2_buf_trim();
}


void
v2_engine_drain(v2_worker_t *w)
{
    w->draining = 1;
    v2_listen_close_all(w);
    v2_park_close_all(w);
}


void
v2_engine_stop(v2_worker_t *w)
{
    v2_sess_t   *s;
    v2_queue_t  *q, *next;

    v2_engine_drain(w);

    for (q = w->sessions.next; q != &w->sessions; q = next) {
        next = q->next;
        s = v2_queue_data(q, v2_sess_t, all);
        v2_sess_close(s, V2_SESS_RST_CLIENT | V2_SESS_RST_REMOTE, 0, 0,
                      "stopped");
    }
}


static void
v2_engine_on_spill(v2_timer_t *t)
{
    v2_worker_t  *w;

    w = v2_containerof(t, v2_worker_t, spill);

    v2_conn_spill_blocked(v2_now_ms(), 0);

    if (v2_conn_blocked()) {
        (void) v2_timer_add(&w->spill, v2_now_ms() + V2_ENGINE_SPILL_MS);
    }
}


/* Slow readers may hold WorkerMemory together; above it the one that waits
 * longest goes. */
static void
v2_engine_memory(v2_worker_t *w)
{
    v2_conn_t  *c;
    v2_sess_t  *s;

    c = v2_conn_longest_blocked();
    if (c == NULL) {
        return;
    }

    s = v2_sess_of(c);

    v2_log(V2_LOG_WARN, &s->log, 0,
           "closed, it waited longest and %zu MiB are queued for slow readers "
           "(WorkerMemory is %" PRIu64 " MiB)",
           v2_buf_mem_bytes() >> 20, w->memory_limit >> 20);
    v2_sess_close(s, V2_SESS_RST_CLIENT | V2_SESS_RST_REMOTE, 0, 0,
                  "out of WorkerMemory");
}
