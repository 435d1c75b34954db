/* The panel process: one thread, one loop around curl's multi handle, which
 * also waits for the channel, signals and changed files. Runs as User.
 *
 *   START -> RUN -> (TERM, QUIT)            -> END -> exit 0
 *                -> (master gone) -> ORPHAN -> END
 *
 * Invariants
 *  1. It is the only writer of users and of marks: it holds StateDir/lock.
 *  2. The heartbeat is written at least once a second.
 *  3. A node keeps its slot as long as it is in the config.
 *  4. END sends no request but the last pushes; what they do not achieve is
 *     set aside, so nothing owed is lost without a trace. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_channel.h"
#include "v2_flat.h"
#include "v2_time.h"
#include "v2_panel_node.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define V2_RUN_TICK_MS      1000
#define V2_RUN_END_MS       5000    /* for open requests and last pushes */
#define V2_RUN_OPEN_MS      3500    /* of it for requests that are open */
#define V2_RUN_WORKERS_MS   2000    /* for workers that are about to end */
#define V2_RUN_ORPHAN_MS    30000   /* the same when the master is gone */
#define V2_RUN_MMAP_BYTES   (256 * 1024)
#define V2_EXIT_NEVER_AGAIN 2

typedef struct {
    v2_pctx_t        ctx;
    v2_shm_proc_t   *proc;
    int              signals;       /* signalfd */
    v2_pnode_t     **nodes;
    uint32_t         nodes_n, nodes_cap;
    uint64_t         tick_due;
    int             *passed;        /* 3 descriptors a node to come */
    uint32_t         passed_n;
    unsigned         quit:1;
    unsigned         orphan:1;
} v2_run_t;


static v2_int_t v2_run_init(v2_run_t *r, const v2_panel_env_t *env);
static v2_int_t v2_run_signals(v2_run_t *r);
static void v2_run_done(v2_run_t *r);
static void v2_run_orphans(v2_run_t *r);
static void v2_run_conf(v2_run_t *r, const v2_conf_t *conf,
    const int *dirs, const int *pushes, const int *alives);
static v2_pnode_t *v2_run_find(v2_run_t *r, uint64_t identity);
static v2_int_t v2_run_add(v2_run_t *r, v2_pnode_t *n);
static v2_int_t v2_run_usable(const v2_node_conf_t *conf);
static void v2_run_close_fds(const int *fds, uint32_t n);
static void v2_run_turn(v2_run_t *r, uint64_t until);
static void v2_run_wait(v2_run_t *r, uint64_t until);
static void v2_run_tick(v2_run_t *r);
static void v2_run_leaving(v2_run_t *r);
static void v2_run_down(v2_run_t *r, v2_pnode_t *n);
static void v2_run_channel(v2_run_t *r);
static void v2_run_message(v2_run_t *r, const v2_msg_t *m, const int *fds);
static void v2_run_pass(v2_run_t *r, const v2_msg_t *m, const int *fds);
static void v2_run_reload(v2_run_t *r, int fd);
static v2_conf_t *v2_run_read_conf(int fd);
static void v2_run_node_failed(v2_run_t *r, const v2_msg_t *m);
static void v2_run_end(v2_run_t *r);
static void v2_run_await_workers(v2_run_t *r, uint64_t ms);
static int v2_run_workers(const v2_run_t *r);


int
v2_panel_main(const v2_panel_env_t *env)
{
    v2_run_t  r;

    if (v2_run_init(&r, env) != V2_OK) {
        return V2_EXIT_NEVER_AGAIN;
    }

    v2_run_conf(&r, env->conf, env->dir_fds, env->push_fds, env->alive_fds);
    v2_run_orphans(&r);

    while (!r.quit && !r.orphan) {
        v2_run_turn(&r, UINT64_MAX);
    }

    v2_run_end(&r);
    v2_run_done(&r);

    return 0;
}


static v2_int_t
v2_run_init(v2_run_t *r, const v2_panel_env_t *env)
{
    memset(r, 0, sizeof(*r));

    /* a user list goes back to the kernel when it is freed: a fixed threshold
     * is not raised by the first long list */

    (void) mallopt(M_MMAP_THRESHOLD, V2_RUN_MMAP_BYTES);

    v2_time_update();

    r->proc = env->proc;
    r->ctx.shm = env->shm;
    r->ctx.channel = env->channel;
    r->ctx.state_dir = env->state_dir;

    if (v2_run_signals(r) != V2_OK) {
        return V2_ERROR;
    }

    r->ctx.users = v2_users_open(env->shm);
    if (r->ctx.users == NULL) {
        return V2_ERROR;
    }

    r->ctx.http = v2_http_open();
    if (r->ctx.http == NULL) {
        return V2_ERROR;
    }

    r->ctx.inotify = inotify_init1(IN_NONBLOCK|IN_CLOEXEC);

    if (r->ctx.inotify == -1) {
        v2_log(V2_LOG_INFO, NULL, errno, "inotify_init1() failed, files are "
               "looked at each second");
    }

    return V2_OK;
}


/* The master says what is to be done; a terminal's INT is for it alone. */
static v2_int_t
v2_run_signals(v2_run_t *r)
{
    size_t     i;
    sigset_t   set;

    static const int  ignored[] = {
        SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2, SIGWINCH
    };

    for (i = 0; i < v2_nelems(ignored); i++) {
        (void) signal(ignored[i], SIG_IGN);
    }

    (void) sigemptyset(&set);
    (void) sigaddset(&set, SIGTERM);
    (void) sigaddset(&set, SIGQUIT);
    (void) sigprocmask(SIG_SETMASK, &set, NULL);

    r->signals = signalfd(-1, &set, SFD_NONBLOCK|SFD_CLOEXEC);

    if (r->signals == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "signalfd() failed");
        return V2_ERROR;
    }

    return V2_OK;
}


static void
v2_run_done(v2_run_t *r)
{
    uint32_t  i;

    for (i = 0; i < r->nodes_n; i++) {
        v2_pnode_destroy(r->nodes[i]);
    }

    v2_run_close_fds(r->passed, r->passed_n * 3);
    free(r->passed);
    free(r->nodes);
    v2_http_close(r->ctx.http);
    v2_users_close(r->ctx.users);

    if (r->ctx.inotify != -1) {
        (void) close(r->ctx.inotify);
    }

    (void) close(r->signals);
}


/* Slots that a process before this one filled, and whose node is in no config
 * any more: nobody is left who could push for them. */
static void
v2_run_orphans(v2_run_t *r)
{
    uint32_t        i;
    v2_pnode_t     *n;
    v2_shm_node_t  *s;

    for (i = 0; i < V2_SHM_NODES; i++) {
        s = &r->ctx.shm->nodes[i];

        if (atomic_load(&s->state) == V2_REC_FREE) {
            continue;
        }

        n = v2_run_find(r, s->name_hash);

        if (n == NULL) {
            v2_users_node_close(r->ctx.users, i);
            v2_aside_orphan(&r->ctx, i);
        }
    }
}


/* Makes the nodes those of conf. The descriptors become theirs. */
static void
v2_run_conf(v2_run_t *r, const v2_conf_t *conf, const int *dirs,
    const int *pushes, const int *alives)
{
    int          files[3];
    uint32_t     i, j;
    v2_pnode_t  *n;

    r->ctx.aside_errors = (conf->push_server_error == V2_SERVERERR_ASIDE);

    for (j = 0; j < r->nodes_n; j++) {
        r->nodes[j]->in_conf = 0;
    }

    for (i = 0; i < conf->nodes_n; i++) {
        files[0] = (dirs != NULL) ? dirs[i] : -1;
        files[1] = (pushes != NULL) ? pushes[i] : -1;
        files[2] = (alives != NULL) ? alives[i] : -1;

        n = v2_run_find(r, v2_node_identity(&conf->nodes[i]));

        if (v2_run_usable(&conf->nodes[i]) != V2_OK
            || (n != NULL && n->in_conf))
        {
            if (n != NULL && n->in_conf) {
                v2_log(V2_LOG_ERR, NULL, 0, "node \"%s\" is in the config "
                       "twice (ApiHost, ApiKey and NodeID), the second one "
                       "is left out", conf->nodes[i].tag);
            }

            v2_run_close_fds(files, 3);
            continue;
        }

        if (n != NULL) {
            v2_pnode_update(n, &conf->nodes[i], i, files);

        } else {
            n = v2_pnode_create(&r->ctx, &conf->nodes[i], i, files);

            if (n == NULL || v2_run_add(r, n) != V2_OK) {
                continue;
            }
        }

        n->in_conf = 1;
    }

    for (j = 0; j < r->nodes_n; j++) {
        n = r->nodes[j];

        if (!n->in_conf && !n->leaving) {
            v2_pnode_leave(n);
            v2_run_down(r, n);
        }
    }
}


static v2_pnode_t *
v2_run_find(v2_run_t *r, uint64_t identity)
{
    uint32_t  i;

    for (i = 0; i < r->nodes_n; i++) {
        if (r->nodes[i]->identity == identity) {
            return r->nodes[i];
        }
    }

    return NULL;
}


static v2_int_t
v2_run_add(v2_run_t *r, v2_pnode_t *n)
{
    uint32_t     cap;
    v2_pnode_t **nodes;

    if (r->nodes_n == r->nodes_cap) {
        cap = r->nodes_cap + 16;

        nodes = realloc(r->nodes, cap * sizeof(nodes[0]));
        if (nodes == NULL) {
            v2_log(V2_LOG_ERR, &n->log, ENOMEM, "realloc() failed");
            v2_pnode_destroy(n);
            return V2_ERROR;
        }

        r->nodes = nodes;
        r->nodes_cap = cap;
    }

    r->nodes[r->nodes_n++] = n;
    return V2_OK;
}


static v2_int_t
v2_run_usable(const v2_node_conf_t *conf)
{
    const char  *why;

    why = conf->refused;

    if (why == NULL && strcmp(conf->panel_type, "file") == 0
        && v2_node_dir(conf) == NULL)
    {
        why = "PanelType file needs an ApiHost \"file:DIR\"";

    } else if (why == NULL && strcmp(conf->panel_type, "auto") != 0
               && v2_panel_find(conf->panel_type) == NULL)
    {
        why = "its PanelType is not built in";
    }

    if (why != NULL) {
        v2_log(V2_LOG_ERR, NULL, 0, "node \"%s\" is not started: %s",
               conf->tag, why);
        return V2_ERROR;
    }

    return V2_OK;
}


static void
v2_run_close_fds(const int *fds, uint32_t n)
{
    uint32_t  i;

    for (i = 0; i < n; i++) {
        if (fds[i] != -1) {
            (void) close(fds[i]);
        }
    }
}


/* Does what is due and waits for the next event, until then at most. */
static void
v2_run_turn(v2_run_t *r, uint64_t until)
{
    uint32_t  i;

    v2_time_update();

    if (v2_now_ms() >= r->tick_due) {
        v2_run_tick(r);
    }

    if (!r->ctx.ending) {
        for (i = 0; i < r->nodes_n; i++) {
            v2_pnode_run(r->nodes[i]);
        }
    }

    v2_run_wait(r, until);
}


static void
v2_run_wait(v2_run_t *r, uint64_t until)
{
    uint32_t                  i;
    uint64_t                  now;
    unsigned                  n;
    struct curl_waitfd        fds[3];
    struct signalfd_siginfo   si;

    until = v2_min(until, r->tick_due);

    for (i = 0; i < r->nodes_n && !r->ctx.ending; i++) {
        until = v2_min(until, v2_pnode_due(r->nodes[i]));
    }

    memset(fds, 0, sizeof(fds));
    fds[0].fd = r->signals;
    n = 1;

    if (r->ctx.channel != -1) {
        fds[n++].fd = r->ctx.channel;
    }

    if (r->ctx.inotify != -1) {
        fds[n++].fd = r->ctx.inotify;
    }

    for (i = 0; i < n; i++) {
        fds[i].events = CURL_WAIT_POLLIN;
    }

    v2_time_update();
    now = v2_now_ms();

    v2_http_wait(r->ctx.http, fds, n, (until > now) ? (int) (until - now) : 0);

    while (read(r->signals, &si, sizeof(si)) == (ssize_t) sizeof(si)) {
        r->quit = 1;
    }

    if (r->ctx.inotify != -1) {
        v2_pfile_events(&r->ctx, r->nodes, r->nodes_n);
    }

    v2_run_channel(r);
}


static void
v2_run_tick(v2_run_t *r)
{
    uint32_t  i;

    r->tick_due = v2_now_ms() + V2_RUN_TICK_MS;

    atomic_store(&r->proc->heartbeat, v2_now_ms());
    v2_log_tick();
    v2_users_sweep(r->ctx.users);

    if (r->ctx.ending) {
        return;
    }

    for (i = 0; i < r->nodes_n; i++) {
        v2_poll_tell(r->nodes[i]);
    }

    v2_run_leaving(r);
}


/* Nodes that left and have nothing more to say are forgotten. */
static void
v2_run_leaving(v2_run_t *r)
{
    uint32_t              i;
    v2_pnode_t           *n;
    const v2_shm_node_t  *s;

    i = 0;

    while (i < r->nodes_n) {
        n = r->nodes[i];
        s = (n->slot != V2_NONE) ? &r->ctx.shm->nodes[n->slot] : NULL;

        if (!n->leaving || n->reporting
            || (s != NULL && s->name_hash == n->identity
                && atomic_load(&s->state) != V2_REC_FREE))
        {
            if (n->leaving && !n->told_down) {
                v2_run_down(r, n);
            }

            i++;
            continue;
        }

        v2_pnode_destroy(n);
        r->nodes[i] = r->nodes[--r->nodes_n];
    }
}


static void
v2_run_down(v2_run_t *r, v2_pnode_t *n)
{
    v2_msg_t  m;

    if (r->ctx.channel == -1 || n->slot == V2_NONE) {
        n->told_down = 1;
        return;
    }

    memset(&m, 0, sizeof(m));
    m.type = V2_MSG_NODE_DOWN;
    m.node = n->slot;

    n->told_down = (v2_channel_send(r->ctx.channel, &m, NULL) == V2_OK);
}


static void
v2_run_channel(v2_run_t *r)
{
    int       fds[V2_CHANNEL_FDS];
    v2_int_t  rc;
    v2_msg_t  m;

    while (r->ctx.channel != -1) {
        rc = v2_channel_recv(r->ctx.channel, &m, fds);

        if (rc == V2_AGAIN) {
            return;
        }

        if (rc != V2_OK) {
            (void) close(r->ctx.channel);
            r->ctx.channel = -1;
            r->orphan = 1;
            return;
        }

        v2_run_message(r, &m, fds);
    }
}


/* Descriptors that nobody takes are closed. */
static void
v2_run_message(v2_run_t *r, const v2_msg_t *m, const int *fds)
{
    uint32_t  used;

    used = 0;

    switch (m->type) {

    case V2_MSG_CONF:
        if (m->arg == V2_PANEL_CONF_DIR) {
            used = v2_min(m->fds_n, 3);
            v2_run_pass(r, m, fds);

        } else if (m->fds_n != 0) {
            used = 1;
            v2_run_reload(r, fds[0]);
        }
        break;

    case V2_MSG_NODE_FAILED:
        v2_run_node_failed(r, m);
        break;

    case V2_MSG_LOG:
        if (m->fds_n != 0) {
            used = 1;
            v2_log_set_fd(fds[0]);
        }
        break;

    case V2_MSG_NODE_OPEN:
        break;

    default:
        v2_log(V2_LOG_ALERT, NULL, 0, "message %u from the master is not "
               "known", m->type);
    }

    v2_run_close_fds(fds + used, m->fds_n - used);
}


/* Keeps the descriptors of a file node for the config that follows. */
static void
v2_run_pass(v2_run_t *r, const v2_msg_t *m, const int *fds)
{
    int       *passed;
    uint32_t   i, n;

    n = v2_min(m->fds_n, 3);

    if (m->node >= V2_SHM_NODES) {
        v2_run_close_fds(fds, n);
        return;
    }

    if (m->node >= r->passed_n) {
        passed = realloc(r->passed, (m->node + 1) * 3 * sizeof(int));

        if (passed == NULL) {
            v2_run_close_fds(fds, n);
            return;
        }

        for (i = r->passed_n * 3; i < (m->node + 1) * 3; i++) {
            passed[i] = -1;
        }

        r->passed = passed;
        r->passed_n = m->node + 1;
    }

    v2_run_close_fds(r->passed + m->node * 3, 3);

    for (i = 0; i < 3; i++) {
        r->passed[m->node * 3 + i] = (i < n) ? fds[i] : -1;
    }
}


static void
v2_run_reload(v2_run_t *r, int fd)
{
    int        *fds;
    uint32_t    i, k;
    v2_conf_t  *conf;

    conf = v2_run_read_conf(fd);
    (void) close(fd);

    fds = NULL;

    if (conf != NULL) {
        fds = malloc((size_t) (conf->nodes_n + 1) * 3 * sizeof(int));
    }

    if (fds == NULL) {
        v2_log(V2_LOG_ERR, NULL, 0, "the new config could not be taken, the "
               "old one goes on");
        v2_run_close_fds(r->passed, r->passed_n * 3);

    } else {
        for (i = 0; i < conf->nodes_n; i++) {
            for (k = 0; k < 3; k++) {
                fds[k * conf->nodes_n + i]
                    = (i < r->passed_n) ? r->passed[i * 3 + k] : -1;
            }
        }

        if (r->passed_n > conf->nodes_n) {
            v2_run_close_fds(r->passed + conf->nodes_n * 3,
                             (r->passed_n - conf->nodes_n) * 3);
        }

        v2_log_set_level(conf->log_level);
        v2_run_conf(r, conf, fds, fds + conf->nodes_n,
                    fds + 2 * conf->nodes_n);
    }

    free(fds);
    free(r->passed);
    r->passed = NULL;
    r->passed_n = 0;

    if (conf != NULL) {
        v2_conf_free(conf);
    }
}


static v2_conf_t *
v2_run_read_conf(int fd)
{
    void         *text;
    v2_conf_t    *conf;
    struct stat   st;

    if (fstat(fd, &st) == -1 || st.st_size <= 0
        || st.st_size > (off_t) V2_CONFIG_MAX)
    {
        return NULL;
    }

    text = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

    if (text == MAP_FAILED) {
        v2_log(V2_LOG_ERR, NULL, errno, "mmap() of the config failed");
        return NULL;
    }

    conf = v2_conf_parse(text, (size_t) st.st_size, "config", NULL, 0);

    (void) munmap(text, (size_t) st.st_size);
    return conf;
}


/* The master has logged why. */
static void
v2_run_node_failed(v2_run_t *r, const v2_msg_t *m)
{
    uint32_t     i;
    v2_pnode_t  *n;

    for (i = 0; i < r->nodes_n; i++) {
        n = r->nodes[i];

        if (n->slot == m->node) {
            n->spec_failed = 1;
        }
    }
}


static void
v2_run_end(v2_run_t *r)
{
    uint32_t  i;
    uint64_t  until, end;

    if (r->orphan && !r->quit) {
        v2_log(V2_LOG_NOTICE, NULL, 0, "the master is gone, waiting for the "
               "workers to end");
    }

    v2_http_cancel(r->ctx.http, NULL);
    r->ctx.ending = 1;

    v2_run_await_workers(r, r->orphan ? V2_RUN_ORPHAN_MS
                                      : V2_RUN_WORKERS_MS);

    end = v2_now_ms() + V2_RUN_END_MS;
    until = v2_now_ms() + V2_RUN_OPEN_MS;

    while (v2_http_open_n(r->ctx.http, 1) != 0 && v2_now_ms() < until) {
        v2_run_turn(r, until);
    }

    v2_http_expire(r->ctx.http);

    for (i = 0; i < r->nodes_n; i++) {
        v2_report_start(r->nodes[i], 1, 0);
    }

    while (v2_http_open_n(r->ctx.http, 1) != 0 && v2_now_ms() < end) {
        v2_run_turn(r, end);
    }

    v2_http_expire(r->ctx.http);

    for (i = 0; i < r->nodes_n; i++) {
        v2_report_end(r->nodes[i]);
    }

    v2_log_tick();
}


/* What they count after our last push would be lost. */
static void
v2_run_await_workers(v2_run_t *r, uint64_t ms)
{
    uint64_t  until;

    until = v2_now_ms() + ms;

    while (v2_run_workers(r) && v2_now_ms() < until) {
        v2_run_turn(r, v2_now_ms() + 20);
    }
}


static int
v2_run_workers(const v2_run_t *r)
{
    pid_t                 pid;
    uint32_t              i;
    const v2_shm_proc_t  *p;

    for (i = 0; i < V2_SHM_PROCS; i++) {
        p = &r->ctx.shm->procs[i];
        pid = (pid_t) atomic_load(&p->pid);

        if (pid > 0 && atomic_load(&p->role) == V2_ROLE_WORKER
            && (kill(pid, 0) == 0 || errno == EPERM))
        {
            return 1;
        }
    }

    return 0;
}
