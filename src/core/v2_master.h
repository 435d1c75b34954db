/* The master: what its files (v2_master*.c) share. One process, one loop, no
 * byte from a network.
 *
 *   v2_master.c          start, loop, signals, reload, stop
 *   v2_master_workers.c  generations of workers, images and sockets to them
 *   v2_master_image.c    when an image is built, and its life
 *   v2_master_node.c     nodes: specs, addresses, certificates
 *   v2_master_panel.c    the panel process
 *   v2_master_check.c    the check before start and of -t
 *
 * Life of an image
 *   IDLE -> BUILD    addresses bound, files opened, builder forked
 *   BUILD -> PREPARE builder done, image sealed and sent to the workers
 *   PREPARE -> IDLE  all READY: committed; one FAILED, or time over: dropped
 *
 * Invariants
 *  1. At most one image is under way; what is asked for meanwhile waits.
 *  2. `image` (in use) changes only in v2_image_commit(); until then nothing
 *     that serves was touched: a failure leaves all as it was.
 *  3. workers[] is indexed by row block: an old worker that drains and its
 *     successor never write the same rows.
 *  4. A socket has one owner among the workers of the generation in use, or
 *     none while no worker is alive. */

#ifndef V2_MASTER_H
#define V2_MASTER_H

#include "v2_builder.h"
#include "v2_listener.h"
#include "v2_signal.h"
#include "v2_timer.h"

#include <signal.h>

typedef struct v2_master_s  v2_master_t;

typedef struct {
    v2_proc_t         proc;
    v2_start_t        start;
    v2_timer_t        timer;        /* starts it again */
    v2_master_t      *master;
    unsigned          gen;
    uint32_t          sent;         /* serial it was asked to prepare, or 0 */
    uint32_t          ready;        /* serial it answered READY for */
    uint32_t          serial;       /* committed */
    unsigned          used:1;       /* the block is taken */
    unsigned          quitting:1;   /* its end is expected */
} v2_mworker_t;

typedef struct {
    const v2_spec_t  *spec;         /* the last one, or NULL */
    const v2_spec_t  *used;         /* of the image in use, or NULL */
    const v2_spec_t  *trying;       /* of the image under way, or NULL */
    v2_pair_t         seen;         /* ids of the files as last looked at */
    v2_listener_t    *serving;      /* of the image in use */
    v2_listener_t    *opened;       /* of the image under way */
    v2_pair_t         fresh;        /* as last seen on disk */
    v2_pair_t         good;         /* in use */
    uint32_t          base;         /* for the next listener */
    char              told[200];    /* failure already logged */
    unsigned          picked:1;     /* part of the build */
    unsigned          built:1;      /* part of the image under way */
    unsigned          fresh_ok:1;   /* ... with its fresh certificate */
    unsigned          open:1;       /* part of the image in use */
    unsigned          bad:1;        /* the builder refused spec */
    unsigned          cert_bad:1;   /* files as seen cannot be used */
    unsigned          warned:1;     /* of its CertMode */
} v2_mnode_t;

typedef struct {
    int               fd;           /* -1: none */
    uint32_t          serial;       /* 0: none */
    unsigned          gen;          /* workers that take it */
} v2_mimage_t;

/* route, outbounds, dns */
#define V2_RULES                3

typedef enum { V2_PHASE_IDLE, V2_PHASE_BUILD, V2_PHASE_PREPARE } v2_phase_e;
typedef enum { V2_STOP_NONE, V2_STOP_QUIT, V2_STOP_FAST } v2_stop_e;

struct v2_master_s {
    v2_conf_t          *conf;
    v2_conf_t          *next_conf;      /* of a reload under way */
    const char         *overrides;      /* text of -g, or NULL */
    v2_rights_t         rights, next_rights;
    int                 rules[V2_RULES], next_rules[V2_RULES];
    int                 access_fd;
    v2_shm_t           *shm;
    sigset_t            wait_mask;

    v2_stop_e           stop;
    unsigned            failed:1;       /* the end is for a fault */
    v2_timer_t          tick;
    v2_timer_t          stop_timer;
    uint64_t            watch_ms;       /* next look at the certificates */

    /* workers */
    unsigned            gen;            /* in use */
    unsigned            workers_n;
    v2_mworker_t        workers[V2_SHM_WORKERS];

    /* panel process */
    v2_proc_t           panel;
    v2_start_t          panel_start;
    v2_timer_t          panel_timer;
    unsigned            panel_quitting:1;
    unsigned            panel_again:1;  /* its end is a change of user */
    unsigned            panel_never:1;
    uint64_t            panel_start_ms;

    /* images */
    v2_phase_e          phase;
    v2_mimage_t         image, pending;
    v2_proc_t           builder;
    v2_start_t          builder_start;
    v2_builder_job_t    job;
    const v2_conf_t    *job_conf;       /* conf or next_conf */
    unsigned            again:1;        /* one more when this is done */
    char                builder_why[sizeof(((v2_msg_t *) 0)->text)];
    uint32_t            serial;         /* last given */
    v2_timer_t          image_timer;    /* the next is wanted */
    v2_timer_t          phase_timer;    /* the one under way took too long */
    unsigned            panel_wants:1;  /* the next one is for a panel, too */
    uint64_t            panel_image_ms; /* last one that a panel caused */
    char                image_told[200];    /* failure already logged */
    v2_mnode_t          nodes[V2_SHM_NODES];
};

/* --- v2_master.c --- */

/* Runs until the end; conf becomes the master's. The exit code. */
int       v2_master_run(v2_conf_t *conf, const char *overrides);
/* Where the log goes, "": stderr. A daemon has none, so that without
 * Log.Output it takes the path that configure set. */
const char  *v2_master_log_path(const v2_conf_t *conf);
void      v2_master_reload_done(v2_master_t *m, int ok);
/* A child of the stop sequence ended: what comes next? */
void      v2_master_stop_next(v2_master_t *m);

/* --- v2_master_check.c --- */

/* What can be known before start: user, StateDir, rules, and with `test`
 * certificates and local panels. V2_ERROR: logged. */
v2_int_t  v2_master_check(const v2_conf_t *conf, int test);
/* Opens the rule files; told: what is missing was said before. V2_ERROR:
 * logged. */
v2_int_t  v2_rules_open(const v2_conf_t *conf, int rules[V2_RULES],
    int told);
void      v2_rules_close(int rules[V2_RULES]);

/* --- v2_master_workers.c --- */

unsigned  v2_workers_want(const v2_conf_t *conf);
v2_int_t  v2_workers_start(v2_master_t *m, unsigned gen,
    const v2_conf_t *conf, const v2_rights_t *rights);
void      v2_workers_on_message(v2_master_t *m, v2_mworker_t *w);
void      v2_workers_ended(v2_master_t *m, v2_mworker_t *w, int status);
/* Sends each worker the image that it lacks. */
void      v2_workers_feed(v2_master_t *m);
/* Have all that must taken the image under way? */
int       v2_workers_ready(const v2_master_t *m);
void      v2_workers_commit(v2_master_t *m);
void      v2_workers_drop(v2_master_t *m);
/* Gives each socket to the worker that must serve it. */
void      v2_workers_assign(v2_master_t *m);
/* The listener is about to be closed. */
void      v2_workers_unlisten(v2_master_t *m, uint32_t slot,
    v2_listener_t *l);
/* type V2_MSG_QUIT, V2_MSG_STOP or V2_MSG_LOG; gen 0: all. */
void      v2_workers_tell(v2_master_t *m, unsigned gen, const v2_msg_t *msg,
    const int *fds);
unsigned  v2_workers_alive(const v2_master_t *m);
void      v2_workers_kill(v2_master_t *m);

/* --- v2_master_image.c --- */

typedef enum {
    V2_WANT_NOW,            /* reload, certificate, node that never served */
    V2_WANT_PANEL,          /* a changed node: one in 10 s */
    V2_WANT_RETRY           /* a node failed: in 10 s */
} v2_want_e;

void      v2_image_init(v2_master_t *m);
void      v2_image_want(v2_master_t *m, v2_want_e why);
void      v2_image_on_builder(v2_master_t *m);
void      v2_image_builder_ended(v2_master_t *m, int status);
void      v2_image_commit(v2_master_t *m);
void      v2_image_fail(v2_master_t *m, const char *why);
/* Gives up the one under way, for ever. */
void      v2_image_stop(v2_master_t *m);

/* --- v2_master_node.c --- */

/* Takes over spec. */
void      v2_node_spec(v2_master_t *m, uint32_t slot, const v2_spec_t *spec);
void      v2_node_down(v2_master_t *m, uint32_t slot);
/* Picks the nodes of an image, with addresses and certificates, into the
 * job. */
void      v2_node_pick(v2_master_t *m, const v2_conf_t *conf);
/* The builder's word about a node that was picked. */
void      v2_node_answer(v2_master_t *m, const v2_msg_t *msg);
/* Did the builder refuse a new spec of a node that serves? Then the image is
 * built again, with what works. */
int       v2_node_refused(v2_master_t *m);
/* Would these nodes change what is served? built: as the builder said. */
int       v2_node_changed(const v2_master_t *m, int built);
/* The image is in use: sockets listen, old ones close. */
void      v2_node_commit(v2_master_t *m);
/* The image is dropped. */
void      v2_node_drop(v2_master_t *m);
/* Did a certificate in use change on disk? */
int       v2_node_watch(v2_master_t *m);

/* --- v2_master_panel.c --- */

void      v2_mpanel_start(v2_master_t *m);
void      v2_mpanel_on_message(v2_master_t *m);
void      v2_mpanel_ended(v2_master_t *m, int status);
void      v2_mpanel_tell(v2_master_t *m, unsigned type, uint32_t node,
    const char *text);
/* The config in use is another one; user: and its User or Group, too. */
void      v2_mpanel_conf(v2_master_t *m, int user);
/* Kills one that hangs. */
void      v2_mpanel_watch(v2_master_t *m);
void      v2_mpanel_stop(v2_master_t *m, int signo);

#endif
