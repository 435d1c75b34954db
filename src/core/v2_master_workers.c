/* Workers as the master sees them: generations, images and sockets to them.
 * See v2_master.h.
 *
 * What a worker is sent: first the image in use, if it lacks that (it is new);
 * then the one under way. It has one to prepare at a time. Sockets come after
 * the commit, each to one worker: number i of n has the sockets j with
 * j mod n == i, and those of a dead one go to its living neighbour until the
 * successor has the image. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_master.h"
#include "v2_log.h"
#include "v2_time.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

static v2_int_t v2_worker_spawn(v2_master_t *m, v2_mworker_t *w,
    const v2_conf_t *conf, const v2_rights_t *rights);
static void v2_worker_on_timer(v2_timer_t *t);
static void v2_worker_feed(v2_master_t *m, v2_mworker_t *w);
static void v2_worker_on_ready(v2_master_t *m, v2_mworker_t *w,
    uint32_t serial);
static void v2_worker_on_failed(v2_master_t *m, v2_mworker_t *w,
    const v2_msg_t *msg);
static void v2_worker_commit(v2_mworker_t *w, uint32_t serial);
static v2_mworker_t *v2_worker_for(v2_master_t *m, unsigned i);
static void v2_workers_assign_one(v2_master_t *m, uint32_t slot,
    v2_listener_t *l);

#define v2_worker_alive(w)      ((w)->used && (w)->proc.pid != 0)


unsigned
v2_workers_want(const v2_conf_t *conf)
{
    cpu_set_t  mask;

    if (conf->workers != 0) {
        return v2_min(conf->workers, V2_SHM_WORKERS);
    }

    if (sched_getaffinity(0, sizeof(mask), &mask) == -1) {
        return 1;
    }

    return v2_min((unsigned) CPU_COUNT(&mask), V2_SHM_WORKERS);
}


v2_int_t
v2_workers_start(v2_master_t *m, unsigned gen, const v2_conf_t *conf,
    const v2_rights_t *rights)
{
    unsigned       i, n, block;
    v2_mworker_t  *w;

    n = v2_workers_want(conf);
    block = 0;

    for (i = 0; i < n; i++) {

        while (block < V2_SHM_WORKERS && m->workers[block].used) {
            block++;
        }

        if (block == V2_SHM_WORKERS) {
            v2_log(V2_LOG_ERR, NULL, 0, "%u more workers are too many while "
                   "old ones drain: there may be %d in all", n,
                   V2_SHM_WORKERS);
            return V2_ERROR;
        }

        w = &m->workers[block];
        memset(w, 0, sizeof(v2_mworker_t));
        v2_proc_init(&w->proc, V2_CHILD_WORKER);
        w->master = m;
        w->gen = gen;
        w->used = 1;
        w->timer.fire = v2_worker_on_timer;
        w->start.block = block;
        w->start.ordinal = i;
        w->start.workers_n = n;

        if (v2_worker_spawn(m, w, conf, rights) != V2_OK) {
            w->used = 0;
            return V2_ERROR;
        }
    }

    return V2_OK;
}


void
v2_workers_on_message(v2_master_t *m, v2_mworker_t *w)
{
    int       fds[V2_CHANNEL_FDS];
    v2_msg_t  msg;
    v2_int_t  rc;

    while (w->proc.fd != -1
           && (rc = v2_channel_recv(w->proc.fd, &msg, fds)) != V2_AGAIN)
    {
        if (rc == V2_DONE) {
            v2_proc_close(&w->proc);        /* its end will be reaped */
            return;
        }

        if (rc != V2_OK) {
            return;
        }

        while (msg.fds_n > 0) {
            (void) close(fds[--msg.fds_n]);
        }

        switch (msg.type) {

        case V2_MSG_READY:
            v2_worker_on_ready(m, w, msg.arg);
            break;

        case V2_MSG_FAILED:
            v2_worker_on_failed(m, w, &msg);
            break;

        default:
            v2_log(V2_LOG_ALERT, NULL, 0, "message %u of worker %u is unknown",
                   msg.type, w->start.block);
        }
    }
}


void
v2_workers_ended(v2_master_t *m, v2_mworker_t *w, int status)
{
    pid_t      pid;
    uint64_t   delay;

    v2_proc_ended(&w->proc, status, w->quitting || m->stop != V2_STOP_NONE);
    v2_proc_close(&w->proc);

    pid = w->proc.pid;
    w->proc.pid = 0;
    w->sent = w->ready = w->serial = 0;
    v2_shm_proc_clear(m->shm, (uint32_t) pid);

    if (m->stop != V2_STOP_NONE || w->quitting) {
        w->used = 0;
        v2_timer_del(&w->timer);
        v2_master_stop_next(m);
        return;
    }

    /* a generation that does not come up ends the reload that wanted it */

    if (w->gen != m->gen) {
        w->used = 0;
        v2_image_fail(m, "a new worker ended");
        return;
    }

    delay = v2_proc_backoff(&w->proc, status, v2_now_ms());

    if (delay != V2_PROC_NEVER) {
        (void) v2_timer_add(&w->timer, v2_now_ms() + delay);

    } else if (v2_workers_alive(m) == 0) {
        v2_log(V2_LOG_EMERG, NULL, 0, "no worker is left that could serve");
        m->failed = 1;
        v2_sig_stop = 1;
    }

    v2_workers_assign(m);

    if (m->phase == V2_PHASE_PREPARE && v2_workers_ready(m)) {
        v2_image_commit(m);
    }
}


void
v2_workers_feed(v2_master_t *m)
{
    unsigned  i;

    for (i = 0; i < V2_SHM_WORKERS; i++) {
        if (v2_worker_alive(&m->workers[i])) {
            v2_worker_feed(m, &m->workers[i]);
        }
    }
}


int
v2_workers_ready(const v2_master_t *m)
{
    unsigned             i, n;
    const v2_mworker_t  *w;

    n = 0;

    for (i = 0; i < V2_SHM_WORKERS; i++) {
        w = &m->workers[i];

        if (!v2_worker_alive(w) || w->gen != m->pending.gen || w->quitting) {
            continue;
        }

        if (w->ready != m->pending.serial) {
            return 0;
        }

        n++;
    }

    return n != 0;
}


void
v2_workers_commit(v2_master_t *m)
{
    unsigned       i;
    v2_mworker_t  *w;

    for (i = 0; i < V2_SHM_WORKERS; i++) {
        w = &m->workers[i];

        if (v2_worker_alive(w) && w->gen == m->pending.gen && !w->quitting) {
            v2_worker_commit(w, m->pending.serial);
        }
    }
}


void
v2_workers_drop(v2_master_t *m)
{
    unsigned       i;
    v2_msg_t       msg;
    v2_mworker_t  *w;

    memset(&msg, 0, sizeof(v2_msg_t));
    msg.type = V2_MSG_DROP;
    msg.arg = m->pending.serial;

    for (i = 0; i < V2_SHM_WORKERS; i++) {
        w = &m->workers[i];

        if (!v2_worker_alive(w)) {
            continue;
        }

        if (w->gen != m->gen && !w->quitting) {
            w->quitting = 1;                /* of a reload that failed */
            (void) kill(w->proc.pid, SIGKILL);
            continue;
        }

        if (w->sent == m->pending.serial || w->ready == m->pending.serial) {
            (void) v2_proc_send(&w->proc, &msg, NULL);
            w->sent = 0;
            w->ready = 0;
        }
    }
}


void
v2_workers_assign(v2_master_t *m)
{
    uint32_t  slot;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        if (m->nodes[slot].serving != NULL) {
            v2_workers_assign_one(m, slot, m->nodes[slot].serving);
        }
    }
}


void
v2_workers_unlisten(v2_master_t *m, uint32_t slot, v2_listener_t *l)
{
    unsigned       i;
    v2_msg_t       msg;
    v2_mworker_t  *w;

    memset(&msg, 0, sizeof(v2_msg_t));
    msg.type = V2_MSG_UNLISTEN;
    msg.node = slot;

    for (i = 0; i < l->n; i++) {
        w = l->socks[i].owner;

        if (w != NULL && v2_worker_alive(w) && w->gen == m->gen) {
            msg.arg = l->socks[i].j;
            (void) v2_proc_send(&w->proc, &msg, NULL);
        }

        l->socks[i].owner = NULL;
    }
}


void
v2_workers_tell(v2_master_t *m, unsigned gen, const v2_msg_t *msg,
    const int *fds)
{
    unsigned       i;
    v2_mworker_t  *w;

    for (i = 0; i < V2_SHM_WORKERS; i++) {
        w = &m->workers[i];

        if (!w->used || (gen != 0 && w->gen != gen)) {
            continue;
        }

        if (msg->type != V2_MSG_LOG) {
            w->quitting = 1;

            if (w->proc.pid == 0) {         /* it was to start again */
                v2_timer_del(&w->timer);
                w->used = 0;
                continue;
            }
        }

        (void) v2_proc_send(&w->proc, msg, fds);
    }
}


unsigned
v2_workers_alive(const v2_master_t *m)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < V2_SHM_WORKERS; i++) {
        n += v2_worker_alive(&m->workers[i]);
    }

    return n;
}


void
v2_workers_kill(v2_master_t *m)
{
    unsigned  i;

    for (i = 0; i < V2_SHM_WORKERS; i++) {
        if (v2_worker_alive(&m->workers[i])) {
            v2_log(V2_LOG_ALERT, NULL, 0, "worker %d does not end and is "
                   "killed", (int) m->workers[i].proc.pid);
            (void) kill(m->workers[i].proc.pid, SIGKILL);
        }
    }
}


static v2_int_t
v2_worker_spawn(v2_master_t *m, v2_mworker_t *w, const v2_conf_t *conf,
    const v2_rights_t *rights)
{
    w->start.conf = conf;
    w->start.rights = rights;
    w->start.shm = m->shm;
    w->start.access_fd = m->access_fd;
    w->sent = w->ready = w->serial = 0;

    if (v2_proc_spawn(&w->proc, &w->start) != V2_OK) {
        return V2_ERROR;
    }

    v2_worker_feed(m, w);

    return V2_OK;
}


static void
v2_worker_on_timer(v2_timer_t *t)
{
    v2_master_t   *m;
    v2_mworker_t  *w;

    w = v2_containerof(t, v2_mworker_t, timer);
    m = w->master;

    if (v2_worker_spawn(m, w, m->conf, &m->rights) != V2_OK) {
        (void) v2_timer_add(t, v2_now_ms() + 1000);
    }
}


static void
v2_worker_feed(v2_master_t *m, v2_mworker_t *w)
{
    v2_msg_t            msg;
    const v2_mimage_t  *im;

    if (w->sent != 0 || w->quitting) {
        return;
    }

    if (w->gen == m->gen && w->serial != m->image.serial) {
        im = &m->image;

    } else if (m->phase == V2_PHASE_PREPARE && w->gen == m->pending.gen
               && w->ready != m->pending.serial)
    {
        im = &m->pending;

    } else {
        return;
    }

    memset(&msg, 0, sizeof(v2_msg_t));
    msg.type = V2_MSG_IMAGE;
    msg.arg = im->serial;
    msg.fds_n = 1;

    if (v2_proc_send(&w->proc, &msg, &im->fd) == V2_OK) {
        w->sent = im->serial;
    }
}


static void
v2_worker_on_ready(v2_master_t *m, v2_mworker_t *w, uint32_t serial)
{
    if (serial != w->sent) {
        return;                             /* of one dropped meanwhile */
    }

    w->sent = 0;

    if (serial == m->image.serial) {
        v2_worker_commit(w, serial);
        v2_workers_assign(m);
        v2_worker_feed(m, w);
        return;
    }

    if (m->phase == V2_PHASE_PREPARE && serial == m->pending.serial) {
        w->ready = serial;

        if (v2_workers_ready(m)) {
            v2_image_commit(m);
        }
    }
}


static void
v2_worker_on_failed(v2_master_t *m, v2_mworker_t *w, const v2_msg_t *msg)
{
    if (msg->arg != w->sent) {
        return;
    }

    w->sent = 0;

    if (m->phase == V2_PHASE_PREPARE && msg->arg == m->pending.serial) {
        v2_image_fail(m, msg->text);
        return;
    }

    v2_log(V2_LOG_ALERT, NULL, 0, "worker %u refuses the image in use: %s",
           w->start.block, msg->text);
    (void) kill(w->proc.pid, SIGKILL);
}


static void
v2_worker_commit(v2_mworker_t *w, uint32_t serial)
{
    v2_msg_t  msg;

    memset(&msg, 0, sizeof(v2_msg_t));
    msg.type = V2_MSG_COMMIT;
    msg.arg = serial;

    (void) v2_proc_send(&w->proc, &msg, NULL);
    w->serial = serial;
    w->ready = 0;
}


/* The worker that serves the sockets of number i: itself, or the next that
 * has the image in use. */

static v2_mworker_t *
v2_worker_for(v2_master_t *m, unsigned i)
{
    unsigned       k, distance, best;
    v2_mworker_t  *w, *found;

    found = NULL;
    best = UINT32_MAX;

    for (k = 0; k < V2_SHM_WORKERS; k++) {
        w = &m->workers[k];

        if (!v2_worker_alive(w) || w->gen != m->gen || w->quitting
            || w->serial == 0 || w->serial != m->image.serial)
        {
            continue;
        }

        distance = (w->start.ordinal + m->workers_n - i) % m->workers_n;

        if (distance < best) {
            best = distance;
            found = w;
        }
    }

    return found;
}


static void
v2_workers_assign_one(v2_master_t *m, uint32_t slot, v2_listener_t *l)
{
    unsigned       i;
    v2_msg_t       msg;
    v2_lsock_t    *s;
    v2_mworker_t  *w, *old;

    memset(&msg, 0, sizeof(v2_msg_t));
    msg.node = slot;

    for (i = 0; i < l->n; i++) {
        s = &l->socks[i];
        w = v2_worker_for(m, (s->j - l->base) % V2_LISTENER_SOCKS
                             % m->workers_n);
        old = s->owner;

        if (w == old) {
            continue;
        }

        s->owner = w;
        msg.arg = s->j;

        if (w != NULL) {
            msg.type = V2_MSG_LISTEN;
            msg.arg2 = s->udp;
            msg.fds_n = 1;
            (void) v2_proc_send(&w->proc, &msg, &s->fd);
        }

        if (old != NULL && v2_worker_alive(old) && !old->quitting) {
            msg.type = V2_MSG_UNLISTEN;
            msg.arg2 = 0;
            msg.fds_n = 0;
            (void) v2_proc_send(&old->proc, &msg, NULL);
        }
    }
}
