/* Nodes as the master sees them: specs, addresses, certificates. See
 * v2_master.h.
 *
 * A node that serves goes on with its last good spec and socket when a new
 * one cannot be used; `bad` remembers that the builder refused the new one,
 * until it is tried again. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_master.h"
#include "v2_log.h"
#include "v2_panel.h"
#include "v2_time.h"

#include <unistd.h>

static const v2_node_conf_t *v2_node_conf(const v2_conf_t *conf,
    const v2_spec_t *spec);
static v2_int_t v2_node_address(v2_master_t *m, uint32_t slot,
    const v2_spec_t *spec, const v2_node_conf_t *nc, v2_addr_t *addr,
    char *why, size_t size);
static v2_int_t v2_node_taken(const v2_master_t *m, const v2_addr_t *addr,
    const v2_spec_t *spec, char *why, size_t size);
static v2_int_t v2_node_pair(v2_master_t *m, uint32_t slot,
    const v2_spec_t *spec, const v2_node_conf_t *nc, char *why, size_t size);
static int v2_node_needs_pair(const v2_spec_t *spec,
    const v2_node_conf_t *nc);
static void v2_node_settle(v2_master_t *m, uint32_t slot);
static void v2_node_close(v2_master_t *m, uint32_t slot);
static void v2_node_spec_free(const v2_spec_t **spec);


void
v2_node_spec(v2_master_t *m, uint32_t slot, const v2_spec_t *spec)
{
    v2_mnode_t  *n;

    n = &m->nodes[slot];

    if (n->spec != n->used) {
        v2_node_spec_free(&n->spec);
    }

    n->spec = spec;
    n->bad = 0;
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

    if (n->spec != n->used) {
        v2_node_spec_free(&n->spec);
    }

    n->spec = NULL;
    n->told[0] = '\0';
    v2_image_want(m, V2_WANT_NOW);
}


void
v2_node_pick(v2_master_t *m, const v2_conf_t *conf)
{
    char                    why[200];
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

        if (v2_node_address(m, slot, spec, nc, &bn->listen, why, sizeof(why))
            != V2_OK)
        {
            v2_node_failed(m, slot, why);

            if (n->used == NULL || n->used == spec
                || v2_node_address(m, slot, n->used, nc, &bn->listen, why,
                                   sizeof(why)) != V2_OK)
            {
                continue;
            }

            spec = n->used;
        }

        if (v2_node_pair(m, slot, spec, nc, why, sizeof(why)) != V2_OK) {
            v2_node_failed(m, slot, why);
            continue;
        }

        bn->slot = slot;
        bn->spec = spec;
        bn->conf = nc;
        bn->fresh = &n->fresh;
        bn->good = &n->good;
        n->trying = spec;
        n->picked = 1;
        m->job.nodes_n++;
    }
}


/* Told once; tried again in 10 s and with each new spec. */

void
v2_node_failed(v2_master_t *m, uint32_t slot, const char *why)
{
    v2_mnode_t  *n;

    n = &m->nodes[slot];

    if (strncmp(n->told, why, sizeof(n->told) - 1) != 0) {
        (void) snprintf(n->told, sizeof(n->told), "%s", why);

        v2_log(V2_LOG_ERR, NULL, 0, "node %u %s: %s",
               n->spec != NULL ? n->spec->node_id : 0,
               n->open ? "goes on as it was" : "is not served", why);
    }

    v2_mpanel_tell(m, V2_MSG_NODE_FAILED, slot, why);
    v2_image_want(m, V2_WANT_RETRY);
}


void
v2_node_commit(v2_master_t *m)
{
    uint32_t     slot;
    v2_mnode_t  *n;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];

        if (n->picked && n->built) {
            v2_node_settle(m, slot);
            continue;
        }

        v2_node_close(m, slot);
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
            n->bad = 1;
            refused = 1;
        }
    }

    return refused;
}


void
v2_node_drop(v2_master_t *m)
{
    uint32_t     slot;
    v2_mnode_t  *n;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];

        if (n->opened != NULL) {
            v2_listener_close(n->opened);
            n->opened = NULL;
        }

        v2_pair_close(&n->fresh);
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


/* The socket in use, or a new one. */

static v2_int_t
v2_node_address(v2_master_t *m, uint32_t slot, const v2_spec_t *spec,
    const v2_node_conf_t *nc, v2_addr_t *addr, char *why, size_t size)
{
    unsigned     n;
    v2_mnode_t  *node;

    node = &m->nodes[slot];
    memset(addr, 0, sizeof(v2_addr_t));

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
        return v2_listener_grow(node->serving, n);
    }

    if (v2_node_taken(m, addr, spec, why, size) != V2_OK) {
        return V2_ERROR;
    }

    if (node->opened != NULL) {
        v2_listener_close(node->opened);
    }

    node->opened = v2_listener_open(addr, spec->tcp, spec->udp, n, node->base,
                                    why, size);
    if (node->opened == NULL) {
        return V2_ERROR;
    }

    node->base += 2 * V2_LISTENER_SOCKS;

    return V2_OK;
}


/* Does another node of ours have the address? */

static v2_int_t
v2_node_taken(const v2_master_t *m, const v2_addr_t *addr,
    const v2_spec_t *spec, char *why, size_t size)
{
    char              text[V2_ADDR_TEXT];
    uint32_t          slot;
    const v2_mnode_t  *n;

    for (slot = 0; slot < V2_SHM_NODES; slot++) {
        n = &m->nodes[slot];

        if (n->spec == NULL || n->spec->identity == spec->identity) {
            continue;
        }

        if ((n->serving != NULL && v2_addr_eq(&n->serving->addr, addr))
            || (n->opened != NULL && v2_addr_eq(&n->opened->addr, addr)))
        {
            (void) snprintf(why, size, "%s is the address of node %u already: "
                            "change the port of one of them",
                            v2_addr_print(addr, text, 0), n->spec->node_id);
            return V2_ERROR;
        }
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

    (void) m;

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
        return V2_OK;
    }

    if (v2_pair_load(&n->fresh, nc, why, size) == V2_OK) {
        n->seen = n->fresh;
        return V2_OK;
    }

    n->seen = n->fresh;

    if (n->good.cert != -1) {
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


/* What was tried is in use. */

static void
v2_node_settle(v2_master_t *m, uint32_t slot)
{
    char         why[200];
    v2_mnode_t  *n;

    n = &m->nodes[slot];

    if (n->opened != NULL) {
        if (v2_listener_listen(n->opened, why, sizeof(why)) != V2_OK) {
            v2_node_failed(m, slot, why);
        }

        if (n->serving != NULL) {
            v2_workers_unlisten(m, slot, n->serving);
            v2_listener_close(n->serving);
        }

        n->serving = n->opened;
        n->opened = NULL;

    } else if (n->serving != NULL
               && v2_listener_listen(n->serving, why, sizeof(why)) != V2_OK)
    {
        v2_node_failed(m, slot, why);       /* sockets of more workers */
    }

    if (n->fresh_ok) {
        v2_pair_close(&n->good);
        n->good = n->fresh;
        v2_pair_init(&n->fresh);

    } else {
        v2_pair_close(&n->fresh);
    }

    if (n->used != n->trying) {
        if (n->used != n->spec) {
            v2_node_spec_free(&n->used);
        }

        n->used = n->trying;
    }

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
}


static void
v2_node_close(v2_master_t *m, uint32_t slot)
{
    v2_mnode_t  *n;

    n = &m->nodes[slot];

    if (n->opened != NULL) {
        v2_listener_close(n->opened);
        n->opened = NULL;
    }

    if (n->serving != NULL) {
        v2_workers_unlisten(m, slot, n->serving);
        v2_listener_close(n->serving);
        n->serving = NULL;
    }

    if (n->open && n->used != NULL) {
        v2_log(V2_LOG_NOTICE, NULL, 0, "node %u is closed",
               n->used->node_id);
    }

    n->open = 0;

    if (n->spec == NULL) {
        v2_node_spec_free(&n->used);
        v2_pair_close(&n->good);
        v2_pair_close(&n->fresh);
    }
}


static void
v2_node_spec_free(const v2_spec_t **spec)
{
    if (*spec != NULL) {
        v2_spec_close(*spec);
        *spec = NULL;
    }
}
