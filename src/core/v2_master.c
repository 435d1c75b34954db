/* The master: start, loop, signals, reload, stop. See v2_master.h.
 *
 * Order of a stop: sockets close, workers end, then the panel process, so that
 * the last bytes are counted before they are reported. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_master.h"
#include "v2_log.h"
#include "v2_notify.h"
#include "v2_pidfile.h"
#include "v2_signal.h"
#include "v2_time.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#define V2_MASTER_TICK_MS       1000
#define V2_MASTER_WATCH_MS      10000
#define V2_MASTER_STOP_MS       1500        /* workers, then they are killed */
#define V2_MASTER_PANEL_MS      5500        /* the panel process */
#define V2_MASTER_POLLS         (V2_SHM_WORKERS + 2)

static v2_int_t v2_master_init(v2_master_t *m);
static void v2_master_loop(v2_master_t *m);
static unsigned v2_master_polls(v2_master_t *m, struct pollfd *fds,
    v2_proc_t **procs);
static void v2_master_io(v2_master_t *m, struct pollfd *fds,
    v2_proc_t **procs, unsigned n);
static void v2_master_signals(v2_master_t *m);
static void v2_master_reap(v2_master_t *m);
static void v2_master_reload(v2_master_t *m);
static void v2_master_keep(const char *key, char **from, char **to);
static void v2_master_reopen(v2_master_t *m);
static void v2_master_stop(v2_master_t *m, v2_stop_e how);
static void v2_master_on_tick(v2_timer_t *t);
static void v2_master_on_stop(v2_timer_t *t);

static v2_master_t  v2_master;


int
v2_master_run(v2_conf_t *conf, const char *overrides)
{
    v2_master_t  *m;

    m = &v2_master;
    m->conf = conf;
    m->overrides = overrides;

    if (v2_master_init(m) != V2_OK) {
        v2_workers_kill(m);
        v2_pidfile_close();
        return 1;
    }

    v2_notify_send(V2_NOTIFY_READY);
    v2_master_loop(m);
    v2_log(V2_LOG_NOTICE, NULL, 0, "exit");
    v2_pidfile_close();
    v2_log_tick();

    return m->failed;
}


const char *
v2_master_log_path(const v2_conf_t *conf)
{
    if (conf->log_output[0] == '\0' && conf->daemon == V2_DAEMON_ON) {
        return V2_LOG_PATH;
    }

    return conf->log_output;
}


static v2_int_t
v2_master_init(v2_master_t *m)
{
    int       i, fd;
    uint32_t  slot;

    v2_time_update();

    for (i = 0; i < V2_RULES; i++) {
        m->rules[i] = m->next_rules[i] = -1;
    }

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        v2_pair_init(&m->nodes[slot].fresh);
        v2_pair_init(&m->nodes[slot].good);
    }

    m->access_fd = -1;
    m->tick.fire = v2_master_on_tick;
    m->stop_timer.fire = v2_master_on_stop;
    m->gen = 1;
    m->workers_n = v2_workers_want(m->conf);
    v2_image_init(m);
    v2_proc_init(&m->panel, V2_CHILD_PANEL);

    if (v2_signal_init(&m->wait_mask) != V2_OK
        || v2_rights_find(&m->rights, m->conf->user, m->conf->group) != V2_OK
        || v2_rights_folder(&m->rights, m->conf->state_dir, 1) != V2_OK
        || v2_rules_open(m->conf, m->rules, 1) != V2_OK)
    {
        return V2_ERROR;
    }

    if (strcmp(m->conf->access_path, "none") != 0) {
        m->access_fd = m->conf->access_path[0] == '\0' ? STDOUT_FILENO
                       : v2_file_log(&m->rights, m->conf->access_path);

        if (m->access_fd == -1) {
            return V2_ERROR;
        }
    }

    m->shm = v2_shm_create(&fd);

    if (m->shm == NULL || v2_pidfile_write() != V2_OK) {
        return V2_ERROR;
    }

    v2_log(V2_LOG_NOTICE, NULL, 0, "v2sp/%s starts, %u worker%s", V2_VERSION,
           m->workers_n, m->workers_n == 1 ? "" : "s");

    if (v2_workers_start(m, m->gen, m->conf, &m->rights) != V2_OK) {
        return V2_ERROR;
    }

    v2_mpanel_start(m);

    return v2_timer_add(&m->tick, v2_now_ms() + V2_MASTER_TICK_MS);
}


static void
v2_master_loop(v2_master_t *m)
{
    int              n;
    unsigned         polls;
    uint64_t         wait_ms;
    v2_proc_t       *procs[V2_MASTER_POLLS];
    struct pollfd    fds[V2_MASTER_POLLS];
    struct timespec  ts;

    while (m->stop == V2_STOP_NONE || v2_workers_alive(m) != 0
           || m->panel.pid != 0)
    {
        polls = v2_master_polls(m, fds, procs);
        wait_ms = v2_timer_next(v2_now_ms(), V2_MASTER_TICK_MS);
        ts.tv_sec = (time_t) (wait_ms / 1000);
        ts.tv_nsec = (long) (wait_ms % 1000) * 1000000;

        n = ppoll(fds, polls, &ts, &m->wait_mask);
        v2_time_update();

        if (n > 0) {
            v2_master_io(m, fds, procs, polls);
        }

        v2_master_signals(m);
        v2_timer_expire(v2_now_ms());
    }
}


static unsigned
v2_master_polls(v2_master_t *m, struct pollfd *fds, v2_proc_t **procs)
{
    unsigned    i, n;
    v2_proc_t  *p;

    n = 0;

    for (i = 0; i < V2_SHM_WORKERS + 2; i++) {
        p = i < V2_SHM_WORKERS ? &m->workers[i].proc
            : i == V2_SHM_WORKERS ? &m->panel : &m->builder;

        if (p->role == NULL || p->fd == -1) {
            continue;
        }

        fds[n].fd = p->fd;
        fds[n].events = POLLIN;

        if (!v2_queue_empty(&p->out)) {
            fds[n].events |= POLLOUT;
        }

        procs[n++] = p;
    }

    return n;
}


static void
v2_master_io(v2_master_t *m, struct pollfd *fds, v2_proc_t **procs,
    unsigned n)
{
    unsigned    i;
    v2_proc_t  *p;

    for (i = 0; i < n; i++) {
        p = procs[i];

        if (fds[i].revents == 0 || p->fd != fds[i].fd) {
            continue;
        }

        if (fds[i].revents & POLLOUT) {
            v2_proc_flush(p);
        }

        if (!(fds[i].revents & (POLLIN|POLLHUP|POLLERR))) {
            continue;
        }

        if (p == &m->panel) {
            v2_mpanel_on_message(m);

        } else if (p == &m->builder) {
            v2_image_on_builder(m);

        } else {
            v2_workers_on_message(m, v2_containerof(p, v2_mworker_t, proc));
        }
    }
}


static void
v2_master_signals(v2_master_t *m)
{
    if (v2_sig_child) {
        v2_sig_child = 0;
        v2_master_reap(m);
    }

    if (v2_sig_stop) {
        v2_sig_stop = 0;
        v2_master_stop(m, V2_STOP_FAST);
    }

    if (v2_sig_quit) {
        v2_sig_quit = 0;
        v2_master_stop(m, V2_STOP_QUIT);
    }

    if (v2_sig_reload && m->next_conf == NULL && m->stop == V2_STOP_NONE) {
        v2_sig_reload = 0;
        v2_master_reload(m);
    }

    if (v2_sig_reopen) {
        v2_sig_reopen = 0;
        v2_log(V2_LOG_NOTICE, NULL, 0, "reopening logs");
        v2_master_reopen(m);
    }

    if (v2_sig_upgrade || v2_sig_winch) {
        v2_sig_upgrade = v2_sig_winch = 0;
        v2_log(V2_LOG_NOTICE, NULL, 0, "signal ignored: binary upgrade (USR2) "
               "and drain (WINCH) are not built yet");
    }
}


static void
v2_master_reap(v2_master_t *m)
{
    int       status;
    pid_t     pid;
    unsigned  i;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {

        if (pid == m->panel.pid) {
            v2_mpanel_ended(m, status);
            continue;
        }

        if (pid == m->builder.pid) {
            v2_image_builder_ended(m, status);
            continue;
        }

        for (i = 0; i < V2_SHM_WORKERS; i++) {
            if (m->workers[i].used && pid == m->workers[i].proc.pid) {
                v2_workers_on_message(m, &m->workers[i]);
                v2_workers_ended(m, &m->workers[i], status);
                break;
            }
        }
    }
}


/* The new configuration is complete in next_conf, or nothing has changed. */

static void
v2_master_reload(v2_master_t *m)
{
    v2_conf_t  *conf;

    v2_notify_send(V2_NOTIFY_RELOADING);
    conf = v2_conf_load(m->conf->file, m->overrides);

    if (conf == NULL) {
        v2_master_reload_done(m, 0);
        return;
    }

    conf->daemon = m->conf->daemon;
    v2_master_keep("PidFile", &m->conf->pid_file, &conf->pid_file);
    v2_master_keep("StateDir", &m->conf->state_dir, &conf->state_dir);

    if (v2_rights_find(&m->next_rights, conf->user, conf->group) != V2_OK
        || v2_rights_folder(&m->next_rights, conf->state_dir, 1) != V2_OK
        || v2_rules_open(conf, m->next_rules, 0) != V2_OK)
    {
        v2_conf_free(conf);
        v2_rules_close(m->next_rules);
        v2_master_reload_done(m, 0);
        return;
    }

    m->next_conf = conf;
    v2_image_want(m, V2_WANT_NOW);
}


/* A value that holds until the next start. `from` goes with its conf, so that
 * both have the text of the other. */

static void
v2_master_keep(const char *key, char **from, char **to)
{
    char  *text;

    if (strcmp(*from, *to) == 0) {
        return;
    }

    v2_log(V2_LOG_WARN, NULL, 0, "%s \"%s\" holds until the next start, then "
           "it is \"%s\"", key, *from, *to);

    text = strdup(*from);

    if (text != NULL) {
        free(*to);
        *to = text;
    }
}


void
v2_master_reload_done(v2_master_t *m, int ok)
{
    if (ok) {
        v2_master_reopen(m);
        v2_log(V2_LOG_NOTICE, NULL, 0, "configuration reloaded");

    } else {
        v2_log(V2_LOG_ERR, NULL, 0, "reload failed, the old configuration goes "
               "on: the lines above say why");
    }

    v2_notify_send(V2_NOTIFY_READY);
}


static void
v2_master_reopen(v2_master_t *m)
{
    int          fds[2];
    v2_msg_t     msg;
    const char  *path;

    v2_log_set_level(m->conf->log_level);

    path = v2_master_log_path(m->conf);
    fds[0] = path[0] == '\0' ? STDERR_FILENO : v2_file_log(&m->rights, path);

    if (fds[0] != -1) {
        v2_log_set_fd(fds[0]);
    }

    if (strcmp(m->conf->access_path, "none") == 0) {
        fds[1] = -1;

    } else if (m->conf->access_path[0] == '\0') {
        fds[1] = STDOUT_FILENO;

    } else {
        fds[1] = v2_file_log(&m->rights, m->conf->access_path);
    }

    if (m->access_fd > STDERR_FILENO) {
        (void) close(m->access_fd);
    }

    m->access_fd = fds[1];
    fds[0] = v2_log_fd();

    memset(&msg, 0, sizeof(v2_msg_t));
    msg.type = V2_MSG_LOG;
    msg.arg = v2_log_level();
    msg.fds_n = fds[1] == -1 ? 1 : 2;
    v2_workers_tell(m, 0, &msg, fds);

    msg.fds_n = 1;

    if (m->panel.pid != 0) {
        (void) v2_proc_send(&m->panel, &msg, fds);
    }
}


static void
v2_master_stop(v2_master_t *m, v2_stop_e how)
{
    uint32_t   slot;
    v2_msg_t   msg;

    if (m->stop >= how) {
        return;
    }

    if (m->stop == V2_STOP_NONE) {
        v2_notify_send(V2_NOTIFY_STOPPING);
        v2_log(V2_LOG_NOTICE, NULL, 0, "%s",
               how == V2_STOP_FAST ? "stopping" : "stopping when the open "
               "connections have ended");
    }

    m->stop = how;
    v2_image_stop(m);

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        if (m->nodes[slot].serving != NULL) {
            v2_listener_close(m->nodes[slot].serving);
            m->nodes[slot].serving = NULL;
        }
    }

    memset(&msg, 0, sizeof(v2_msg_t));
    msg.type = how == V2_STOP_FAST ? V2_MSG_STOP : V2_MSG_QUIT;
    msg.arg = m->conf->shutdown_timeout_s;
    v2_workers_tell(m, 0, &msg, NULL);

    /* a second signal must not shorten the last push of the panel process */

    if (!m->panel_quitting && (how == V2_STOP_FAST || msg.arg != 0)) {
        (void) v2_timer_add(&m->stop_timer, v2_now_ms() + V2_MASTER_STOP_MS
                            + (how == V2_STOP_FAST ? 0
                               : (uint64_t) msg.arg * 1000));
    }

    v2_master_stop_next(m);
}


void
v2_master_stop_next(v2_master_t *m)
{
    if (m->stop == V2_STOP_NONE || v2_workers_alive(m) != 0
        || m->panel_quitting)
    {
        return;
    }

    v2_mpanel_stop(m, SIGTERM);
    (void) v2_timer_add(&m->stop_timer, v2_now_ms() + V2_MASTER_PANEL_MS);
}


static void
v2_master_on_tick(v2_timer_t *t)
{
    v2_master_t  *m;

    m = v2_containerof(t, v2_master_t, tick);
    v2_log_tick();
    v2_mpanel_watch(m);

    if (v2_now_ms() >= m->watch_ms && m->stop == V2_STOP_NONE) {
        m->watch_ms = v2_now_ms() + V2_MASTER_WATCH_MS;

        if (v2_node_watch(m)) {
            v2_image_want(m, V2_WANT_NOW);
        }
    }

    (void) v2_timer_add(t, v2_now_ms() + V2_MASTER_TICK_MS);
}


static void
v2_master_on_stop(v2_timer_t *t)
{
    v2_master_t  *m;

    m = v2_containerof(t, v2_master_t, stop_timer);

    if (v2_workers_alive(m) != 0) {
        v2_workers_kill(m);
        (void) v2_timer_add(t, v2_now_ms() + V2_MASTER_STOP_MS);
        return;
    }

    if (m->panel.pid != 0) {
        v2_log(V2_LOG_CRIT, NULL, 0, "the panel process does not end and is "
               "killed: traffic that is not reported yet is lost");
        v2_mpanel_stop(m, SIGKILL);
    }
}
