/* The folder of a `file:` node: its descriptors, and the watch that tells
 * within a second which file changed. The master opened folder and report
 * files if it has the rights; what it did not pass is opened here, as User.
 *
 * Invariants
 *  1. A watch belongs to a folder: nodes of one folder share its number.
 *  2. Without a watch the files are looked at each second (v2_panel_poll.c).
 *  3. IN_MODIFY is not asked for: a file that is being written is half of
 *     one. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_time.h"
#include "v2_panel_node.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#define V2_PFILE_EVENTS     (IN_CLOSE_WRITE|IN_MOVED_TO|IN_CREATE|IN_DELETE \
                             |IN_MOVED_FROM|IN_ONLYDIR)


static void v2_pfile_event(v2_pnode_t *n, const struct inotify_event *ev,
    const char *name);


void
v2_pfile_open(v2_pnode_t *n)
{
    char         path[64];
    v2_pfile_t  *f;

    f = &n->file;

    if (f->dir == -1) {
        f->dir = open(v2_node_dir(&n->conf), O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        if (f->dir == -1) {
            v2_log(V2_LOG_ERR, &n->log, errno, "open() \"%s\" as user %u "
                   "failed, check ApiHost and the folder's mode",
                   v2_node_dir(&n->conf), (unsigned) geteuid());
            return;
        }
    }

    if (f->push == -1) {
        f->push = openat(f->dir, "push.jsonl",
                         O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC, 0640);
    }

    if (f->alive == -1) {
        f->alive = openat(f->dir, "alive.jsonl",
                          O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC, 0640);
    }

    if (f->watch == -1 && n->ctx->inotify != -1) {
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", f->dir);
        f->watch = inotify_add_watch(n->ctx->inotify, path, V2_PFILE_EVENTS);

        if (f->watch == -1) {
            v2_log(V2_LOG_INFO, &n->log, errno, "inotify_add_watch() \"%s\" "
                   "failed, its files are looked at each second",
                   v2_node_dir(&n->conf));
        }
    }
}


void
v2_pfile_done(v2_pnode_t *n)
{
    int         *fds[3];
    size_t       i;
    v2_pfile_t  *f;

    f = &n->file;
    fds[0] = &f->dir;
    fds[1] = &f->push;
    fds[2] = &f->alive;

    for (i = 0; i < v2_nelems(fds); i++) {
        if (*fds[i] != -1) {
            (void) close(*fds[i]);
            *fds[i] = -1;
        }
    }

    /* the watch goes with its folder: other nodes may share it */
    f->watch = -1;
}


void
v2_pfile_name(const v2_pnode_t *n, v2_act_e act, char out[V2_PFILE_NAME])
{
    static const char *const  names[V2_ACT_FILES] = {
        [V2_ACT_CONFIG]    = "node",
        [V2_ACT_USERS]     = "users",
        [V2_ACT_ALIVELIST] = "alive"
    };

    (void) snprintf(out, V2_PFILE_NAME, "%s-%u.json", names[act],
                    n->conf.node_id);
}


void
v2_pfile_forget(v2_pnode_t *n, v2_act_e act)
{
    n->file.seen[act].st_ino = 0;
}


void
v2_pfile_events(v2_pctx_t *ctx, v2_pnode_t *const *nodes, uint32_t nodes_n)
{
    char                  buf[8192];
    ssize_t               got;
    uint32_t              i;
    const char           *p;
    struct inotify_event  ev;

    for ( ;; ) {
        got = read(ctx->inotify, buf, sizeof(buf));

        if (got <= 0) {
            return;
        }

        for (p = buf; p < buf + got; p += sizeof(ev) + ev.len) {
            memcpy(&ev, p, sizeof(ev));

            for (i = 0; i < nodes_n; i++) {
                v2_pfile_event(nodes[i], &ev, p + sizeof(ev));
            }
        }
    }
}


static void
v2_pfile_event(v2_pnode_t *n, const struct inotify_event *ev,
    const char *name)
{
    char      own[V2_PFILE_NAME];
    unsigned  act, lost;

    lost = (ev->mask & IN_Q_OVERFLOW) != 0;

    if (n->file.watch == -1 || (ev->wd != n->file.watch && !lost)) {
        return;
    }

    if (ev->mask & IN_IGNORED) {
        n->file.watch = -1;                     /* the folder went away */
        return;
    }

    for (act = 0; act < V2_ACT_FILES; act++) {
        v2_pfile_name(n, act, own);

        if (lost || (ev->len != 0 && strcmp(name, own) == 0)) {
            v2_pfile_forget(n, act);
            n->poll_due = v2_now_ms();
        }
    }
}
