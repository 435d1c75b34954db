/* The v2sp API: one URL, `action` in its query (panel API of the older v2sp
 * program). node_type goes along once it is known, from the config or from
 * the panel's first answer. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_node.h"
#include "v2_panel_text.h"

static v2_int_t v2_v2sp_fetch(v2_pnode_t *n, v2_act_e act);
static v2_int_t v2_v2sp_post(v2_pnode_t *n, v2_act_e act, const char *batch,
    const char *body, size_t len);


static const char *const  v2_v2sp_actions[V2_ACTS] = {
    [V2_ACT_CONFIG]    = "config",
    [V2_ACT_USERS]     = "user",
    [V2_ACT_ALIVELIST] = "alivelist",
    [V2_ACT_PUSH]      = "push",
    [V2_ACT_ALIVE]     = "alive"
};


static v2_int_t
v2_v2sp_fetch(v2_pnode_t *n, v2_act_e act)
{
    return v2_v2sp_post(n, act, NULL, NULL, 0);
}


static v2_int_t
v2_v2sp_post(v2_pnode_t *n, v2_act_e act, const char *batch,
    const char *body, size_t len)
{
    char         last;
    size_t       host_len;
    v2_int_t     rc;
    v2_text_t    url;
    const char  *host;

    v2_text_init(&url);

    host = n->conf.api_host;
    host_len = strcspn(host, "#");
    last = (host_len > 0) ? host[host_len - 1] : '\0';

    v2_text_add(&url, host, host_len);

    if (memchr(host, '?', host_len) == NULL) {
        v2_text_puts(&url, "?");

    } else if (last != '?' && last != '&') {
        v2_text_puts(&url, "&");
    }

    v2_text_puts(&url, "action=");
    v2_text_puts(&url, v2_v2sp_actions[act]);
    v2_text_puts(&url, "&node_id=");
    v2_text_uint(&url, n->conf.node_id);

    if (n->node_type[0] != '\0') {
        v2_text_puts(&url, "&node_type=");
        v2_text_url(&url, n->node_type);
    }

    v2_text_puts(&url, "&token=");
    v2_text_url(&url, n->conf.api_key);

    rc = url.failed ? V2_ERROR
                    : v2_pnode_http(n, act, url.data, batch, body, len);

    v2_text_done(&url);
    return rc;
}


extern const v2_panel_t  v2_panel_v2sp;

const v2_panel_t  v2_panel_v2sp = {
    .name  = "v2sp",
    .fetch = v2_v2sp_fetch,
    .post  = v2_v2sp_post
};
