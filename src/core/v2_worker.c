/* The process frame of a worker: rings and resolver made with the master's
 * rights, the loop, the master's messages, and the end. What it serves is in
 * the engine part (v2_live.c, v2_listen.c, v2_sess.c ...), behind v2_worker.h.
 *
 * One turn: time, epoch, wait and completions, timers, what was posted, the
 * tick of a second. An idle worker wakes once a second.
 *
 * How it ends
 *   MSG_QUIT        drain: listeners closed, until no session is left or the
 *                   time is over
 *   master gone     the same, at most V2_WORKER_ORPHAN seconds
 *   MSG_STOP, TERM  sessions closed, at most V2_WORKER_STOP_MS */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_worker.h"
#include "v2_buf.h"
#include "v2_log.h"
#include "v2_proc.h"
#include "v2_time.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define V2_WORKER_IDLE_MS       1000
#define V2_WORKER_ORPHAN        30
#define V2_WORKER_STOP_MS       1000
#define V2_WORKER_ENTRIES       4096

typedef struct {
    v2_worker_t       worker;           /* first: the engine sees only this */
    v2_op_t           op;               /* polls the channel */
    int               channel;
    uint32_t          second;           /* of the last tick */
    uint64_t          end_ms;           /* drain or stop ends, 0: never */
    unsigned          stopping:1;
    unsigned          orphan:1;
} v2_frame_t;

typedef void (*v2_worker_msg_pt)(v2_frame_t *f, const v2_msg_t *m, int *fds);

static void v2_worker_pin(const v2_start_t *st);
static void v2_worker_init(v2_frame_t *f, v2_start_t *st);
static int v2_worker_over(v2_frame_t *f);
static void v2_worker_tick(v2_frame_t *f);
static void v2_worker_before_sleep(void *arg);
static void v2_worker_after_sleep(void *arg);
static void v2_worker_on_channel(v2_op_t *op, int res, unsigned flags);
static void v2_worker_drain(v2_frame_t *f, uint32_t seconds);
static void v2_worker_stop(v2_frame_t *f);
static void v2_worker_on_term(int signo);
static void v2_worker_msg_image(v2_frame_t *f, const v2_msg_t *m, int *fds);
static void v2_worker_msg_listen(v2_frame_t *f, const v2_msg_t *m, int *fds);
static void v2_worker_msg_unlisten(v2_frame_t *f, const v2_msg_t *m,
    int *fds);
static void v2_worker_msg_commit(v2_frame_t *f, const v2_msg_t *m, int *fds);
static void v2_worker_msg_drop(v2_frame_t *f, const v2_msg_t *m, int *fds);
static void v2_worker_msg_log(v2_frame_t *f, const v2_msg_t *m, int *fds);
static void v2_worker_msg_quit(v2_frame_t *f, const v2_msg_t *m, int *fds);
static void v2_worker_msg_stop(v2_frame_t *f, const v2_msg_t *m, int *fds);

/* by type; a handler takes over the descriptors, whose number is min..max */
static const struct {
    unsigned            type, min, max;
    v2_worker_msg_pt    handler;
} v2_worker_msgs[] = {
    { V2_MSG_IMAGE,    1, 1, v2_worker_msg_image },
    { V2_MSG_LISTEN,   1, 1, v2_worker_msg_listen },
    { V2_MSG_UNLISTEN, 0, 0, v2_worker_msg_unlisten },
    { V2_MSG_COMMIT,   0, 0, v2_worker_msg_commit },
    { V2_MSG_DROP,     0, 0, v2_worker_msg_drop },
    { V2_MSG_LOG,      1, 2, v2_worker_msg_log },
    { V2_MSG_QUIT,     0, 0, v2_worker_msg_quit },
    { V2_MSG_STOP,     0, 0, v2_worker_msg_stop }
};

/* reserved, not touched: pages come with use and go when a worker is idle */
static const v2_buf_conf_t  v2_worker_bufs[V2_BUF_GROUPS] = {
    [V2_BUF_HAND]  = { 2048,        256 },      /* a client's first bytes */
    [V2_BUF_SMALL] = { 16384 + 512, 1024 },     /* one whole TLS record */
    [V2_BUF_LARGE] = { 262144,      128 }       /* flows that fill them */
};

static v2_frame_t              v2_frame;
static volatile sig_atomic_t   v2_worker_term;


v2_int_t
v2_worker_setup(v2_start_t *st)
{
    const char      *why;
    v2_worker_t     *w;
    v2_ring_conf_t   rc;

    w = &v2_frame.worker;

    v2_time_update();
    v2_worker_pin(st);

    if (v2_buf_init(v2_worker_bufs) != V2_OK) {
        return V2_ERROR;                /* the ring gives them to the kernel */
    }

    why = NULL;
    rc.engine = st->conf->engine;
    rc.entries = V2_WORKER_ENTRIES;

    w->ring = v2_ring_create(&rc, &why);

    if (w->ring == NULL) {
        return V2_ERROR;
    }

    if (st->ordinal == 0) {
        v2_log(V2_LOG_NOTICE, NULL, 0, "engine %s%s%s",
               v2_ring_name(w->ring), why != NULL ? ": " : "",
               why != NULL ? why : "");
    }

    w->resolve = v2_resolve_create(w->ring, NULL, NULL, NULL);

    if (w->resolve == NULL) {
        return V2_ERROR;
    }

    v2_access_init(st->access_fd);

    return V2_OK;
}


int
v2_worker_run(v2_start_t *st)
{
    uint64_t          wait_ms;
    v2_frame_t       *f;
    v2_worker_t      *w;
    v2_ring_hooks_t   hooks;

    f = &v2_frame;
    w = &f->worker;

    v2_worker_init(f, st);

    if (v2_engine_init(w) != V2_OK) {
        return 1;
    }

    hooks.before_sleep = v2_worker_before_sleep;
    hooks.after_sleep = v2_worker_after_sleep;
    hooks.arg = w;

    v2_ring_poll(w->ring, &f->op, f->channel, POLLIN|POLLRDHUP);

    while (!v2_worker_over(f)) {
        v2_time_update();
        v2_shm_turn(w->shm, w->proc);

        wait_ms = v2_queue_empty(&w->posted)
                  ? v2_timer_next(v2_now_ms(), V2_WORKER_IDLE_MS) : 0;

        if (v2_ring_wait(w->ring, wait_ms, &hooks) != V2_OK) {
            return 1;
        }

        v2_timer_expire(v2_now_ms());
        v2_engine_turn(w);

        if (v2_now_s() != f->second) {
            v2_worker_tick(f);

        } else if (atomic_load_explicit(&w->shm->cut, memory_order_relaxed)
                   != w->cut_seen)
        {
            v2_engine_tick(w);
        }
    }

    v2_engine_turn(w);
    v2_log_tick();

    return 0;
}


/* One worker for each CPU: then each stays on its own, and its memory with it.
 * With more or fewer the scheduler knows better. */

static void
v2_worker_pin(const v2_start_t *st)
{
    int        cpu;
    unsigned   n;
    cpu_set_t  mask, one;

    if (strcmp(st->conf->worker_affinity, "off") == 0
        || sched_getaffinity(0, sizeof(mask), &mask) == -1
        || (unsigned) CPU_COUNT(&mask) != st->workers_n)
    {
        return;
    }

    n = st->ordinal;

    for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &mask) && n-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);

            if (sched_setaffinity(0, sizeof(one), &one) == -1) {
                v2_log(V2_LOG_WARN, NULL, errno,
                       "sched_setaffinity() to CPU %d failed", cpu);
            }

            return;
        }
    }
}


static void
v2_worker_init(v2_frame_t *f, v2_start_t *st)
{
    v2_worker_t       *w;
    struct sigaction   sa;

    w = &f->worker;
    w->index = st->block;
    w->shm = st->shm;
    w->proc = st->proc;
    w->meter = &v2_meter;
    w->router = &v2_router;
    w->memory_limit = st->conf->worker_memory;

    f->channel = st->channel;
    f->op.owner = f;
    f->op.done = v2_worker_on_channel;

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_handler = v2_worker_on_term;
    (void) sigemptyset(&sa.sa_mask);
    (void) sigaction(SIGTERM, &sa, NULL);
    (void) signal(SIGQUIT, SIG_IGN);
}


/* Looked at before each turn. */

static int
v2_worker_over(v2_frame_t *f)
{
    v2_worker_t  *w;

    w = &f->worker;

    if (v2_worker_term && !f->stopping) {
        v2_worker_stop(f);
    }

    if (!w->draining && !f->stopping) {
        return 0;
    }

    if (w->sessions_n == 0) {
        return 1;
    }

    if (f->end_ms == 0 || v2_now_ms() < f->end_ms) {
        return 0;
    }

    if (f->stopping) {
        v2_log(V2_LOG_WARN, NULL, 0, "%" PRIu32 " connections did not close "
               "in time", w->sessions_n);
        return 1;
    }

    v2_log(V2_LOG_NOTICE, NULL, 0, "the time to drain is over, %" PRIu32
           " connections are closed", w->sessions_n);
    v2_worker_stop(f);

    return 0;
}


static void
v2_worker_tick(v2_frame_t *f)
{
    v2_worker_t  *w;

    w = &f->worker;

    atomic_store_explicit(&w->proc->heartbeat, v2_now_ms(),
                          memory_order_relaxed);
    v2_engine_tick(w);
    v2_log_tick();

    f->second = v2_now_s();
}


static void
v2_worker_before_sleep(void *arg)
{
    v2_worker_t  *w;

    w = arg;
    v2_shm_sleep(w->shm, w->proc);
}


static void
v2_worker_after_sleep(void *arg)
{
    v2_worker_t  *w;

    w = arg;
    v2_shm_turn(w->shm, w->proc);
    v2_time_update();
}


static void
v2_worker_on_channel(v2_op_t *op, int res, unsigned flags)
{
    int          fds[V2_CHANNEL_FDS];
    unsigned     i;
    v2_msg_t     m;
    v2_int_t     rc;
    v2_frame_t  *f;

    (void) res;
    (void) flags;

    f = op->owner;

    while ((rc = v2_channel_recv(f->channel, &m, fds)) == V2_OK) {

        for (i = 0; i < v2_nelems(v2_worker_msgs); i++) {
            if (v2_worker_msgs[i].type == m.type
                && m.fds_n >= v2_worker_msgs[i].min
                && m.fds_n <= v2_worker_msgs[i].max)
            {
                v2_worker_msgs[i].handler(f, &m, fds);
                break;
            }
        }

        if (i == v2_nelems(v2_worker_msgs)) {
            v2_log(V2_LOG_ALERT, NULL, 0, "message %u of the master with %u "
                   "descriptors is unknown", m.type, m.fds_n);

            while (m.fds_n > 0) {
                (void) close(fds[--m.fds_n]);
            }
        }
    }

    if (rc != V2_DONE) {
        v2_ring_poll(f->worker.ring, op, f->channel, POLLIN|POLLRDHUP);
        return;
    }

    f->orphan = 1;

    if (!f->worker.draining && !f->stopping) {
        v2_log(V2_LOG_ERR, NULL, 0, "the master is gone: draining for at most "
               "%d s", V2_WORKER_ORPHAN);
        v2_worker_drain(f, V2_WORKER_ORPHAN);

    } else if (!f->stopping) {
        f->end_ms = v2_min(f->end_ms == 0 ? UINT64_MAX : f->end_ms,
                           v2_now_ms() + V2_WORKER_ORPHAN * 1000);
    }
}


/* seconds 0: as long as it takes. */

static void
v2_worker_drain(v2_frame_t *f, uint32_t seconds)
{
    v2_engine_drain(&f->worker);
    f->worker.draining = 1;
    f->end_ms = seconds == 0 ? 0 : v2_now_ms() + (uint64_t) seconds * 1000;
}


static void
v2_worker_stop(v2_frame_t *f)
{
    if (!f->worker.draining) {
        v2_worker_drain(f, 0);
    }

    f->stopping = 1;
    f->end_ms = v2_now_ms() + V2_WORKER_STOP_MS;
    v2_engine_stop(&f->worker);
}


static void
v2_worker_on_term(int signo)
{
    (void) signo;
    v2_worker_term = 1;
}


static void
v2_worker_msg_image(v2_frame_t *f, const v2_msg_t *m, int *fds)
{
    v2_msg_t  answer;

    memset(&answer, 0, sizeof(v2_msg_t));
    answer.type = V2_MSG_READY;
    answer.arg = m->arg;

    if (v2_live_prepare(&f->worker, fds[0], answer.text, sizeof(answer.text))
        != V2_OK)
    {
        answer.type = V2_MSG_FAILED;
    }

    (void) v2_channel_send(f->channel, &answer, NULL);
}


static void
v2_worker_msg_listen(v2_frame_t *f, const v2_msg_t *m, int *fds)
{
    if (f->worker.draining) {
        (void) close(fds[0]);
        return;
    }

    v2_listen_add(&f->worker, m->node, m->arg, fds[0], (int) m->arg2);
}


static void
v2_worker_msg_unlisten(v2_frame_t *f, const v2_msg_t *m, int *fds)
{
    (void) fds;
    v2_listen_del(&f->worker, m->node, m->arg);
}


static void
v2_worker_msg_commit(v2_frame_t *f, const v2_msg_t *m, int *fds)
{
    (void) fds;
    v2_live_commit(&f->worker, m->arg);
}


static void
v2_worker_msg_drop(v2_frame_t *f, const v2_msg_t *m, int *fds)
{
    (void) fds;
    v2_live_drop(&f->worker, m->arg);
}


/* arg: the level from now on, 0: as it was. One descriptor: no access log. */

static void
v2_worker_msg_log(v2_frame_t *f, const v2_msg_t *m, int *fds)
{
    (void) f;

    v2_log_set_fd(fds[0]);
    v2_access_init(m->fds_n == 2 ? fds[1] : -1);

    if (m->arg != 0) {
        v2_log_set_level(m->arg);
    }
}


static void
v2_worker_msg_quit(v2_frame_t *f, const v2_msg_t *m, int *fds)
{
    (void) fds;

    if (!f->stopping) {
        v2_worker_drain(f, m->arg);
    }
}


static void
v2_worker_msg_stop(v2_frame_t *f, const v2_msg_t *m, int *fds)
{
    (void) m;
    (void) fds;

    if (!f->stopping) {
        v2_worker_stop(f);
    }
}
