/* Nodes as the master sees them: specs, addresses, certificates. See
 * v2_master.h.
 *
 * A node that serves goes on with its last good spec and socket when a new
 * one cannot be used; `bad` remembers that the builder refused the new one,
 * until it is tried again. A spec is unmapped when none of spec, used and
 * trying is it. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_master.h"
#include "v2_log.h"
#include "v2_panel.h"
#include "v2_time.h"

#include <unistd.h>

static const v2_node_conf_t *v2_node_conf(const v2_conf_t *conf,
    const v2_spec_t *spec);
static v2_int_t v2_node_try(v2_master_t *m, uint32_t slot,
    const v2_spec_t *spec, const v2_node_conf_t *nc, v2_addr_t *addr,
    char *why, size_t size);
static void v2_node_failed(v2_master_t *m, uint32_t slot, const char *why,
    int goes_on);
static v2_int_t v2_node_address(v2_master_t *m, uint32_t slot,
    const v2_spec_t *spec, const v2_node_conf_t *nc, v2_addr_t *addr,
    char *why, size_t size);
static v2_int_t v2_node_taken(const v2_master_t *m, const v2_addr_t *addr,
    const v2_spec_t *spec, int *ours, char *why, size_t size);
static v2_int_t v2_node_pair(v2_master_t *m, uint32_t slot,
    const v2_spec_t *spec, const v2_node_conf_t *nc, char *why, size_t size);
static int v2_node_needs_pair(const v2_spec_t *spec,
    const v2_node_conf_t *nc);
static int v2_node_settle(v2_master_t *m, uint32_t slot);
static int v2_node_close(v2_master_t *m, uint32_t slot);
static void v2_node_unlisten(v2_listener_t **l);
static void v2_node_spec_set(v2_mnode_t *n, const v2_spec_t **place,
    const v2_spec_t *spec);


void
v2_node_spec(v2_master_t *m, uint32_t slot, const v2_spec_t *spec)
{
    v2_mnode_t  *n;

    n = &m->nodes[slot];
    n->bad = 0;

    /* a new panel process tells what is known */

    if (n->open && n->spec != NULL && n->spec == n->used
        && n->spec->size == spec->size
        && memcmp(n->spec, spec, spec->size) == 0)
    {
        v2_spec_close(spec);
        v2_mpanel_tell(m, V2_MSG_NODE_OPEN, slot, "");
        return;
    }

    v2_node_spec_set(n, &n->spec, spec);
    v2_image_want(m, n->open ? V2_WANT_PANEL : V2_WANT_NOW);
}


void
v2_node_down(v2_master_t *m, uint32_t slot)
{
    v2_mnode_t  *n;

    n = &m->nodes[slot];

    if (n->spec == NULL) {
        return;
    }

    v2_node_spec_set(n, &n->spec, NULL);
    n->told[0] = '\0';
    v2_image_want(m, V2_WANT_NOW);
}


void
v2_node_pick(v2_master_t *m, const v2_conf_t *conf)
{
    int                     goes_on;
    char                    why[200], again[200];
    uint32_t                slot;
    v2_mnode_t             *n;
    const v2_spec_t        *spec;
    v2_builder_node_t      *bn;
    const v2_node_conf_t   *nc;

    m->job.nodes_n = 0;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];
        n->picked = n->built = n->fresh_ok = 0;

        if (n->spec == NULL) {
            continue;
        }

        spec = n->bad && n->used != NULL ? n->used : n->spec;
        nc = v2_node_conf(conf, spec);

        if (nc == NULL || nc->refused != NULL) {
            continue;
        }

        bn = &m->job.nodes[m->job.nodes_n];

        if (v2_node_try(m, slot, spec, nc, &bn->listen, why, sizeof(why))
            != V2_OK)
        {
            goes_on = n->used != NULL && n->used != spec
                      && v2_node_try(m, slot, n->used, nc, &bn->listen, again,
                                     sizeof(again)) == V2_OK;
            v2_node_failed(m, slot, why, goes_on);

            if (!goes_on) {
                continue;
            }

            spec = n->used;
        }

        bn->slot = slot;
        bn->spec = spec;
        bn->conf = nc;
        bn->fresh = &n->fresh;
        bn->good = &n->good;
        v2_node_spec_set(n, &n->trying, spec);
        n->picked = 1;
        m->job.nodes_n++;
    }
}


void
v2_node_answer(v2_master_t *m, const v2_msg_t *msg)
{
    v2_mnode_t  *n;

    n = &m->nodes[msg->node];

    if (msg->type == V2_MSG_NODE_FAILED) {
        v2_node_failed(m, msg->node, msg->text,
                       n->used != NULL && n->used != n->trying);
        return;
    }

    n->built = 1;
    n->fresh_ok = msg->arg != 0;

    if (n->fresh.cert != -1) {
        n->cert_bad = !n->fresh_ok;
    }
}


/* An address that became free may be what another node waits for. */

void
v2_node_commit(v2_master_t *m)
{
    int          freed, waits;
    uint32_t     slot;
    v2_mnode_t  *n;

    freed = waits = 0;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];

        if (n->picked && n->built) {
            freed |= v2_node_settle(m, slot);
            continue;
        }

        freed |= v2_node_close(m, slot);
        waits |= n->spec != NULL;
    }

    if (freed && waits) {
        v2_image_want(m, V2_WANT_NOW);
    }
}


int
v2_node_refused(v2_master_t *m)
{
    int          refused;
    uint32_t     slot;
    v2_mnode_t  *n;

    refused = 0;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];

        if (n->picked && !n->built && n->used != NULL
            && n->trying != n->used)
        {
            n->bad = n->spec == n->trying;
            refused = 1;
        }
    }

    return refused;
}


int
v2_node_changed(const v2_master_t *m, int built)
{
    uint32_t           slot;
    const v2_mnode_t  *n;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];

        if (!n->picked || (built && !n->built)) {

            if (n->open) {
                return 1;
            }

            continue;
        }

        if (!n->open || n->opened != NULL || n->trying != n->used
            || (built ? n->fresh_ok : n->fresh.cert != -1))
        {
            return 1;
        }
    }

    return 0;
}


void
v2_node_drop(v2_master_t *m)
{
    uint32_t     slot;
    v2_mnode_t  *n;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];

        v2_node_unlisten(&n->opened);
        v2_pair_close(&n->fresh);
        v2_node_spec_set(n, &n->trying, NULL);
        n->picked = n->built = 0;
    }
}


int
v2_node_watch(v2_master_t *m)
{
    int                     changed;
    uint32_t                slot;
    v2_mnode_t             *n;
    const v2_node_conf_t   *nc;

    changed = 0;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];

        if (n->spec == NULL || (nc = v2_node_conf(m->conf, n->spec)) == NULL
            || !v2_node_needs_pair(n->spec, nc) || nc->cert_file[0] == '\0')
        {
            continue;
        }

        if (v2_file_changed(nc->cert_file, &n->seen.cert_id)
            || v2_file_changed(nc->key_file, &n->seen.key_id))
        {
            n->bad = 0;
            changed = 1;
        }
    }

    return changed;
}


static const v2_node_conf_t *
v2_node_conf(const v2_conf_t *conf, const v2_spec_t *spec)
{
    uint32_t  i;

    for (i = 0; i < conf->nodes_n; i++) {
        if (v2_node_identity(&conf->nodes[i]) == spec->identity) {
            return &conf->nodes[i];
        }
    }

    return NULL;
}


/* Has this spec what it needs? */

static v2_int_t
v2_node_try(v2_master_t *m, uint32_t slot, const v2_spec_t *spec,
    const v2_node_conf_t *nc, v2_addr_t *addr, char *why, size_t size)
{
    if (v2_node_address(m, slot, spec, nc, addr, why, size) != V2_OK) {
        return V2_ERROR;
    }

    if (v2_node_pair(m, slot, spec, nc, why, size) != V2_OK) {
        v2_node_unlisten(&m->nodes[slot].opened);
        return V2_ERROR;
    }

    return V2_OK;
}


/* Told once; tried again in 10 s and with each new spec. */

static void
v2_node_failed(v2_master_t *m, uint32_t slot, const char *why, int goes_on)
{
    v2_mnode_t       *n;
    const v2_spec_t  *spec;

    n = &m->nodes[slot];

    if (strncmp(n->told, why, sizeof(n->told) - 1) != 0) {
        (void) snprintf(n->told, sizeof(n->told), "%s", why);
        spec = n->spec != NULL ? n->spec : n->trying;

        v2_log(V2_LOG_ERR, NULL, 0, "node %u %s: %s",
               spec != NULL ? spec->node_id : 0,
               goes_on ? "goes on as it was" : "is not served", why);
    }

    v2_mpanel_tell(m, V2_MSG_NODE_FAILED, slot, why);
    v2_image_want(m, V2_WANT_RETRY);
}


/* The socket in use, or a new one. */

static v2_int_t
v2_node_address(v2_master_t *m, uint32_t slot, const v2_spec_t *spec,
    const v2_node_conf_t *nc, v2_addr_t *addr, char *why, size_t size)
{
    int          ours;
    unsigned     n;
    v2_mnode_t  *node;

    node = &m->nodes[slot];
    memset(addr, 0, sizeof(v2_addr_t));
    v2_node_unlisten(&node->opened);

    if (v2_addr_parse(addr, nc->listen_ip) != V2_OK) {
        (void) snprintf(why, size, "ListenIP \"%.100s\" is not an address",
                        nc->listen_ip);
        return V2_ERROR;
    }

    addr->port = spec->port;
    n = v2_max(m->workers_n, v2_workers_want(m->job_conf));

    if (node->serving != NULL
        && v2_listener_same(node->serving, addr, spec->tcp, spec->udp))
    {
        /* new sockets take their share at once, so somebody must serve them */

        (void) v2_listener_grow(node->serving, n);
        v2_workers_assign(m);
        return V2_OK;
    }

    if (v2_node_taken(m, addr, spec, &ours, why, size) != V2_OK) {
        return V2_ERROR;
    }

    node->opened = v2_listener_open(addr, spec->tcp, spec->udp, n, node->base,
                                    ours, why, size);
    if (node->opened == NULL) {
        return V2_ERROR;
    }

    node->base += 2 * V2_LISTENER_SOCKS;

    return V2_OK;
}


/* Does another node of ours have the address? ours: one that closes with this
 * image has it, or this node itself in another form. */

static v2_int_t
v2_node_taken(const v2_master_t *m, const v2_addr_t *addr,
    const v2_spec_t *spec, int *ours, char *why, size_t size)
{
    char                   text[V2_ADDR_TEXT];
    uint32_t               slot;
    const v2_mnode_t      *n;
    const v2_node_conf_t  *nc;

    *ours = 0;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];

        if (!(n->serving != NULL
              && v2_listener_overlaps(n->serving, addr, spec->tcp, spec->udp))
            && !(n->opened != NULL
                 && v2_listener_overlaps(n->opened, addr, spec->tcp,
                                         spec->udp)))
        {
            continue;
        }

        nc = n->spec != NULL ? v2_node_conf(m->job_conf, n->spec) : NULL;

        if (nc != NULL && nc->refused == NULL
            && n->spec->identity != spec->identity)
        {
            (void) snprintf(why, size, "%s is the address of node %u already: "
                            "change the port of one of them",
                            v2_addr_print(addr, text, 0), n->spec->node_id);
            return V2_ERROR;
        }

        *ours = 1;
    }

    return V2_OK;
}


/* Loads the certificate of a node when it is another one than the one in
 * use. */

static v2_int_t
v2_node_pair(v2_master_t *m, uint32_t slot, const v2_spec_t *spec,
    const v2_node_conf_t *nc, char *why, size_t size)
{
    v2_mnode_t  *n;

    n = &m->nodes[slot];
    v2_pair_close(&n->fresh);

    if (!v2_node_needs_pair(spec, nc)) {
        return V2_OK;
    }

    if ((nc->cert_mode == V2_CERT_HTTP || nc->cert_mode == V2_CERT_DNS)
        && !n->warned)
    {
        n->warned = 1;
        v2_log(V2_LOG_WARN, NULL, 0, "node %u: CertMode http and dns are not "
               "built yet: CertFile is served as it is and must be renewed by "
               "another program", spec->node_id);
    }

    if (nc->cert_file[0] == '\0' && nc->cert_mode == V2_CERT_SELF) {
        return V2_OK;                       /* the builder makes one */
    }

    if (n->good.cert != -1
        && !v2_file_changed(nc->cert_file, &n->good.cert_id)
        && !v2_file_changed(nc->key_file, &n->good.key_id))
    {
        n->seen = n->good;
        n->cert_bad = 0;
        return V2_OK;
    }

    if (n->cert_bad && n->good.cert != -1 && m->job_conf == m->conf
        && !v2_file_changed(nc->cert_file, &n->seen.cert_id)
        && !v2_file_changed(nc->key_file, &n->seen.key_id))
    {
        return V2_OK;                       /* still what was refused */
    }

    if (v2_pair_load(&n->fresh, nc, why, size) == V2_OK) {
        n->seen = n->fresh;
        return V2_OK;
    }

    n->seen = n->fresh;

    if (n->good.cert != -1) {
        n->cert_bad = 1;
        v2_log(V2_LOG_WARN, NULL, 0, "node %u keeps its old certificate: %s",
               spec->node_id, why);
        return V2_OK;
    }

    return nc->cert_mode == V2_CERT_SELF ? V2_OK : V2_ERROR;
}


static int
v2_node_needs_pair(const v2_spec_t *spec, const v2_node_conf_t *nc)
{
    return spec->security == V2_SEC_TLS && nc->cert_mode != V2_CERT_NONE;
}


/* What was tried is in use. 1: an address became free. */

static int
v2_node_settle(v2_master_t *m, uint32_t slot)
{
    int          freed;
    char         why[200];
    v2_mnode_t  *n;

    n = &m->nodes[slot];
    freed = 0;

    if (n->opened != NULL) {
        if (v2_listener_listen(n->opened, why, sizeof(why)) != V2_OK) {
            v2_node_failed(m, slot, why, 0);
        }

        if (n->serving != NULL) {
            v2_workers_unlisten(m, slot, n->serving);
            v2_node_unlisten(&n->serving);
            freed = 1;
        }

        n->serving = n->opened;
        n->opened = NULL;
    }

    if (n->fresh_ok) {
        v2_pair_close(&n->good);
        n->good = n->fresh;
        v2_pair_init(&n->fresh);

    } else {
        v2_pair_close(&n->fresh);
    }

    v2_node_spec_set(n, &n->used, n->trying);
    v2_node_spec_set(n, &n->trying, NULL);

    if (n->used == n->spec) {
        n->told[0] = '\0';
        n->bad = 0;
    }

    if (!n->open) {
        v2_log(V2_LOG_NOTICE, NULL, 0, "node %u serves on port %u",
               n->used->node_id, n->used->port);
    }

    n->open = 1;
    v2_mpanel_tell(m, V2_MSG_NODE_OPEN, slot, "");

    return freed;
}


/* 1: an address became free. */

static int
v2_node_close(v2_master_t *m, uint32_t slot)
{
    int          freed;
    v2_mnode_t  *n;

    n = &m->nodes[slot];
    freed = n->serving != NULL;
    v2_node_unlisten(&n->opened);
    v2_node_spec_set(n, &n->trying, NULL);

    if (n->serving != NULL) {
        v2_workers_unlisten(m, slot, n->serving);
        v2_node_unlisten(&n->serving);
    }

    if (n->open && n->used != NULL) {
        v2_log(V2_LOG_NOTICE, NULL, 0, "node %u is closed",
               n->used->node_id);
    }

    n->open = 0;
    v2_pair_close(&n->fresh);

    if (n->spec == NULL) {
        v2_node_spec_set(n, &n->used, NULL);
        v2_pair_close(&n->good);
    }

    return freed;
}


static void
v2_node_unlisten(v2_listener_t **l)
{
    if (*l != NULL) {
        v2_listener_close(*l);
        *l = NULL;
    }
}


static void
v2_node_spec_set(v2_mnode_t *n, const v2_spec_t **place,
    const v2_spec_t *spec)
{
    const v2_spec_t  *old;

    old = *place;
    *place = spec;

    if (old != n->spec && old != n->used && old != n->trying) {
        v2_spec_close(old);
    }
}
