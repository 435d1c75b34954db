/* The panel process as the master sees it: started and supervised, given the
 * folders of `file:` panels, and listened to. See v2_master.h, v2_panel.h. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_master.h"
#include "v2_log.h"
#include "v2_panel.h"
#include "v2_time.h"

#include <signal.h>
#include <unistd.h>

#define V2_MPANEL_TIMEOUT_MIN   10          /* s, the least Timeout counted */

static void v2_mpanel_on_timer(v2_timer_t *t);
static void v2_mpanel_dirs(const v2_conf_t *conf, uint32_t i, int fds[3]);
static void v2_mpanel_spec(v2_master_t *m, const v2_msg_t *msg, int *fds);
static uint32_t v2_mpanel_patience(const v2_conf_t *conf);


void
v2_mpanel_start(v2_master_t *m)
{
    int             *all, fds[3];
    uint32_t         i, n;
    v2_proc_dirs_t   dirs;

    m->panel_timer.fire = v2_mpanel_on_timer;
    n = m->conf->nodes_n;
    all = malloc((3 * (size_t) n + 1) * sizeof(int));

    if (all == NULL) {
        v2_log(V2_LOG_ALERT, NULL, ENOMEM, "the panel process waits");
        (void) v2_timer_add(&m->panel_timer, v2_now_ms() + 1000);
        return;
    }

    dirs.dir = all;
    dirs.push = all + n;
    dirs.alive = all + 2 * n;

    for (i = 0; i < n; i++) {
        v2_mpanel_dirs(m->conf, i, fds);
        dirs.dir[i] = fds[0];
        dirs.push[i] = fds[1];
        dirs.alive[i] = fds[2];
    }

    memset(&m->panel_start, 0, sizeof(v2_start_t));
    m->panel_start.conf = m->conf;
    m->panel_start.rights = &m->rights;
    m->panel_start.shm = m->shm;
    m->panel_start.access_fd = -1;
    m->panel_start.keep = all;
    m->panel_start.keep_n = 3 * n;
    m->panel_start.arg = &dirs;

    if (v2_proc_spawn(&m->panel, &m->panel_start) != V2_OK) {
        (void) v2_timer_add(&m->panel_timer, v2_now_ms() + 1000);
    }

    m->panel_start_ms = v2_now_ms();

    for (i = 0; i < 3 * n; i++) {
        if (all[i] != -1) {
            (void) close(all[i]);
        }
    }

    free(all);
}


void
v2_mpanel_on_message(v2_master_t *m)
{
    int       fds[V2_CHANNEL_FDS];
    v2_msg_t  msg;
    v2_int_t  rc;

    while (m->panel.fd != -1
           && (rc = v2_channel_recv(m->panel.fd, &msg, fds)) != V2_AGAIN)
    {
        if (rc != V2_OK) {
            v2_proc_close(&m->panel);       /* its end will be reaped */
            return;
        }

        if (msg.node >= V2_SHM_NODES) {
            v2_log(V2_LOG_ALERT, NULL, 0, "the panel process speaks of node "
                   "slot %u", msg.node);

        } else if (msg.type == V2_MSG_SPEC && msg.fds_n == 1) {
            v2_mpanel_spec(m, &msg, fds);

        } else if (msg.type == V2_MSG_NODE_DOWN) {
            v2_node_down(m, msg.node);

        } else {
            v2_log(V2_LOG_ALERT, NULL, 0, "message %u of the panel process is "
                   "unknown", msg.type);
        }

        while (msg.fds_n > 0) {
            (void) close(fds[--msg.fds_n]);
        }
    }
}


void
v2_mpanel_ended(v2_master_t *m, int status)
{
    pid_t     pid;
    uint64_t  delay;

    v2_mpanel_on_message(m);
    v2_proc_ended(&m->panel, status, m->panel_quitting || m->panel_again);
    v2_proc_close(&m->panel);

    pid = m->panel.pid;
    m->panel.pid = 0;
    v2_shm_proc_clear(m->shm, (uint32_t) pid);

    if (m->panel_quitting || m->stop != V2_STOP_NONE) {
        return;
    }

    if (m->panel_again) {
        m->panel_again = 0;
        v2_mpanel_start(m);
        return;
    }

    delay = v2_proc_backoff(&m->panel, status, v2_now_ms());

    if (delay == V2_PROC_NEVER) {
        m->panel_never = 1;

        if (m->image.serial == 0) {
            m->failed = 1;                  /* nothing would ever be served */
            v2_sig_stop = 1;
        }

        return;
    }

    (void) v2_timer_add(&m->panel_timer, v2_now_ms() + delay);
}


void
v2_mpanel_tell(v2_master_t *m, unsigned type, uint32_t node, const char *text)
{
    v2_msg_t  msg;

    if (m->panel.pid == 0) {
        return;
    }

    memset(&msg, 0, sizeof(v2_msg_t));
    msg.type = type;
    msg.node = node;
    (void) snprintf(msg.text, sizeof(msg.text), "%s", text);
    (void) v2_proc_send(&m->panel, &msg, NULL);
}


void
v2_mpanel_conf(v2_master_t *m, int user)
{
    int        fds[3], k;
    char      *text;
    uint32_t   i;
    v2_msg_t   msg;

    if (m->panel.pid == 0) {
        if (m->panel_never) {
            m->panel_never = 0;
            v2_mpanel_start(m);
        }

        return;
    }

    if (user) {
        m->panel_again = 1;                 /* it pushes what is owed first */
        (void) kill(m->panel.pid, SIGTERM);
        return;
    }

    memset(&msg, 0, sizeof(v2_msg_t));
    msg.type = V2_MSG_CONF;
    msg.arg = V2_PANEL_CONF_DIR;
    msg.fds_n = 3;

    for (i = 0; i < m->conf->nodes_n; i++) {
        v2_mpanel_dirs(m->conf, i, fds);

        if (fds[0] == -1) {
            continue;
        }

        msg.node = i;
        (void) v2_proc_send(&m->panel, &msg, fds);

        for (k = 0; k < 3; k++) {
            (void) close(fds[k]);
        }
    }

    text = v2_conf_dump(m->conf, 1);
    fds[0] = text != NULL ? v2_file_text("config", text, strlen(text)) : -1;
    free(text);

    if (fds[0] == -1) {
        v2_log(V2_LOG_ALERT, NULL, 0,
               "the panel process keeps the old configuration");
        return;
    }

    msg.arg = 0;
    msg.node = 0;
    msg.fds_n = 1;
    (void) v2_proc_send(&m->panel, &msg, fds);
    (void) close(fds[0]);
}


void
v2_mpanel_watch(v2_master_t *m)
{
    uint64_t        beat, limit;
    unsigned        i;
    v2_shm_proc_t  *p;

    if (m->panel.pid == 0 || m->panel_quitting) {
        return;
    }

    limit = (uint64_t) v2_mpanel_patience(m->conf) * 3000;

    for (i = 0; i < V2_SHM_PROCS; i++) {
        p = &m->shm->procs[i];

        if (atomic_load_explicit(&p->pid, memory_order_acquire)
            != (uint32_t) m->panel.pid)
        {
            continue;
        }

        beat = atomic_load_explicit(&p->heartbeat, memory_order_relaxed);
        beat = v2_max(beat, m->panel_start_ms);

        if (v2_now_ms() > beat + limit) {
            v2_log(V2_LOG_ALERT, NULL, 0, "the panel process %d does not move "
                   "for %" PRIu64 " s and is killed", (int) m->panel.pid,
                   (v2_now_ms() - beat) / 1000);
            (void) kill(m->panel.pid, SIGKILL);
        }

        return;
    }
}


void
v2_mpanel_stop(v2_master_t *m, int signo)
{
    v2_timer_del(&m->panel_timer);
    m->panel_quitting = 1;

    if (m->panel.pid != 0) {
        (void) kill(m->panel.pid, signo);
    }
}


static void
v2_mpanel_on_timer(v2_timer_t *t)
{
    v2_mpanel_start(v2_containerof(t, v2_master_t, panel_timer));
}


/* The folder of a `file:` node; all -1 for others. */

static void
v2_mpanel_dirs(const v2_conf_t *conf, uint32_t i, int fds[3])
{
    char         why[200];
    const char  *dir;

    fds[0] = fds[1] = fds[2] = -1;
    dir = v2_node_dir(&conf->nodes[i]);

    if (dir == NULL || conf->nodes[i].refused != NULL) {
        return;
    }

    if (v2_file_panel(dir, fds, why, sizeof(why)) != V2_OK) {
        v2_log(V2_LOG_ERR, NULL, 0, "node %u: %s", conf->nodes[i].node_id,
               why);
    }
}


static void
v2_mpanel_spec(v2_master_t *m, const v2_msg_t *msg, int *fds)
{
    const v2_spec_t  *spec;

    spec = v2_spec_open(fds[0]);

    if (spec == NULL) {
        return;
    }

    if (spec->node != msg->node) {
        v2_log(V2_LOG_ALERT, NULL, 0, "a spec of slot %u came for slot %u",
               spec->node, msg->node);
        v2_spec_close(spec);
        return;
    }

    v2_node_spec(m, msg->node, spec);
}


static uint32_t
v2_mpanel_patience(const v2_conf_t *conf)
{
    uint32_t  i, most;

    most = V2_MPANEL_TIMEOUT_MIN;

    for (i = 0; i < conf->nodes_n; i++) {
        most = v2_max(most, conf->nodes[i].timeout_s);
    }

    return most;
}
