/* A node of the config in the panel process: its life, its timers, and what is
 * said when something of it fails.
 *
 * Invariants
 *  1. conf is the node's own copy: no reload pulls it away from a request.
 *  2. A node without a slot asks for nothing: there is no place for its users.
 *  3. Poll and push times are a fixed rate, each node at its own offset, so
 *     that fifty nodes do not ask in the same second.
 *  4. No line holds a token, key or UUID. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_flat.h"
#include "v2_time.h"
#include "v2_panel_json.h"
#include "v2_panel_node.h"
#include "v2_panel_text.h"

#include <unistd.h>

#define V2_PNODE_AGAIN_MS   300000  /* a failure that lasts is said again */
#define V2_PNODE_SLOT_MS    1000
#define V2_PNODE_END_S      5       /* a request while the process ends */


static v2_int_t v2_pnode_copy(v2_node_conf_t *to,
    const v2_node_conf_t *from);
static void v2_pnode_free_conf(v2_node_conf_t *c);
static void v2_pnode_take_conf(v2_pnode_t *n, uint32_t index,
    const int files[3]);
static const v2_panel_t *v2_pnode_api(const v2_pnode_t *n);
static void v2_pnode_restart(v2_pnode_t *n);
static v2_int_t v2_pnode_slot(v2_pnode_t *n);
static int v2_pnode_owns(const v2_pnode_t *n, uint32_t slot);
static const char *v2_pnode_advice(const v2_pnode_t *n,
    const v2_answer_t *a, const char *message);
static size_t v2_pnode_tail(const void *owner, char *out, size_t room);


static const char *const  v2_pnode_actions[V2_ACTS] = {
    [V2_ACT_CONFIG]    = "getting the node's config",
    [V2_ACT_USERS]     = "getting the users",
    [V2_ACT_ALIVELIST] = "getting the alive list",
    [V2_ACT_PUSH]      = "pushing traffic",
    [V2_ACT_ALIVE]     = "reporting who is online"
};


const v2_panel_t *
v2_panel_next(const v2_panel_t *last)
{
    size_t    i;
    unsigned  passed;

    passed = (last == NULL);

    for (i = 0; v2_panels[i] != NULL; i++) {

        if (passed && !v2_panels[i]->local) {
            return v2_panels[i];
        }

        passed |= (v2_panels[i] == last);
    }

    return NULL;
}


const v2_panel_t *
v2_panel_find(const char *name)
{
    size_t  i;

    for (i = 0; v2_panels[i] != NULL; i++) {
        if (strcmp(v2_panels[i]->name, name) == 0) {
            return v2_panels[i];
        }
    }

    return NULL;
}


v2_pnode_t *
v2_pnode_create(v2_pctx_t *ctx, const v2_node_conf_t *conf, uint32_t index,
    const int files[3])
{
    v2_pnode_t  *n;

    n = calloc(1, sizeof(*n));

    if (n == NULL || v2_pnode_copy(&n->conf, conf) != V2_OK) {
        v2_log(V2_LOG_ERR, NULL, ENOMEM, "malloc() failed, node: \"%s\"",
               conf->tag);
        free(n);
        return NULL;
    }

    n->ctx = ctx;
    n->slot = V2_NONE;
    n->panel = v2_panel_identity(conf);
    n->identity = v2_node_identity(conf);
    n->log.tail = v2_pnode_tail;
    n->log.owner = n;
    n->file.dir = n->file.push = n->file.alive = n->file.watch = -1;
    n->alive_since = v2_now_s();

    v2_pnode_take_conf(n, index, files);
    v2_pnode_restart(n);

    return n;
}


void
v2_pnode_destroy(v2_pnode_t *n)
{
    v2_http_cancel(n->ctx->http, n);
    v2_pfile_done(n);
    v2_pnode_free_conf(&n->conf);
    free(n->alive_map.list);
    free(n->online.user);
    free(n->next_online.user);
    free(n->alive_body);
    free(n);
}


void
v2_pnode_update(v2_pnode_t *n, const v2_node_conf_t *conf, uint32_t index,
    const int files[3])
{
    unsigned        again;
    v2_node_conf_t  old;

    old = n->conf;

    if (v2_pnode_copy(&n->conf, conf) != V2_OK) {
        v2_log(V2_LOG_ERR, &n->log, ENOMEM, "malloc() failed");
        n->conf = old;
        return;
    }

    again = strcmp(old.api_host, n->conf.api_host) != 0
            || strcmp(old.panel_type, n->conf.panel_type) != 0
            || strcmp(old.node_type, n->conf.node_type) != 0;

    v2_pnode_free_conf(&old);
    v2_pnode_take_conf(n, index, files);

    if (n->leaving) {
        n->leaving = 0;
        n->slot = V2_NONE;
        n->push_due = n->remains_due = 0;
        again = 1;
    }

    if (again) {
        v2_pnode_restart(n);

    } else if (!n->has_spec || n->fails != 0) {
        n->poll_due = v2_now_ms();
    }

    memset(n->told, 0, sizeof(n->told));
    memset(&n->refused, 0, sizeof(n->refused));
}


void
v2_pnode_leave(v2_pnode_t *n)
{
    if (n->leaving) {
        return;
    }

    n->leaving = 1;
    n->told_down = 0;
    n->told_spec = 0;
    n->users_in = 0;

    if (n->slot != V2_NONE) {
        v2_users_node_close(n->ctx->users, n->slot);
        n->remains_due = v2_now_ms() + 2000;
    }
}


void
v2_pnode_run(v2_pnode_t *n)
{
    uint64_t  now;

    now = v2_now_ms();

    if (n->slot == V2_NONE && !n->leaving && now >= n->poll_due
        && v2_pnode_slot(n) != V2_OK)
    {
        n->poll_due = now + V2_PNODE_SLOT_MS;
        return;
    }

    if (n->slot == V2_NONE) {
        return;
    }

    if (!n->leaving && !n->polling && now >= n->poll_due) {
        v2_poll_start(n);
    }

    if (n->reporting || n->api == NULL) {
        return;
    }

    if (n->push_due != 0 && now >= n->push_due) {
        n->push_due = v2_pnode_next(n->push_due, n->spec.push_s);
        n->remains_due = 0;
        v2_report_start(n, n->leaving, !n->leaving);

    } else if (n->remains_due != 0 && now >= n->remains_due) {
        n->remains_due = 0;
        v2_report_start(n, n->leaving, 0);
    }
}


uint64_t
v2_pnode_due(const v2_pnode_t *n)
{
    uint64_t  due;

    due = UINT64_MAX;

    if (!n->leaving && !n->polling) {
        due = n->poll_due;
    }

    if (!n->reporting && n->api != NULL) {
        due = (n->push_due != 0) ? v2_min(due, n->push_due) : due;
        due = (n->remains_due != 0) ? v2_min(due, n->remains_due) : due;
    }

    return due;
}


v2_int_t
v2_pnode_http(v2_pnode_t *n, v2_act_e act, const char *url,
    const char *batch, const char *body, size_t len)
{
    v2_http_req_t  req;

    static const size_t  limits[V2_ACTS] = {
        V2_CONFIG_MAX, V2_USERS_MAX, V2_ALIVE_MAX, V2_PUSHED_MAX,
        V2_PUSHED_MAX
    };

    memset(&req, 0, sizeof(req));
    req.url = url;
    req.secret = n->conf.api_key;
    req.send_ip = n->conf.api_send_ip;
    req.timeout_s = n->conf.timeout_s;
    req.limit = limits[act];
    req.owner = n;
    req.done = (body != NULL) ? v2_report_on_answer : v2_poll_on_answer;
    req.body = body;
    req.len = len;
    req.batch = batch;

    if (n->ctx->ending) {
        req.timeout_s = v2_min(req.timeout_s, V2_PNODE_END_S);
    }

    if (act == V2_ACT_CONFIG) {
        req.etag = n->config.etag;

    } else if (act == V2_ACT_USERS) {
        req.etag = n->list.etag;
    }

    return v2_http_send(n->ctx->http, &req);
}


void
v2_pnode_typed(v2_pnode_t *n, const char *type)
{
    char  *tag;

    if (n->node_type[0] != '\0') {
        return;
    }

    (void) snprintf(n->node_type, sizeof(n->node_type), "%s", type);

    if (n->conf.name[0] == '\0'
        && asprintf(&tag, "[%s]-%s:%u", n->conf.api_host, type,
                    n->conf.node_id) != -1)
    {
        free(n->conf.tag);
        n->conf.tag = tag;
    }
}


uint64_t
v2_pnode_next(uint64_t due, uint32_t every_s)
{
    uint64_t  every, now;

    every = (uint64_t) every_s * 1000;
    now = v2_now_ms();

    if (due + every > now) {
        return due + every;
    }

    return due + (1 + (now - due) / every) * every;
}


void
v2_pnode_failed(v2_pnode_t *n, v2_act_e act, const v2_answer_t *a,
    const char *why)
{
    char      line[768], message[160], what[256];
    unsigned  level;

    what[0] = message[0] = '\0';

    if (a != NULL && a->failed) {
        (void) snprintf(what, sizeof(what), "%s, ", a->error);

    } else if (a != NULL) {
        v2_json_message(a->body, v2_min(a->len, V2_PUSHED_MAX),
                        n->conf.api_key, message, sizeof(message));
        (void) snprintf(what, sizeof(what), "status %u%s%s%s, ", a->status,
                        message[0] ? " \"" : "", message,
                        message[0] ? "\"" : "");
    }

    (void) snprintf(line, sizeof(line), "%s failed: %s%s%s",
                    v2_pnode_actions[act], what, why,
                    (a != NULL) ? v2_pnode_advice(n, a, message) : "");

    if (!v2_pnode_tell(&n->told[act], line)) {
        return;
    }

    level = (v2_pnode_local(n) || act == V2_ACT_ALIVELIST
             || act == V2_ACT_ALIVE) ? V2_LOG_WARN : V2_LOG_ERR;

    v2_log(level, &n->log, 0, "%s", line);
}


void
v2_pnode_works(v2_pnode_t *n, v2_act_e act)
{
    if (n->told[act].hash != 0) {
        n->told[act].hash = 0;
        v2_log(V2_LOG_NOTICE, &n->log, 0, "%s works again",
               v2_pnode_actions[act]);
    }
}


int
v2_pnode_tell(v2_ptold_t *t, const char *text)
{
    uint64_t  h, now;

    h = v2_hash64(text, strlen(text), 1) | 1;
    now = v2_now_ms();

    if (t->hash == h && now < t->at_ms + V2_PNODE_AGAIN_MS) {
        return 0;
    }

    t->hash = h;
    t->at_ms = now;
    return 1;
}


static v2_int_t
v2_pnode_copy(v2_node_conf_t *to, const v2_node_conf_t *from)
{
    memset(to, 0, sizeof(*to));

    to->name = strdup(from->name ? from->name : "");
    to->tag = strdup(from->tag);
    to->panel_type = strdup(from->panel_type ? from->panel_type : "auto");
    to->api_host = strdup(from->api_host ? from->api_host : "");
    to->api_key = strdup(from->api_key ? from->api_key : "");
    to->api_send_ip = strdup(from->api_send_ip ? from->api_send_ip : "");
    to->node_type = strdup(from->node_type ? from->node_type : "");
    to->node_id = from->node_id;
    to->timeout_s = from->timeout_s;
    to->device_online_min_kb = from->device_online_min_kb;
    to->report_min_kb = from->report_min_kb;

    if (to->name == NULL || to->tag == NULL || to->panel_type == NULL
        || to->api_host == NULL || to->api_key == NULL
        || to->api_send_ip == NULL || to->node_type == NULL)
    {
        v2_pnode_free_conf(to);
        return V2_ERROR;
    }

    return V2_OK;
}


static void
v2_pnode_free_conf(v2_node_conf_t *c)
{
    free(c->name);
    free(c->tag);
    free(c->panel_type);
    free(c->api_host);
    free(c->api_key);
    free(c->api_send_ip);
    free(c->node_type);
    memset(c, 0, sizeof(*c));
}


static void
v2_pnode_take_conf(v2_pnode_t *n, uint32_t index, const int files[3])
{
    n->conf_index = index;

    if (files[0] != -1 || files[1] != -1 || files[2] != -1) {
        v2_pfile_done(n);
        n->file.dir = files[0];
        n->file.push = files[1];
        n->file.alive = files[2];
        v2_pfile_forget(n, V2_ACT_CONFIG);
        v2_pfile_forget(n, V2_ACT_USERS);
        v2_pfile_forget(n, V2_ACT_ALIVELIST);
    }

    if (v2_node_dir(&n->conf) != NULL) {
        v2_pfile_open(n);
    }
}


/* The API that the config names; NULL: auto. */
static const v2_panel_t *
v2_pnode_api(const v2_pnode_t *n)
{
    return v2_panel_find((v2_node_dir(&n->conf) != NULL) ? "file"
                         : n->conf.panel_type);
}


/* Asks for everything anew. */
static void
v2_pnode_restart(v2_pnode_t *n)
{
    n->restart = n->polling;        /* the answer under way is not for us */
    n->api = v2_pnode_api(n);
    n->trying = NULL;
    n->fails = 0;
    n->poll_due = v2_now_ms();
    n->spec_failed = n->has_spec;
    v2_pfile_forget(n, V2_ACT_CONFIG);
    v2_pfile_forget(n, V2_ACT_USERS);
    memset(&n->config, 0, sizeof(n->config));
    memset(&n->list, 0, sizeof(n->list));
    (void) snprintf(n->node_type, sizeof(n->node_type), "%s",
                    n->conf.node_type);
}


/* The slot in which this node was before, or a free one, if possible that of
 * its place in the config. */
static v2_int_t
v2_pnode_slot(v2_pnode_t *n)
{
    uint32_t             i, slot, free_slot;
    const v2_shm_node_t  *s;

    slot = free_slot = V2_NONE;

    for (i = 0; i < V2_SHM_NODES; i++) {
        s = &n->ctx->shm->nodes[i];

        if (atomic_load(&s->state) == V2_REC_FREE) {
            if (free_slot == V2_NONE || i == n->conf_index) {
                free_slot = i;
            }

        } else if (v2_pnode_owns(n, i)) {
            slot = i;
        }
    }

    slot = (slot != V2_NONE) ? slot : free_slot;

    if (slot == V2_NONE) {
        v2_pnode_failed(n, V2_ACT_CONFIG, NULL, "all node slots are taken");
        return V2_ERROR;
    }

    if (v2_users_node(n->ctx->users, slot, n->identity, n->conf.node_id)
        != V2_OK)
    {
        v2_pnode_failed(n, V2_ACT_CONFIG, NULL, "the node waits until its "
                        "slot is free");
        return V2_ERROR;
    }

    n->slot = slot;
    return V2_OK;
}


static int
v2_pnode_owns(const v2_pnode_t *n, uint32_t slot)
{
    return n->ctx->shm->nodes[slot].name_hash == n->identity;
}


static const char *
v2_pnode_advice(const v2_pnode_t *n, const v2_answer_t *a,
    const char *message)
{
    if (v2_pnode_local(n)) {
        return "";
    }

    if (a->tls) {
        return ", check the panel's certificate and this host's clock";
    }

    if (a->status == 0) {
        return ", check that the panel is up and ApiHost is right";
    }

    if (a->status == 401 || a->status == 403 || a->status == 422
        || strcasestr(message, "token") != NULL)
    {
        return ", check ApiKey";
    }

    if (a->status == 400 || a->status == 404
        || strcasestr(message, "exist") != NULL)
    {
        return ", check NodeID, NodeType and ApiHost";
    }

    if (a->status < 400) {
        return ", check ApiHost and PanelType";
    }

    return ", check the panel's own log";
}


static size_t
v2_pnode_tail(const void *owner, char *out, size_t room)
{
    int                n;
    const v2_pnode_t  *node = owner;

    n = snprintf(out, room, ", node: \"%s\"", node->conf.tag);

    return (n < 0) ? 0 : v2_min((size_t) n, room - 1);
}
