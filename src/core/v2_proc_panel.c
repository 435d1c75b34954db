/* The panel process until v2_panel_main() takes over: its lock and what it is
 * given. Runs as User. The lock on StateDir/lock is what makes it the only
 * writer of users and accounts: a new master's panel process waits here until
 * that of the old one has pushed its last bytes. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_proc.h"
#include "v2_log.h"
#include "v2_panel.h"
#include "v2_time.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

static v2_int_t v2_proc_panel_lock(const v2_start_t *st);
static int v2_proc_panel_orphan(int channel);


v2_int_t
v2_proc_panel_setup(v2_start_t *st)
{
    return v2_rights_folder(st->rights, st->conf->state_dir, 1);
}


int
v2_proc_panel_run(v2_start_t *st)
{
    v2_panel_env_t         env;
    const v2_proc_dirs_t  *dirs;

    switch (v2_proc_panel_lock(st)) {

    case V2_OK:
        break;

    case V2_DONE:
        return 0;

    default:
        return V2_EXIT_NEVER;
    }

    dirs = st->arg;

    memset(&env, 0, sizeof(v2_panel_env_t));
    env.shm = st->shm;
    env.proc = st->proc;
    env.channel = st->channel;
    env.conf = st->conf;
    env.state_dir = st->conf->state_dir;
    env.dir_fds = dirs->dir;
    env.push_fds = dirs->push;
    env.alive_fds = dirs->alive;

    return v2_panel_main(&env);
}


/* The descriptor stays open until the process ends. V2_DONE: the master has
 * ended meanwhile. */

static v2_int_t
v2_proc_panel_lock(const v2_start_t *st)
{
    int   fd, told;
    char  path[4096];

    (void) snprintf(path, sizeof(path), "%s/lock", st->conf->state_dir);

    fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC, 0600);

    if (fd == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "open() \"%s\" as user \"%s\" "
               "failed", path, st->rights->user);
        return V2_ERROR;
    }

    for (told = 0; flock(fd, LOCK_EX|LOCK_NB) == -1; told = 1) {

        if (errno != EWOULDBLOCK) {
            v2_log(V2_LOG_EMERG, NULL, errno, "flock() \"%s\" failed", path);
            (void) close(fd);
            return V2_ERROR;
        }

        if (!told) {
            v2_log(V2_LOG_NOTICE, NULL, 0, "\"%s\" is locked: waiting for the "
                   "panel process of another v2sp to end", path);
        }

        v2_time_update();
        atomic_store_explicit(&st->proc->heartbeat, v2_now_ms(),
                              memory_order_relaxed);

        if (v2_proc_panel_orphan(st->channel)) {
            (void) close(fd);
            return V2_DONE;
        }
    }

    return V2_OK;
}


/* Waits a moment; 1: the channel has closed. */

static int
v2_proc_panel_orphan(int channel)
{
    struct pollfd  pfd;

    pfd.fd = channel;
    pfd.events = POLLRDHUP;

    return poll(&pfd, 1, 100) == 1
           && (pfd.revents & (POLLHUP|POLLRDHUP|POLLERR));
}
