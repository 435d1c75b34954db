/* The poll round of a node: config, user list, alive list; which API a panel
 * speaks; and what the master is told of it.
 *
 *   CONFIG -> USERS -> ALIVELIST -> wait pull_interval
 *      |         |          `---- a failure is said, no more
 *      `---------`---- a failure: once more after a growing, random time
 *
 * Invariants
 *  1. An ETag and a hash are kept only of what was applied.
 *  2. A spec is replaced by a good one and by nothing else.
 *  3. The master hears of a node when its users are in shared memory, never
 *     before: a port that is open knows whom to let in. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_channel.h"
#include "v2_flat.h"
#include "v2_time.h"
#include "v2_panel_json.h"
#include "v2_panel_node.h"

#include <sys/random.h>
#include <unistd.h>

#define V2_POLL_BACKOFF_S   60      /* the longest time between two tries */
#define V2_POLL_REMAINS_MS  2000    /* from a removal to the push of its rest */
#define V2_POLL_STAT_MS     1000


static void v2_poll_fetch(v2_pnode_t *n, v2_act_e act);
static void v2_poll_config(v2_pnode_t *n, v2_answer_t *a);
static int v2_poll_try_next(v2_pnode_t *n, const v2_answer_t *a,
    const char *why);
static void v2_poll_settled(v2_pnode_t *n, const v2_config_answer_t *c);
static void v2_poll_take(v2_pnode_t *n, const v2_config_answer_t *c);
static void v2_poll_unchanged(v2_pnode_t *n);
static void v2_poll_after_config(v2_pnode_t *n);
static void v2_poll_users(v2_pnode_t *n, v2_answer_t *a);
static v2_int_t v2_poll_apply(v2_pnode_t *n, v2_answer_t *a);
static void v2_poll_say_users(v2_pnode_t *n, const v2_users_answer_t *u);
static void v2_poll_alive(v2_pnode_t *n, v2_answer_t *a);
static int v2_poll_known(const v2_pkept_t *k, const v2_answer_t *a);
static void v2_poll_keep(v2_pkept_t *k, const v2_answer_t *a);
static void v2_poll_fail(v2_pnode_t *n, const v2_answer_t *a,
    const char *why);
static void v2_poll_end(v2_pnode_t *n);
static uint64_t v2_poll_backoff(const v2_pnode_t *n);
static uint64_t v2_poll_offset(const v2_pnode_t *n, uint32_t every_s,
    unsigned shift);


void
v2_poll_start(v2_pnode_t *n)
{
    n->polling = 1;
    n->poll_failed = 0;

    if (n->api == NULL) {
        n->trying = v2_panel_next(NULL);
        n->tried[0] = '\0';
    }

    v2_poll_fetch(n, V2_ACT_CONFIG);
}


void
v2_poll_on_answer(void *owner, v2_answer_t *a)
{
    v2_pnode_t  *n = owner;

    if (n->ctx->ending || n->leaving || n->restart) {
        n->polling = 0;
        n->restart = 0;
        return;
    }

    switch (n->act) {

    case V2_ACT_CONFIG:
        v2_poll_config(n, a);
        return;

    case V2_ACT_USERS:
        v2_poll_users(n, a);
        return;

    default:
        v2_poll_alive(n, a);
        return;
    }
}


void
v2_poll_tell(v2_pnode_t *n)
{
    int         fd;
    v2_msg_t    m;
    v2_spec_t   spec;

    if (n->told_spec || !n->has_spec || !n->users_in || n->leaving
        || n->ctx->channel == -1)
    {
        return;
    }

    spec = n->spec;                 /* sealed as it is written */
    spec.node = n->slot;
    spec.node_id = n->conf.node_id;
    spec.conf_index = n->conf_index;
    spec.identity = n->identity;

    fd = v2_spec_write(&spec);
    if (fd == -1) {
        return;
    }

    memset(&m, 0, sizeof(m));
    m.type = V2_MSG_SPEC;
    m.node = n->slot;
    m.fds_n = 1;

    n->told_spec = (v2_channel_send(n->ctx->channel, &m, &fd) == V2_OK);

    (void) close(fd);
}


static void
v2_poll_fetch(v2_pnode_t *n, v2_act_e act)
{
    const v2_panel_t  *api;

    api = (n->api != NULL) ? n->api : n->trying;
    n->act = act;

    if (api == NULL || api->fetch(n, act) != V2_OK) {
        v2_poll_fail(n, NULL, "the request could not be made");
        v2_poll_end(n);
    }
}


static void
v2_poll_config(v2_pnode_t *n, v2_answer_t *a)
{
    v2_int_t            rc;
    const char         *why;
    v2_config_answer_t  c;

    if (a->same && (n->config.hash != 0 || v2_pnode_local(n))) {
        v2_poll_unchanged(n);
        return;
    }

    if (a->failed || a->status != 200) {
        why = "it is asked again";

        if (a->status == 0 || !v2_poll_try_next(n, a, why)) {
            v2_poll_fail(n, a, why);
            v2_poll_after_config(n);
        }

        return;
    }

    if (v2_poll_known(&n->config, a)) {
        v2_poll_unchanged(n);
        return;
    }

    rc = v2_answer_config(a->body, a->len, &n->conf, &c);

    if (rc == V2_ERROR) {
        if (!v2_poll_try_next(n, a, c.why)) {
            v2_poll_fail(n, a, c.why);
            v2_poll_after_config(n);
        }

        return;
    }

    v2_poll_settled(n, &c);

    if (rc == V2_DECLINED) {
        if (v2_pnode_tell(&n->refused, c.why)) {
            v2_log(V2_LOG_ERR, &n->log, 0, "the node is refused%s: %s",
                   n->has_spec ? ", it goes on as it was" : "", c.why);
        }

    } else {
        n->refused.hash = 0;
        v2_poll_take(n, &c);
        v2_poll_keep(&n->config, a);
    }

    v2_poll_after_config(n);
}


/* While the API is not known: what came is no answer of the one that was
 * tried. 1: the next one is asked. */
static int
v2_poll_try_next(v2_pnode_t *n, const v2_answer_t *a, const char *why)
{
    char               message[96];
    size_t             len;
    const v2_panel_t  *next;

    next = (n->api == NULL) ? v2_panel_next(n->trying) : NULL;

    if (next == NULL) {
        return 0;
    }

    v2_json_message(a->body, v2_min(a->len, V2_PUSHED_MAX), n->conf.api_key,
                    message, sizeof(message));

    len = strlen(n->tried);
    (void) snprintf(n->tried + len, sizeof(n->tried) - len, "as %s: status "
                    "%u \"%s\"; ", n->trying->name, a->status,
                    (message[0] != '\0') ? message : why);

    n->trying = next;
    v2_poll_fetch(n, V2_ACT_CONFIG);
    return 1;
}


/* The panel understood the question: its API and the node's type are known. */
static void
v2_poll_settled(v2_pnode_t *n, const v2_config_answer_t *c)
{
    v2_pnode_typed(n, c->spec.protocol);

    if (n->api == NULL) {
        n->api = n->trying;
        v2_log(V2_LOG_NOTICE, &n->log, 0, "the panel speaks the %s API",
               n->api->name);
    }

    if (!n->has_spec) {
        n->spec.push_s = c->spec.push_s;
        n->spec.pull_s = c->spec.pull_s;
    }

    v2_pnode_works(n, V2_ACT_CONFIG);
}


static void
v2_poll_take(v2_pnode_t *n, const v2_config_answer_t *c)
{
    if (c->warn[0] == '\0') {
        n->warned.hash = 0;

    } else if (v2_pnode_tell(&n->warned, c->warn)) {
        v2_log(V2_LOG_WARN, &n->log, 0, "%s", c->warn);
    }

    if (n->has_spec && memcmp(&n->spec, &c->spec, sizeof(n->spec)) == 0) {
        return;
    }

    if (n->has_spec && strcmp(n->spec.protocol, c->spec.protocol) != 0) {
        memset(&n->list, 0, sizeof(n->list));   /* other keys: all anew */
        v2_pfile_forget(n, V2_ACT_USERS);
        n->users_in = 0;
    }

    if (n->push_due != 0 && n->spec.push_s != c->spec.push_s) {
        n->push_due = 0;
    }

    n->spec = c->spec;
    n->has_spec = 1;
    n->told_spec = 0;
}


/* As the last good one; of a file, as the last one. */
static void
v2_poll_unchanged(v2_pnode_t *n)
{
    if (!v2_pnode_local(n)) {
        n->refused.hash = 0;
        v2_pnode_works(n, V2_ACT_CONFIG);
    }

    v2_poll_after_config(n);
}


static void
v2_poll_after_config(v2_pnode_t *n)
{
    if (n->has_spec && n->api != NULL) {
        v2_poll_fetch(n, V2_ACT_USERS);
        return;
    }

    v2_poll_end(n);
}


static void
v2_poll_users(v2_pnode_t *n, v2_answer_t *a)
{
    if (a->same && v2_pnode_local(n)) {
        /* nothing new in the file */

    } else if (a->same && n->list.hash != 0) {
        v2_pnode_works(n, V2_ACT_USERS);

    } else if (a->failed || a->status != 200) {
        v2_poll_fail(n, a, "it is asked again");
        if (a->status == 0 && !v2_pnode_local(n)) {
            v2_poll_end(n);
            return;
        }

    } else if (v2_poll_known(&n->list, a)) {
        v2_pnode_works(n, V2_ACT_USERS);

    } else if (v2_poll_apply(n, a) == V2_OK) {
        v2_pnode_works(n, V2_ACT_USERS);
        v2_poll_keep(&n->list, a);
    }

    if (n->spec_failed) {
        n->spec_failed = 0;
        n->told_spec = 0;
    }

    if (n->users_in && n->push_due == 0) {
        n->push_due = v2_now_ms() + v2_poll_offset(n, n->spec.push_s, 8);
    }

    v2_poll_tell(n);
    v2_poll_fetch(n, V2_ACT_ALIVELIST);
}


static v2_int_t
v2_poll_apply(v2_pnode_t *n, v2_answer_t *a)
{
    v2_int_t           rc;
    v2_users_answer_t  u;

    rc = v2_answer_users(a->body, a->len, &n->spec, n->slot, n->panel,
                         n->ctx->users, &u);

    if (rc == V2_AGAIN) {
        v2_pfile_forget(n, V2_ACT_USERS);
        v2_poll_fail(n, NULL, u.why);
        return rc;
    }

    if (rc != V2_OK) {
        v2_poll_fail(n, a, u.why);
        return rc;
    }

    if (!n->users_in) {
        n->users_in = 1;
        n->alive_since = v2_now_s();
    }

    if (u.stat.removed != 0 && n->remains_due == 0) {
        n->remains_due = v2_now_ms() + V2_POLL_REMAINS_MS;
    }

    v2_poll_say_users(n, &u);
    return V2_OK;
}


static void
v2_poll_say_users(v2_pnode_t *n, const v2_users_answer_t *u)
{
    if (u->stat.added + u->stat.removed + u->stat.changed != 0
        || u->stat.total == 0)
    {
        v2_log(V2_LOG_NOTICE, &n->log, 0, "%u users: %u added, %u removed, %u "
               "changed", u->stat.total, u->stat.added, u->stat.removed,
               u->stat.changed);
    }

    if (u->skipped + u->stat.refused != 0) {
        v2_log(V2_LOG_WARN, &n->log, 0, "%u of %u entries of the user list "
               "are left out%s%s", u->skipped + u->stat.refused, u->entries,
               u->skipped ? ", the first: " : ": their uuid is another user's",
               u->first);
    }

    if (u->limited != 0) {
        v2_log(V2_LOG_WARN, &n->log, 0, "device and connection limits are not "
               "enforced by this version, %u users have one", u->limited);
    }
}


static void
v2_poll_alive(v2_pnode_t *n, v2_answer_t *a)
{
    char  why[V2_ANSWER_WHY];

    if (a->failed || a->status != 200) {
        if (!a->same) {
            v2_pnode_failed(n, V2_ACT_ALIVELIST, a, "the counts of last time "
                            "are kept");
        }

    } else if (v2_answer_alive(a->body, a->len, &n->alive_map, why,
                               sizeof(why)) != V2_OK)
    {
        v2_pnode_failed(n, V2_ACT_ALIVELIST, a, why);

    } else {
        v2_pnode_works(n, V2_ACT_ALIVELIST);
    }

    v2_poll_end(n);
}


static int
v2_poll_known(const v2_pkept_t *k, const v2_answer_t *a)
{
    return k->hash != 0 && k->hash == (v2_hash64(a->body, a->len, 0) | 1);
}


static void
v2_poll_keep(v2_pkept_t *k, const v2_answer_t *a)
{
    k->hash = v2_hash64(a->body, a->len, 0) | 1;
    memcpy(k->etag, a->etag, sizeof(k->etag));
}


static void
v2_poll_fail(v2_pnode_t *n, const v2_answer_t *a, const char *why)
{
    char  text[V2_ANSWER_WHY + 256];

    n->poll_failed = 1;

    if (n->api == NULL && n->tried[0] != '\0') {
        (void) snprintf(text, sizeof(text), "%sas %s: %.*s", n->tried,
                        n->trying->name, V2_ANSWER_WHY - 1, why);
        why = text;
    }

    if (v2_pnode_local(n) && a != NULL && !a->failed) {
        (void) snprintf(text, sizeof(text), "%.*s, the last good content is "
                        "kept", V2_ANSWER_WHY - 1, why);
        why = text;
        a = NULL;
    }

    v2_pnode_failed(n, n->act, a, why);
}


static void
v2_poll_end(v2_pnode_t *n)
{
    uint64_t  now;

    now = v2_now_ms();
    n->polling = 0;

    if (n->spec.pull_s == 0) {
        n->spec.pull_s = n->spec.push_s = V2_POLL_BACKOFF_S;
    }

    if (n->poll_failed) {
        n->poll_due = now + v2_poll_backoff(n);
        n->fails++;

    } else if (n->fails != 0 || n->poll_base == 0) {
        n->fails = 0;
        n->poll_base = now + v2_poll_offset(n, n->spec.pull_s, 0);
        n->poll_due = n->poll_base;

    } else {
        n->poll_base = v2_pnode_next(n->poll_base, n->spec.pull_s);
        n->poll_due = n->poll_base;
    }

    if (v2_pnode_local(n) && n->file.watch == -1) {
        n->poll_due = v2_min(n->poll_due, now + V2_POLL_STAT_MS);
    }
}


/* 1, 2, 4 ... s, a quarter more or less, not beyond the pull interval. */
static uint64_t
v2_poll_backoff(const v2_pnode_t *n)
{
    uint32_t  r, most, s;

    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r)) {
        r = 0;
    }

    most = n->has_spec ? v2_min(n->spec.pull_s, V2_POLL_BACKOFF_S)
                       : V2_POLL_BACKOFF_S;
    s = (n->fails < 6) ? v2_min(1u << n->fails, most) : most;

    return s * 750 + r % (s * 500);
}


/* The first wait of a fixed rate: half of it to all of it, each node its
 * own. */
static uint64_t
v2_poll_offset(const v2_pnode_t *n, uint32_t every_s, unsigned shift)
{
    uint64_t  half;

    half = (uint64_t) every_s * 500;

    return half + (n->identity >> shift) % half;
}
