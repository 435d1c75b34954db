/* UniProxy, version 1: V2board, its forks and Xboard. ApiHost is the panel's
 * base URL. Node ids of V2board are per type, so node_type must be in the
 * config there; Xboard tells it.
 *
 * An action that a panel does not have is a 500 there: a failing alive or
 * alivelist says nothing about the panel. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_node.h"
#include "v2_panel_text.h"

static v2_int_t v2_uniproxy_fetch(v2_pnode_t *n, v2_act_e act);
static v2_int_t v2_uniproxy_post(v2_pnode_t *n, v2_act_e act,
    const char *batch, const char *body, size_t len);
static void v2_uniproxy_base(v2_text_t *url, const char *host);


static const char  v2_uniproxy_path[] = "/api/v1/server/UniProxy/";

static const char *const  v2_uniproxy_actions[V2_ACTS] = {
    [V2_ACT_CONFIG]    = "config",
    [V2_ACT_USERS]     = "user",
    [V2_ACT_ALIVELIST] = "alivelist",
    [V2_ACT_PUSH]      = "push",
    [V2_ACT_ALIVE]     = "alive"
};


static v2_int_t
v2_uniproxy_fetch(v2_pnode_t *n, v2_act_e act)
{
    return v2_uniproxy_post(n, act, NULL, NULL, 0);
}


static v2_int_t
v2_uniproxy_post(v2_pnode_t *n, v2_act_e act, const char *batch,
    const char *body, size_t len)
{
    v2_int_t     rc;
    v2_text_t    url;
    const char  *query;

    v2_text_init(&url);

    v2_uniproxy_base(&url, n->conf.api_host);
    v2_text_puts(&url, v2_uniproxy_path);
    v2_text_puts(&url, v2_uniproxy_actions[act]);
    v2_text_puts(&url, "?node_id=");
    v2_text_uint(&url, n->conf.node_id);

    if (n->node_type[0] != '\0') {
        v2_text_puts(&url, "&node_type=");
        v2_text_url(&url, n->node_type);
    }

    v2_text_puts(&url, "&token=");
    v2_text_url(&url, n->conf.api_key);

    query = strchr(n->conf.api_host, '?');

    if (query != NULL && query[1] != '\0') {
        v2_text_puts(&url, "&");
        v2_text_add(&url, query + 1, strcspn(query + 1, "#"));
    }

    rc = url.failed ? V2_ERROR
                    : v2_pnode_http(n, act, url.data, batch, body, len);

    v2_text_done(&url);
    return rc;
}


/* Without query and slashes at the end, and without our own path if the admin
 * wrote it too. */
static void
v2_uniproxy_base(v2_text_t *url, const char *host)
{
    size_t       len;
    const char  *path;

    len = strcspn(host, "?#");
    path = strstr(host, "/api/v1/server/UniProxy");

    if (path != NULL && (size_t) (path - host) < len) {
        len = (size_t) (path - host);
    }

    while (len > 0 && host[len - 1] == '/') {
        len--;
    }

    v2_text_add(url, host, len);
}


extern const v2_panel_t  v2_panel_uniproxy;

const v2_panel_t  v2_panel_uniproxy = {
    .name       = "uniproxy",
    .push_empty = 1,
    .fetch      = v2_uniproxy_fetch,
    .post       = v2_uniproxy_post
};
