/* One node of the config as the panel process runs it, and what a panel API
 * is. Everything here runs in the panel process's one thread.
 *
 *   poll     config -> user list -> alive list, each pull interval
 *   report   push -> alive, each push interval
 *
 * Both run beside each other; each has at most one request open. A node that
 * left the config stays, `leaving`, until its last bytes are booked. */

#ifndef V2_PANEL_NODE_H
#define V2_PANEL_NODE_H

#include "v2_log.h"
#include "v2_panel.h"
#include "v2_panel_answer.h"
#include "v2_panel_http.h"
#include "v2_panel_lines.h"

#include <sys/stat.h>

typedef struct v2_pnode_s  v2_pnode_t;

typedef enum {
    V2_ACT_CONFIG, V2_ACT_USERS, V2_ACT_ALIVELIST, V2_ACT_PUSH, V2_ACT_ALIVE,
    V2_ACTS
} v2_act_e;

#define V2_ACT_FILES        3       /* the first ones are fetched */

/* A panel API. fetch and post start a request; its answer goes to
 * v2_poll_on_answer or v2_report_on_answer, perhaps before they return.
 * V2_ERROR: nothing was started, and no answer comes. */
struct v2_panel_s {
    const char   *name;             /* value of PanelType */
    unsigned      local:1;          /* a folder; nothing goes over a network */
    unsigned      push_empty:1;     /* an empty push shows the node as alive */
    v2_int_t    (*fetch)(v2_pnode_t *n, v2_act_e act);
    v2_int_t    (*post)(v2_pnode_t *n, v2_act_e act, const char *batch,
                    const char *body, size_t len);
    /* After a crash: was this batch booked? V2_OK yes, V2_DECLINED no,
     * V2_ERROR unknown. NULL: it is never known. */
    v2_int_t    (*booked)(v2_pnode_t *n, const char *batch);
};

/* The next API after `last` (NULL: the first) that a panel on the network may
 * speak, or NULL. */
const v2_panel_t  *v2_panel_next(const v2_panel_t *last);
const v2_panel_t  *v2_panel_find(const char *name);     /* NULL: not built */

typedef struct {                    /* what all nodes share */
    v2_shm_t        *shm;
    v2_users_t      *users;
    v2_http_t       *http;
    const char      *state_dir;
    int              channel;       /* -1: the master is gone */
    int              inotify;       /* -1: none */
    unsigned         aside_errors:1;    /* PushServerError: aside */
    unsigned         ending:1;      /* nothing new but the last pushes */
} v2_pctx_t;

typedef struct {
    int              dir, push, alive;  /* -1: none */
    int              watch;         /* inotify; -1: stat each second */
    struct stat      seen[V2_ACT_FILES];    /* st_ino 0: nothing yet */
    unsigned         torn:1;        /* the last line has no end */
} v2_pfile_t;

typedef struct {                    /* kept from the last good answer */
    uint64_t         hash;          /* of its bytes; 0: none */
    char             etag[256];
} v2_pkept_t;

typedef struct {                    /* what was last logged of an action */
    uint64_t         hash;          /* 0: it works */
    uint64_t         at_ms;
} v2_ptold_t;

struct v2_pnode_s {
    v2_pctx_t         *ctx;
    const v2_panel_t  *api;         /* NULL: not found out yet */
    const v2_panel_t  *trying;      /* while it is found out */
    char               tried[160];  /* what the first one tried said */
    v2_node_conf_t     conf;        /* own copy */
    uint32_t           conf_index, slot, panel;     /* slot V2_NONE: none yet */
    uint64_t           identity;
    char               node_type[16];   /* for the query; "" = not known */
    v2_logctx_t        log;
    v2_ptold_t         told[V2_ACTS], refused, warned;

    /* poll */
    v2_act_e           act;
    uint64_t           poll_due;    /* ms */
    uint64_t           poll_base;   /* of the fixed rate; 0: not set */
    uint32_t           fails;
    v2_pkept_t         config, list;
    v2_spec_t          spec;        /* last good one */
    v2_alive_map_t     alive_map;
    unsigned           polling:1;
    unsigned           restart:1;   /* drop the answer, poll anew */
    unsigned           poll_failed:1;
    unsigned           has_spec:1;
    unsigned           users_in:1;
    unsigned           told_spec:1; /* the master has it */
    unsigned           spec_failed:1;   /* tell it again at the next poll */
    unsigned           leaving:1;
    unsigned           told_down:1;
    unsigned           in_conf:1;

    /* report */
    v2_act_e           report_act;
    uint64_t           push_due;    /* ms; 0: not set */
    uint64_t           remains_due; /* ms; users were removed; 0: none */
    uint32_t           alive_since; /* s */
    v2_online_t        online;      /* users in the last accepted report */
    v2_online_t        next_online; /* and in the one under way */
    char              *alive_body;  /* to be posted after the push */
    size_t             alive_len;
    unsigned           reporting:1;
    unsigned           batch_open:1;

    v2_pfile_t         file;
};

#define v2_pnode_local(n)   ((n)->api != NULL && (n)->api->local)

/* --- v2_panel_node.c --- */

/* dir, push, alive become the node's. NULL: logged, they are closed. */
v2_pnode_t  *v2_pnode_create(v2_pctx_t *ctx, const v2_node_conf_t *conf,
    uint32_t index, const int files[3]);
void         v2_pnode_destroy(v2_pnode_t *n);
/* The node in a new config; dir, push, alive (-1: none) replace the old. */
void         v2_pnode_update(v2_pnode_t *n, const v2_node_conf_t *conf,
    uint32_t index, const int files[3]);
/* The node is no longer in the config, or refused there. */
void         v2_pnode_leave(v2_pnode_t *n);
/* Does what is due. */
void         v2_pnode_run(v2_pnode_t *n);
uint64_t     v2_pnode_due(const v2_pnode_t *n);     /* ms */

/* GET, or POST when body is set, of an HTTP panel. */
v2_int_t     v2_pnode_http(v2_pnode_t *n, v2_act_e act, const char *url,
    const char *batch, const char *body, size_t len);
/* The panel told the node's type: it goes into queries and into the tag. */
void         v2_pnode_typed(v2_pnode_t *n, const char *type);
/* The next time of a fixed rate of `every` seconds after `due`. */
uint64_t     v2_pnode_next(uint64_t due, uint32_t every_s);

/* One err line when an action begins to fail, again when the reason changes
 * and every five minutes; one notice when it works again. `a`: what came, for
 * status, message and advice; NULL: why says all. */
void         v2_pnode_failed(v2_pnode_t *n, v2_act_e act,
    const v2_answer_t *a, const char *why);
void         v2_pnode_works(v2_pnode_t *n, v2_act_e act);
/* 1: this text is new (or old enough) for `t`. */
int          v2_pnode_tell(v2_ptold_t *t, const char *text);

/* --- v2_panel_poll.c --- */

void         v2_poll_start(v2_pnode_t *n);
void         v2_poll_on_answer(void *owner, v2_answer_t *a);
/* Sends the spec to the master when it is due and was not. */
void         v2_poll_tell(v2_pnode_t *n);

/* --- v2_panel_report.c --- */

typedef enum {
    V2_OUTCOME_UNSENT, V2_OUTCOME_REFUSED, V2_OUTCOME_BOOKED,
    V2_OUTCOME_UNKNOWN
} v2_outcome_e;

/* aside_errors: 500 to 503 count as unknown. */
v2_outcome_e v2_report_outcome(const v2_answer_t *a, int aside_errors);
/* Pushes what is owed (all: whatever the least amount) and then, with alive,
 * who is online. Does nothing while a report is open. */
void         v2_report_start(v2_pnode_t *n, int all, int alive);
void         v2_report_on_answer(void *owner, v2_answer_t *a);
/* The process ends: what could not be pushed is set aside. */
void         v2_report_end(v2_pnode_t *n);

/* --- v2_panel_aside.c --- */

/* Writes the open batch of the slot to StateDir/aside/ID.json, with one crit
 * line. The caller settles. n NULL: a slot without a node. */
void         v2_aside_write(v2_pctx_t *ctx, const v2_pnode_t *n,
    uint32_t slot, const char *why);
/* Slots whose node is in no config any more: what they owe is set aside. */
void         v2_aside_orphan(v2_pctx_t *ctx, uint32_t slot);

/* --- v2_panel_folder.c --- */

#define V2_PFILE_NAME   32

void         v2_pfile_open(v2_pnode_t *n);      /* what was not passed */
void         v2_pfile_done(v2_pnode_t *n);
void         v2_pfile_name(const v2_pnode_t *n, v2_act_e act,
    char out[V2_PFILE_NAME]);
void         v2_pfile_forget(v2_pnode_t *n, v2_act_e act);  /* read it anew */
/* Reads the events of ctx->inotify; files of nodes that changed are due. */
void         v2_pfile_events(v2_pctx_t *ctx, v2_pnode_t *const *nodes,
    uint32_t nodes_n);

#endif
