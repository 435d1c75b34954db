/* Starting children and speaking with them. Runs in the master, and in each
 * child until its role takes over.
 *
 * Order in a child: signals, descriptors, log, slot in shared memory, the
 * role's setup with the rights of the master, rights dropped, run. The
 * descriptors of all others are closed first: a child that holds a foreign
 * channel or listener would keep it alive. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_proc.h"
#include "v2_builder.h"
#include "v2_log.h"
#include "v2_signal.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define V2_PROC_MINUTE      60000
#define V2_PROC_DELAY_MAX   60000
#define V2_PROC_SNDBUF      (1024 * 1024)
#define V2_PROC_KEEP        2048

/* A message that waits. */
typedef struct {
    v2_queue_t   link;
    v2_msg_t     msg;
    int          fds[V2_CHANNEL_FDS];
} v2_proc_msg_t;

static void v2_proc_child(v2_proc_t *p, v2_start_t *st, int channel);
static void v2_proc_fds(const v2_start_t *st, int channel);
static void v2_proc_close_range(unsigned from, unsigned to);
static int v2_proc_fd_cmp(const void *a, const void *b);
static void v2_proc_msg_free(v2_proc_msg_t *pm);

const v2_role_t  v2_roles[] = {
    /* name, slot, numbered, setup, run */
    { "panel process", V2_ROLE_PANEL,  0, v2_proc_panel_setup,
      v2_proc_panel_run },
    { "worker",        V2_ROLE_WORKER, 1, v2_worker_setup, v2_worker_run },
    { "builder",       V2_ROLE_FREE,   0, NULL, v2_builder_run }
};


void
v2_proc_init(v2_proc_t *p, v2_child_e child)
{
    memset(p, 0, sizeof(v2_proc_t));
    p->role = &v2_roles[child];
    p->fd = -1;
    v2_queue_init(&p->out);
}


v2_int_t
v2_proc_spawn(v2_proc_t *p, v2_start_t *st)
{
    int    pair[2], size;
    pid_t  pid;

    v2_assert(p->pid == 0 && p->fd == -1);

    if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, pair) == -1) {
        v2_log(V2_LOG_ALERT, NULL, errno, "socketpair() failed");
        return V2_ERROR;
    }

    size = V2_PROC_SNDBUF;
    (void) setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void) setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void) fflush(NULL);

    pid = fork();

    if (pid == -1) {
        v2_log(V2_LOG_ALERT, NULL, errno, "fork() for a %s failed",
               p->role->name);
        (void) close(pair[0]);
        (void) close(pair[1]);
        return V2_ERROR;
    }

    if (pid == 0) {
        v2_proc_child(p, st, pair[1]);
    }

    (void) close(pair[1]);
    p->fd = pair[0];
    p->pid = pid;

    return V2_OK;
}


v2_int_t
v2_proc_send(v2_proc_t *p, const v2_msg_t *m, const int *fds)
{
    uint32_t        i;
    v2_int_t        rc;
    v2_proc_msg_t  *pm;

    if (p->fd == -1) {
        return V2_ERROR;
    }

    if (v2_queue_empty(&p->out)) {
        rc = v2_channel_send(p->fd, m, fds);

        if (rc != V2_AGAIN) {
            return rc;
        }
    }

    pm = malloc(sizeof(v2_proc_msg_t));

    if (pm == NULL) {
        v2_log(V2_LOG_ALERT, NULL, ENOMEM, "message %u to the %s is lost",
               m->type, p->role->name);
        return V2_ERROR;
    }

    pm->msg = *m;

    for (i = 0; i < m->fds_n; i++) {
        pm->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

        if (pm->fds[i] == -1) {
            v2_log(V2_LOG_ALERT, NULL, errno, "message %u to the %s is lost",
                   m->type, p->role->name);
            pm->msg.fds_n = i;
            v2_proc_msg_free(pm);
            return V2_ERROR;
        }
    }

    v2_queue_add_tail(&p->out, &pm->link);

    return V2_OK;
}


void
v2_proc_flush(v2_proc_t *p)
{
    v2_proc_msg_t  *pm;

    while (!v2_queue_empty(&p->out)) {
        pm = v2_queue_data(p->out.next, v2_proc_msg_t, link);

        if (v2_channel_send(p->fd, &pm->msg, pm->fds) == V2_AGAIN) {
            return;
        }

        v2_queue_del(&pm->link);
        v2_proc_msg_free(pm);
    }
}


void
v2_proc_close(v2_proc_t *p)
{
    v2_proc_msg_t  *pm;

    while (!v2_queue_empty(&p->out)) {
        pm = v2_queue_data(p->out.next, v2_proc_msg_t, link);
        v2_queue_del(&pm->link);
        v2_proc_msg_free(pm);
    }

    if (p->fd != -1) {
        (void) close(p->fd);
        p->fd = -1;
    }
}


void
v2_proc_ended(const v2_proc_t *p, int status, int expected)
{
    if (WIFSIGNALED(status)) {
        v2_log(expected ? V2_LOG_NOTICE : V2_LOG_ALERT, NULL, 0,
               "%s %d ended on signal %d%s", p->role->name, (int) p->pid,
               WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
        return;
    }

    v2_log(expected && WEXITSTATUS(status) == 0 ? V2_LOG_NOTICE
           : V2_LOG_ALERT, NULL, 0, "%s %d ended with code %d",
           p->role->name, (int) p->pid, WEXITSTATUS(status));
}


uint64_t
v2_proc_backoff(v2_proc_t *p, int status, uint64_t now_ms)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == V2_EXIT_NEVER) {
        v2_log(V2_LOG_ALERT, NULL, 0, "the %s cannot work and is not started "
               "again, the lines above say why", p->role->name);
        return V2_PROC_NEVER;
    }

    memmove(&p->deaths[0], &p->deaths[1],
            (V2_PROC_DEATHS - 1) * sizeof(p->deaths[0]));
    p->deaths[V2_PROC_DEATHS - 1] = now_ms;

    if (p->deaths[0] == 0 || now_ms - p->deaths[0] > V2_PROC_MINUTE) {
        p->delay_ms = 0;
        return 0;
    }

    p->delay_ms = p->delay_ms == 0 ? 1000
                  : v2_min(p->delay_ms * 2, V2_PROC_DELAY_MAX);

    v2_log(V2_LOG_ALERT, NULL, 0, "the %s ended %d times within a minute, the "
           "next one starts in %" PRIu64 " s", p->role->name, V2_PROC_DEATHS,
           p->delay_ms / 1000);

    return p->delay_ms;
}


static void
v2_proc_child(v2_proc_t *p, v2_start_t *st, int channel)
{
    const v2_role_t  *role;

    role = p->role;
    st->channel = channel;

    v2_signal_child();
    v2_proc_fds(st, channel);
    v2_log_init(v2_log_fd(), v2_log_level(),
                role->numbered ? (int) st->block : -1);

    if (role->shm_role != V2_ROLE_FREE) {
        st->proc = v2_shm_proc_take(st->shm, role->shm_role, st->block);

        if (st->proc == NULL) {
            exit(1);
        }
    }

    if (role->setup != NULL && role->setup(st) != V2_OK) {
        exit(V2_EXIT_NEVER);
    }

    if (v2_rights_drop(st->rights) != V2_OK) {
        exit(V2_EXIT_NEVER);
    }

    exit(role->run(st));
}


/* Closes all descriptors but the standard ones, log, access log, channel and
 * those of the role. */

static void
v2_proc_fds(const v2_start_t *st, int channel)
{
    int       keep[V2_PROC_KEEP], next;
    unsigned  i, n;

    n = 0;
    keep[n++] = channel;
    keep[n++] = v2_log_fd();
    keep[n++] = st->access_fd;

    v2_assert(st->keep_n <= V2_PROC_KEEP - n);

    for (i = 0; i < st->keep_n && n < V2_PROC_KEEP; i++) {
        keep[n++] = st->keep[i];
    }

    qsort(keep, n, sizeof(keep[0]), v2_proc_fd_cmp);

    next = STDERR_FILENO + 1;

    for (i = 0; i < n; i++) {
        if (keep[i] < next) {
            continue;
        }

        if (keep[i] > next) {
            v2_proc_close_range((unsigned) next, (unsigned) keep[i] - 1);
        }

        next = keep[i] + 1;
    }

    v2_proc_close_range((unsigned) next, UINT32_MAX);
}


static void
v2_proc_close_range(unsigned from, unsigned to)
{
    long  fd, max;

    if (syscall(SYS_close_range, from, to, 0) == 0) {
        return;
    }

    /* kernels before 5.9 */

    max = sysconf(_SC_OPEN_MAX);

    for (fd = from; fd <= (long) to && fd < max; fd++) {
        (void) close((int) fd);
    }
}


static int
v2_proc_fd_cmp(const void *a, const void *b)
{
    return *(const int *) a - *(const int *) b;
}


static void
v2_proc_msg_free(v2_proc_msg_t *pm)
{
    uint32_t  i;

    for (i = 0; i < pm->msg.fds_n; i++) {
        (void) close(pm->fds[i]);
    }

    free(pm);
}
