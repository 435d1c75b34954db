/* Children of the master: what a role is, how one is started, spoken to and
 * started again. The table of roles is in v2_proc.c.
 *
 * A child ends with V2_EXIT_NEVER when it cannot work and must not be started
 * again. */

#ifndef V2_PROC_H
#define V2_PROC_H

#include "v2_channel.h"
#include "v2_conf.h"
#include "v2_queue.h"
#include "v2_rights.h"
#include "v2_shm.h"

#define V2_EXIT_NEVER       2
#define V2_PROC_NEVER       UINT64_MAX

/* What a child is given. It belongs to the master's side of the fork and is
 * valid in the child for its whole life. */
typedef struct {
    const v2_conf_t    *conf;
    const v2_rights_t  *rights;
    v2_shm_t           *shm;
    v2_shm_proc_t      *proc;           /* its slot; set in the child */
    int                 channel;        /* set in the child */
    int                 access_fd;      /* -1: none */
    unsigned            block;          /* worker: its rows in shm */
    unsigned            ordinal;        /* worker: i of n */
    unsigned            workers_n;
    const int          *keep;           /* more descriptors it keeps open */
    unsigned            keep_n;
    const void         *arg;            /* of the role */
} v2_start_t;

typedef struct {
    const char   *name;
    unsigned      shm_role;             /* V2_ROLE_..., FREE: takes no slot */
    unsigned      numbered:1;           /* its block goes into log lines */
    v2_int_t    (*setup)(v2_start_t *st);       /* with the master's rights */
    int         (*run)(v2_start_t *st);         /* without; the exit code */
} v2_role_t;

typedef enum { V2_CHILD_PANEL, V2_CHILD_WORKER, V2_CHILD_BUILDER }
    v2_child_e;

extern const v2_role_t  v2_roles[];             /* by v2_child_e */

#define V2_PROC_DEATHS      5           /* so many in a minute are too many */

typedef struct {
    const v2_role_t  *role;
    pid_t             pid;              /* 0: none */
    int               fd;               /* our end of the channel, or -1 */
    v2_queue_t        out;              /* messages that wait for room */
    uint64_t          deaths[V2_PROC_DEATHS];   /* ms, the oldest first */
    uint64_t          delay_ms;         /* of the last start again */
} v2_proc_t;

void      v2_proc_init(v2_proc_t *p, v2_child_e child);
/* Forks. V2_OK in the master; a child does not return. */
v2_int_t  v2_proc_spawn(v2_proc_t *p, v2_start_t *st);

/* Sends, or queues with copies of the descriptors. V2_ERROR: the child is
 * gone, its end will be reaped. */
v2_int_t  v2_proc_send(v2_proc_t *p, const v2_msg_t *m, const int *fds);
/* Sends what was queued. */
void      v2_proc_flush(v2_proc_t *p);
/* Closes the channel and forgets what was queued. */
void      v2_proc_close(v2_proc_t *p);

/* Logs the end of a child; expected: at notice. */
void      v2_proc_ended(const v2_proc_t *p, int status, int expected);
/* How long to wait before it is started again: 0 at first, growing when it
 * died too often (alert), V2_PROC_NEVER after V2_EXIT_NEVER. */
uint64_t  v2_proc_backoff(v2_proc_t *p, int status, uint64_t now_ms);

/* The panel process' half of the table (v2_proc_panel.c). arg of its start: */
typedef struct {
    int    *dir, *push, *alive;         /* nodes_n each, -1: none */
} v2_proc_dirs_t;

v2_int_t  v2_proc_panel_setup(v2_start_t *st);
int       v2_proc_panel_run(v2_start_t *st);

/* The worker's half (v2_worker.c). */
v2_int_t  v2_worker_setup(v2_start_t *st);
int       v2_worker_run(v2_start_t *st);

#endif
