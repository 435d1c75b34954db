/* When an image is built, and its life. See v2_master.h.
 *
 *   wanted    by whom                                    begins
 *   NOW       reload, certificate, node that never was   at once
 *   PANEL     a node that serves changed                 one in 10 s
 *   RETRY     a node failed                              in 10 s */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_master.h"
#include "v2_image.h"
#include "v2_log.h"
#include "v2_time.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define V2_IMAGE_EVERY_MS       10000
#define V2_IMAGE_TIMEOUT_MS     30000
#define V2_IMAGE_KEEP           (4 * V2_SHM_NODES + V2_RULES + 1)

static void v2_image_on_timer(v2_timer_t *t);
static void v2_image_on_timeout(v2_timer_t *t);
static void v2_image_clear(v2_master_t *m);
static int v2_image_useful(const v2_master_t *m, int built);
static void v2_image_build(v2_master_t *m);
static unsigned v2_image_keep(v2_master_t *m, int *keep);
static void v2_image_prepare(v2_master_t *m);
static void v2_image_use_conf(v2_master_t *m);
static void v2_image_idle(v2_master_t *m);


void
v2_image_init(v2_master_t *m)
{
    m->phase = V2_PHASE_IDLE;
    m->image.fd = m->pending.fd = -1;
    m->image_timer.fire = v2_image_on_timer;
    m->phase_timer.fire = v2_image_on_timeout;
    m->job.image = -1;
    v2_proc_init(&m->builder, V2_CHILD_BUILDER);
}


void
v2_image_want(v2_master_t *m, v2_want_e why)
{
    uint64_t  at, now;

    if (m->stop != V2_STOP_NONE) {
        return;
    }

    now = v2_now_ms();
    at = now;

    if (why == V2_WANT_RETRY) {
        at = now + V2_IMAGE_EVERY_MS;

    } else if (why == V2_WANT_PANEL && m->panel_image_ms != 0) {
        at = v2_max(now, m->panel_image_ms + V2_IMAGE_EVERY_MS);
    }

    m->panel_wants |= why == V2_WANT_PANEL;

    if (!v2_timer_armed(&m->image_timer) || m->image_timer.at_ms > at) {
        (void) v2_timer_add(&m->image_timer, at);
    }
}


void
v2_image_on_builder(v2_master_t *m)
{
    int         fds[V2_CHANNEL_FDS];
    v2_msg_t    msg;
    v2_int_t    rc;

    while (m->builder.fd != -1
           && (rc = v2_channel_recv(m->builder.fd, &msg, fds)) != V2_AGAIN)
    {
        if (rc != V2_OK) {
            v2_proc_close(&m->builder);
            return;
        }

        while (msg.fds_n > 0) {
            (void) close(fds[--msg.fds_n]);
        }

        if (m->phase != V2_PHASE_BUILD) {
            continue;                       /* of an image given up */
        }

        msg.text[sizeof(msg.text) - 1] = '\0';

        if (msg.type == V2_MSG_FAILED) {
            (void) snprintf(m->builder_why, sizeof(m->builder_why), "%s",
                            msg.text);
            continue;
        }

        if (msg.node >= V2_SHM_NODES || !m->nodes[msg.node].picked) {
            v2_log(V2_LOG_ALERT, NULL, 0, "the builder speaks of node slot "
                   "%u that it was not given", msg.node);
            continue;
        }

        if (msg.type == V2_MSG_READY || msg.type == V2_MSG_NODE_FAILED) {
            v2_node_answer(m, &msg);
        }
    }
}


void
v2_image_builder_ended(v2_master_t *m, int status)
{
    v2_image_on_builder(m);
    v2_proc_close(&m->builder);
    m->builder.pid = 0;

    if (m->phase != V2_PHASE_BUILD) {
        v2_image_idle(m);                   /* it took too long */
        return;
    }

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        v2_image_fail(m, m->builder_why[0] != '\0' ? m->builder_why
                         : "the builder did not end well");
        return;
    }

    if (v2_node_refused(m)) {
        v2_image_clear(m);
        v2_image_build(m);
        return;
    }

    if (!v2_image_useful(m, 1)) {
        v2_image_clear(m);
        v2_image_idle(m);
        return;
    }

    if (v2_file_seal(m->job.image) != V2_OK) {
        v2_image_fail(m, "the image cannot be sealed");
        return;
    }

    v2_image_prepare(m);
}


void
v2_image_commit(v2_master_t *m)
{
    unsigned  old;
    v2_msg_t  msg;

    v2_timer_del(&m->phase_timer);
    v2_workers_commit(m);

    if (m->image.fd != -1) {
        (void) close(m->image.fd);
    }

    old = m->gen;
    m->image_told[0] = '\0';
    m->image = m->pending;
    m->gen = m->image.gen;
    m->pending.fd = -1;
    m->pending.serial = 0;
    m->phase = V2_PHASE_IDLE;

    if (m->next_conf != NULL && m->job_conf == m->next_conf) {
        v2_image_use_conf(m);
    }

    v2_node_commit(m);
    v2_workers_assign(m);

    v2_log(V2_LOG_INFO, NULL, 0, "image %" PRIu32 " is in use",
           m->image.serial);

    if (old != m->gen) {
        memset(&msg, 0, sizeof(v2_msg_t));
        msg.type = V2_MSG_QUIT;
        msg.arg = m->conf->shutdown_timeout_s;
        v2_workers_tell(m, old, &msg, NULL);
    }

    v2_image_idle(m);
}


void
v2_image_fail(v2_master_t *m, const char *why)
{
    if (m->next_conf != NULL
        || strncmp(m->image_told, why, sizeof(m->image_told) - 1) != 0)
    {
        (void) snprintf(m->image_told, sizeof(m->image_told), "%s", why);
        v2_log(V2_LOG_ERR, NULL, 0, "a new configuration of the nodes was "
               "refused%s: %s", m->image.serial != 0 ? ", the old one goes on"
               : "", why);
    }

    v2_image_clear(m);

    if (m->next_conf != NULL && m->job_conf == m->next_conf) {
        v2_conf_free(m->next_conf);
        m->next_conf = NULL;
        m->job_conf = m->conf;
        v2_rules_close(m->next_rules);
        v2_master_reload_done(m, 0);

    } else {
        v2_image_want(m, V2_WANT_RETRY);
    }

    v2_image_idle(m);
}


void
v2_image_stop(v2_master_t *m)
{
    v2_timer_del(&m->image_timer);
    m->again = 0;

    if (m->builder.pid != 0) {
        (void) kill(m->builder.pid, SIGKILL);
    }

    v2_image_clear(m);
}


/* Of the image under way nothing is left. */

static void
v2_image_clear(v2_master_t *m)
{
    v2_timer_del(&m->phase_timer);

    if (m->phase == V2_PHASE_PREPARE) {
        v2_workers_drop(m);
    }

    if (m->job.image != -1) {
        (void) close(m->job.image);
        m->job.image = -1;
    }

    if (m->pending.fd != -1) {
        (void) close(m->pending.fd);
        m->pending.fd = -1;
        m->pending.serial = 0;
    }

    m->phase = V2_PHASE_IDLE;
    v2_node_drop(m);
}


/* An image that would serve the same as the one in use is not worth the
 * workers' trouble: nodes that fail are tried again for ever, and open
 * sessions keep each image they began with. */

static int
v2_image_useful(const v2_master_t *m, int built)
{
    return m->image.serial == 0 || m->job_conf != m->conf
           || v2_node_changed(m, built);
}


static void
v2_image_on_timer(v2_timer_t *t)
{
    v2_master_t  *m;

    m = v2_containerof(t, v2_master_t, image_timer);

    if (m->phase != V2_PHASE_IDLE || m->builder.pid != 0) {
        m->again = 1;                       /* when this one is done */
        return;
    }

    v2_image_build(m);
}


static void
v2_image_on_timeout(v2_timer_t *t)
{
    v2_master_t  *m;

    m = v2_containerof(t, v2_master_t, phase_timer);

    if (m->builder.pid != 0) {
        (void) kill(m->builder.pid, SIGKILL);
    }

    v2_image_fail(m, m->phase == V2_PHASE_BUILD
                     ? "the builder took too long"
                     : "the workers took too long");
}


static void
v2_image_build(v2_master_t *m)
{
    int               *rules;
    static int         keep[V2_IMAGE_KEEP];
    v2_builder_job_t  *job;

    job = &m->job;
    m->job_conf = m->next_conf != NULL ? m->next_conf : m->conf;
    rules = m->next_conf != NULL ? m->next_rules : m->rules;
    m->builder_why[0] = '\0';

    if (m->panel_wants) {
        m->panel_wants = 0;
        m->panel_image_ms = v2_now_ms();
    }

    v2_node_pick(m, m->job_conf);

    if (!v2_image_useful(m, 0)) {
        v2_image_clear(m);
        v2_image_idle(m);
        return;
    }

    job->serial = ++m->serial;
    job->route = rules[0];
    job->outbound = rules[1];
    job->dns = rules[2];
    job->test = 0;
    job->image = memfd_create("image", MFD_CLOEXEC|MFD_ALLOW_SEALING);
    m->phase = V2_PHASE_BUILD;

    if (job->image == -1) {
        v2_image_fail(m, "memfd_create() failed");
        return;
    }

    memset(&m->builder_start, 0, sizeof(v2_start_t));
    m->builder_start.conf = m->job_conf;
    m->builder_start.rights = m->next_conf != NULL ? &m->next_rights
                                                   : &m->rights;
    m->builder_start.shm = m->shm;
    m->builder_start.access_fd = -1;
    m->builder_start.arg = job;
    m->builder_start.keep = keep;
    m->builder_start.keep_n = v2_image_keep(m, keep);

    if (v2_proc_spawn(&m->builder, &m->builder_start) != V2_OK) {
        v2_image_fail(m, "the builder cannot be started");
        return;
    }

    (void) v2_timer_add(&m->phase_timer, v2_now_ms() + V2_IMAGE_TIMEOUT_MS);
}


/* What the builder reads and writes. */

static unsigned
v2_image_keep(v2_master_t *m, int *keep)
{
    unsigned                  n;
    uint32_t                  i;
    const v2_builder_node_t  *bn;

    n = 0;
    keep[n++] = m->job.image;
    keep[n++] = m->job.route;
    keep[n++] = m->job.outbound;
    keep[n++] = m->job.dns;

    for (i = 0; i < m->job.nodes_n; i++) {
        bn = &m->job.nodes[i];
        keep[n++] = bn->fresh->cert;
        keep[n++] = bn->fresh->key;
        keep[n++] = bn->good->cert;
        keep[n++] = bn->good->key;
    }

    return n;
}


/* The image goes to the workers; to new ones when the configuration asks for
 * other processes. */

static void
v2_image_prepare(v2_master_t *m)
{
    m->pending.fd = m->job.image;
    m->pending.serial = m->job.serial;
    m->pending.gen = m->gen;
    m->job.image = -1;
    m->phase = V2_PHASE_PREPARE;
    (void) v2_timer_add(&m->phase_timer, v2_now_ms() + V2_IMAGE_TIMEOUT_MS);

    if (m->job_conf != m->conf && v2_conf_needs_workers(m->conf, m->job_conf))
    {
        m->pending.gen = m->gen + 1;

        if (v2_workers_start(m, m->pending.gen, m->job_conf, &m->next_rights)
            != V2_OK)
        {
            v2_image_fail(m, "the new workers cannot be started");
            return;
        }
    }

    v2_workers_feed(m);
}


static void
v2_image_use_conf(v2_master_t *m)
{
    int  i, other;

    other = m->rights.uid != m->next_rights.uid
            || m->rights.gid != m->next_rights.gid;

    v2_conf_free(m->conf);
    m->conf = m->next_conf;
    m->job_conf = m->conf;
    m->next_conf = NULL;
    m->rights = m->next_rights;
    m->workers_n = v2_workers_want(m->conf);
    v2_rules_close(m->rules);

    for (i = 0; i < V2_RULES; i++) {
        m->rules[i] = m->next_rules[i];
        m->next_rules[i] = -1;
    }

    v2_mpanel_conf(m, other);
    v2_master_reload_done(m, 1);
}


static void
v2_image_idle(v2_master_t *m)
{
    if (m->again) {
        m->again = 0;
        v2_image_want(m, V2_WANT_NOW);
    }
}
